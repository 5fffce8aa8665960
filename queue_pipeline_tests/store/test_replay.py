"""Replays on record: a verdict is its exit code, a row never changes, and ids are looked up through indexes."""

from typing import Any

import pytest
import sqlalchemy as sa

from queue_pipeline.store import replay
from queue_pipeline.store.session import Database

RUN: dict[str, Any] = {
    "run_id": "replay-1", "created_at": "2031-03-03T09:00:00+00:00", "manifest_id": "m", "manifest_sha256": "0" * 64,
    "verdict": "pass", "exit_code": 0, "summary": "{}", "artifact": '{"a": 1}', "artifact_sha256": "1" * 64, "who": "Mina",
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "constraint"),
    [
        ({"exit_code": 1}, "replay_run_verdict_is_its_exit_code"),
        ({"verdict": "unmeasured"}, "replay_run_verdict_is_its_exit_code"),
        ({"verdict": "maybe", "exit_code": 2}, "replay_run_verdict_is_its_exit_code"),
        ({"artifact_sha256": "x"}, "replay_run_is_hashed"),
        ({"who": ""}, "replay_run_is_signed"),
    ],
)
def test_an_impossible_replay_is_refused(db: Database, change: dict[str, Any], constraint: str) -> None:
    with pytest.raises(sa.exc.IntegrityError, match=constraint), db.begin() as tx:
        replay.save(tx, **{**RUN, **change})


def test_a_recorded_replay_never_changes(db: Database) -> None:
    with db.begin() as tx:
        replay.save(tx, **RUN)
        replay.save(tx, **RUN)
        assert len(replay.runs(tx, manifest_id="m", limit=5)) == 1
    with pytest.raises(sa.exc.DBAPIError, match="append-only"), db.begin() as tx:
        tx.exec_driver_sql("UPDATE replay_run SET verdict = 'fail', exit_code = 1")


def test_a_resumed_replay_has_a_second_row_and_its_latest_artifact_counts(db: Database) -> None:
    with db.begin() as tx:
        replay.save(tx, **{**RUN, "verdict": "unmeasured", "exit_code": 2})
        replay.save(tx, **{**RUN, "artifact": '{"a": 2}', "artifact_sha256": "2" * 64})
        assert [run.verdict for run in replay.runs(tx, manifest_id=None, limit=5)] == ["pass", "unmeasured"]
        assert replay.artifact(tx, run_id="replay-1") == {"a": 2} == replay.last_pass(tx, manifest_id="m")
        assert replay.last_pass(tx, manifest_id="other") is None


def test_an_id_is_looked_up_through_indexes(db: Database) -> None:
    values = {"id": "thread-1", "job_id": 1, "channel": None}
    with db.begin() as tx:
        tx.exec_driver_sql("SET LOCAL enable_seqscan = off")
        plan = "\n".join(row[0] for row in tx.execute(sa.text(f"EXPLAIN {replay.BY_ID_SQL}"), values))
    inner = plan.partition("InitPlan")[2]
    assert "Seq Scan on inbound_event" not in plan
    for index in ("inbound_by_thread", "inbound_by_provider_id", "inbound_by_idempotency_key"):
        assert index in inner
