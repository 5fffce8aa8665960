"""A real session that holds an old snapshot, and real dead rows, are found; nobody's statement is shown."""

from dataclasses import replace

import psycopg
import pytest

from queue_pipeline.domain.growth import Growth
from queue_pipeline.domain.limits import Limits
from queue_pipeline.engine import growth
from queue_pipeline.engine.health import measure
from queue_pipeline.store.session import Database
from queue_pipeline_tests.waiting import eventually

NOW = replace(Limits(), horizon_age_limit_seconds=0.0)
SECRET = "ada@example.com"


def read(db: Database, limits: Limits) -> Growth:
    with db.begin() as tx:
        return growth.read(tx, limits)


@pytest.fixture
def holder(database_url: str) -> psycopg.Connection[tuple[int]]:
    """A session in a transaction that it forgot."""
    connection: psycopg.Connection[tuple[int]] = psycopg.connect(database_url, application_name="a forgotten report")
    connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    return connection


def test_a_session_that_holds_a_snapshot_is_named_and_its_statement_is_not(
    db: Database, holder: psycopg.Connection[tuple[int]]
) -> None:
    assert read(db, NOW).horizon is None
    with holder:
        holder.execute("SELECT %s, count(*) FROM queue_pipeline.job", (SECRET,))
        with db.direct() as connection:
            for _ in range(3):
                connection.execute("SELECT pg_current_xact_id()")
        found = read(db, NOW).horizon
        assert found is not None
        assert (found.holder, found.who, found.application_name) == (
            "session",
            str(holder.info.backend_pid),
            "a forgotten report",
        )
        assert (found.state, found.is_old) == ("idle in transaction", True)
        assert found.age_transactions >= 3
        young = read(db, Limits()).horizon
        assert young is not None
        assert not young.is_old
        snapshot = measure(db, limits=NOW, shards=["shard-00"])
        assert any("a forgotten report" in finding for finding in snapshot.findings)
        assert SECRET not in str(snapshot)
        assert snapshot.horizon_age_transactions >= 3
        assert snapshot.verdict == "inconclusive", "a note is no breach"
    assert read(db, NOW).horizon is None


def test_dead_rows_that_a_held_snapshot_keeps_are_counted(db: Database) -> None:
    with db.direct() as connection:
        connection.execute("ALTER TABLE workspace_lane SET (autovacuum_enabled = false)")
        connection.execute(
            "INSERT INTO workspace_lane (workspace, shard) SELECT n::text, 'shard-00' FROM generate_series(1, 100) n"
        )
        for _ in range(5):
            connection.execute("UPDATE workspace_lane SET vtime = vtime + 1")
        connection.execute("SELECT pg_stat_force_next_flush()")

    def dead(limit: int) -> tuple[str, bool] | None:
        worst = read(db, replace(Limits(), dead_rows_limit=limit)).worst
        return None if worst is None else (worst.table, worst.is_too_many)

    eventually(lambda: dead(300) == ("workspace_lane", True), within=30, what="the statistics to arrive")
    assert dead(1_000) == ("workspace_lane", False)


def test_the_age_of_transaction_ids_is_known(db: Database) -> None:
    found = read(db, replace(Limits(), transaction_age_limit=0))
    assert found.transaction_age > 0
