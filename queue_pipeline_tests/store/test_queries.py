"""The operator's statements: plain psql runs each file as it stands, and says what the program says."""

from __future__ import annotations

import csv
import io
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from queue_pipeline.domain.limits import Limits
from queue_pipeline.integrations.embedded_data import binaries_for
from queue_pipeline.store import alert_facts, audit, queries
from queue_pipeline.store.session import Database, Direct
from queue_pipeline_tests.store.messages import a_message
from queue_pipeline_tests.store.rows import a_function_run, a_job

PSQL = binaries_for(Path("nowhere")) / "psql"
FOLDER = Path(queries.__file__).parents[1] / "queries"
Psql = Callable[..., list[dict[str, str]]]


@pytest.fixture
def psql(database_url: str) -> Psql:
    """Runs one file of the pack and gives its rows."""

    def run(name: str, **parameters: str) -> list[dict[str, str]]:
        given = [part for key, value in parameters.items() for part in ("-v", f"{key}={value}")]
        command = [
            str(PSQL),
            database_url,
            "-X",
            "-q",
            "--csv",
            "-v",
            "ON_ERROR_STOP=1",
            *given,
            "-f",
            str(FOLDER / f"{name}.sql"),
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return list(csv.DictReader(io.StringIO(done.stdout)))

    return run


@pytest.mark.parametrize("name", queries.names())
def test_every_statement_runs_with_plain_psql_on_an_empty_queue(psql: Psql, db: Database, name: str) -> None:
    with db.begin() as tx:
        assert tx.exec_driver_sql("SELECT count(*) FROM job").scalar_one() == 0
    psql(name)


@pytest.mark.parametrize("name", queries.names())
def test_every_statement_says_what_it_asks_and_what_its_parameters_mean(name: str) -> None:
    text = queries.text_of(name)
    head = [line for line in text.splitlines() if line.startswith("--")]
    assert head[0].endswith("?") or "?" in head[0], f"{name} begins with the question that it answers"
    for parameter in {line.split("{?")[1].split("}")[0] for line in text.splitlines() if line.startswith("\\if")}:
        assert any(parameter in line for line in head), f"{name} does not say what {parameter} is"
    assert "\\" not in queries.sql_of(name)


def test_an_empty_queue_passes_and_a_stale_run_fails(psql: Psql, db: Database) -> None:
    assert [(row["check_name"], row["verdict"], row["value"]) for row in psql("stale_run")] == [
        ("stale_run", "pass", "0")
    ]
    with db.direct() as connection:
        living, stale = (a_function_run(connection, shard=shard) for shard in ("shard-00", "shard-01"))
        connection.execute(
            "UPDATE function_run SET progress_at = now() - interval '16 minutes', lease_until = now() + interval '1 hour'"
            " WHERE function_run_id = %s",
            (stale,),
        )
        connection.execute(
            "UPDATE function_run SET lease_until = now() + interval '1 hour' WHERE function_run_id = %s", (living,)
        )
    rows = psql("stale_run")
    assert (rows[0]["verdict"], rows[0]["value"], rows[0]["bound"]) == ("fail", "1", "0")
    assert {row["function_run_id"]: row["verdict"] for row in rows[1:]} == {str(stale): "fail", str(living): "pass"}
    assert psql("stale_run", stale_cutoff="1200")[0]["verdict"] == "pass"
    with db.begin() as tx:
        assert alert_facts.stale_function_runs(tx, stale_cutoff=900.0, restart_grace=5.0) == 1


def test_the_age_is_that_of_the_job_that_waits_longest_and_fails_beyond_the_limit(psql: Psql, db: Database) -> None:
    (row,) = psql("queue_age")
    assert (row["verdict"], row["value"], row["job_id"]) == ("pass", "0", "")
    with db.direct() as connection:
        a_job(connection)
        old = a_job(connection)
        connection.execute("UPDATE job SET first_due_at = now() - interval '301 s' WHERE job_id = %s", (old,))
    (row,) = psql("queue_age")
    assert (row["verdict"], row["job_id"], row["bound"]) == ("fail", str(old), "300")
    assert psql("queue_age", queue_age_limit="600")[0]["verdict"] == "pass"
    limits = Limits()
    with db.begin() as tx:
        facts = alert_facts.read(
            tx,
            stale_cutoff=900.0,
            restart_grace=5.0,
            unknown_after=1800.0,
            queue_age_limit=limits.queue_age_limit_seconds,
        )
    assert facts.oldest_due_job == old
    assert 301 <= facts.oldest_due_age <= float(row["value"]) + 60


def test_a_key_with_two_messages_at_a_provider_fails(psql: Psql, db: Database) -> None:
    def at_provider(connection: Direct, message: int, provider_id: str) -> None:
        connection.execute(
            "INSERT INTO provider_message (provider, account, provider_message_id, outbound_message_id, recipient,"
            " observed_via) VALUES ('http', 'main', %s, %s, 'ada@example.com', 'response')",
            (provider_id, message),
        )

    with db.direct() as connection:
        message = a_message(connection, "SENT")
        at_provider(connection, message, "m-1")
    assert psql("duplicate_sends")[0]["verdict"] == "pass"
    with db.direct() as connection:
        at_provider(connection, message, "m-2")
    verdict, finding = psql("duplicate_sends")
    assert (verdict["verdict"], verdict["value"]) == ("fail", "1")
    assert finding["outbound_message_ids"] == f"{{{message}}}"
    with db.begin() as tx:
        assert audit.duplicate_keys(tx, seconds=3600.0) == 1
