from datetime import timedelta
from typing import Any

import pytest

from queue_pipeline.domain.health import HealthSnapshot
from queue_pipeline.domain.lane import shard_names, shard_of
from queue_pipeline.domain.limits import Limits
from queue_pipeline.engine import health
from queue_pipeline.engine.recovery import sweep
from queue_pipeline.store import health as store
from queue_pipeline.store.session import Database
from queue_pipeline_tests.store.rows import a_function_run, a_job, a_window

SHARDS = shard_names(4)
SHARD = shard_of("acme", 4)


@pytest.fixture
def rows(db: Database) -> Any:
    """A connection for rows that no use case would write."""
    with db.direct() as connection:
        yield connection


def measured(db: Database) -> HealthSnapshot:
    return health.measure(db, limits=Limits(), shards=SHARDS)


def at(rows: Any, seconds_ago: float) -> Any:
    return rows.execute("SELECT now() - make_interval(secs => %s)", (seconds_ago,)).fetchone()[0]


def test_an_empty_queue_has_no_age_and_no_waits_but_names_every_shard(db: Database) -> None:
    snapshot = measured(db)
    assert (snapshot.pending_due, snapshot.oldest_due_age_seconds, snapshot.wait_p95_seconds) == (0, 0.0, None)
    assert list(snapshot.by_shard) == SHARDS
    assert snapshot.verdict == "inconclusive"


def test_a_sweep_of_an_idle_queue_makes_it_pass(db: Database) -> None:
    sweep(db, by="test")
    snapshot = measured(db)
    assert snapshot.last_sweep_age_seconds == pytest.approx(0, abs=30)
    assert (snapshot.verdict, snapshot.findings) == ("pass", ())


def test_age_counts_from_first_due_and_not_from_the_last_retry(db: Database, rows: Any) -> None:
    a_job(rows, first_due_at=at(rows, 400), run_at=at(rows, 1))
    snapshot = measured(db)
    assert snapshot.oldest_due_age_seconds == pytest.approx(400, abs=30)
    assert snapshot.by_shard[SHARD].oldest_due_age_seconds == pytest.approx(400, abs=30)
    assert snapshot.verdict == "breach"


def test_a_workspace_that_has_no_lane_yet_counts_for_its_shard(db: Database, rows: Any) -> None:
    a_job(rows)
    assert rows.execute("SELECT count(*) FROM workspace_lane").fetchone() == (0,)
    assert measured(db).by_shard[SHARD].pending_due == 1


def test_a_scheduled_job_is_due_when_its_time_has_come_even_if_nobody_promoted_it(db: Database, rows: Any) -> None:
    a_job(rows, "SCHEDULED", run_at=at(rows, 50), first_due_at=at(rows, 50))
    a_job(rows, "SCHEDULED", run_at=at(rows, -500), first_due_at=at(rows, -500))
    snapshot = measured(db)
    assert (snapshot.pending_due, snapshot.scheduled) == (1, 1)
    assert snapshot.oldest_due_age_seconds == pytest.approx(50, abs=30)


def test_a_job_held_by_a_run_whose_lease_expired_still_ages(db: Database, rows: Any) -> None:
    run = a_function_run(rows, shard=SHARD, lease_until=at(rows, 10))
    a_job(rows, "RUNNING", function_run_id=run, first_due_at=at(rows, 350))
    snapshot = measured(db)
    assert snapshot.stale_function_runs == 1
    assert snapshot.oldest_due_age_seconds == pytest.approx(350, abs=30)
    assert (snapshot.pending_due, snapshot.by_shard[SHARD].running) == (0, 1)


def test_a_job_held_by_a_living_run_does_not_age(db: Database, rows: Any) -> None:
    run = a_function_run(rows, shard=SHARD, lease_until=at(rows, -30))
    a_job(rows, "RUNNING", function_run_id=run, first_due_at=at(rows, 350))
    snapshot = measured(db)
    assert snapshot.oldest_due_age_seconds == 0
    assert snapshot.by_shard[SHARD].function_run_id == run
    assert snapshot.by_shard[SHARD].heartbeat_age_seconds == pytest.approx(0, abs=30)


def test_a_run_without_progress_is_stale_whatever_its_lease_says(db: Database, rows: Any) -> None:
    a_function_run(rows, lease_until=at(rows, -30), progress_at=at(rows, 901))
    a_function_run(rows, lease_until=at(rows, -30), progress_at=at(rows, 600))
    assert measured(db).stale_function_runs == 1


def test_a_window_is_orphaned_after_its_launch_grace_only(db: Database, rows: Any) -> None:
    a_window(rows, launch_by=at(rows, 1))
    a_window(rows, launch_by=at(rows, -60))
    assert measured(db).orphaned_windows == 1


def test_waits_count_jobs_that_still_wait(db: Database, rows: Any) -> None:
    run = a_function_run(rows, lease_until=at(rows, -30))
    for number in range(9):
        rows.execute(
            "INSERT INTO job_attempt"
            " (job_id, attempt, fence, function_run_id, due_at, claimed_at, finished_at, outcome)"
            " VALUES (%s, 1, %s, %s, now() - interval '2 seconds', now() - interval '1 second', now(), 'SUCCEEDED')",
            (number, number, run),
        )
    a_job(rows, run_at=at(rows, 200))
    snapshot = measured(db)
    assert snapshot.wait_p50_seconds == pytest.approx(1, abs=0.01)
    assert snapshot.wait_p95_seconds == pytest.approx(200, abs=30)
    assert snapshot.wait_max_seconds == pytest.approx(200, abs=30)
    assert snapshot.started_jobs == 9


def test_of_a_long_backlog_a_sample_stands_for_all(db: Database, rows: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "WAITS_MAX", 10)
    rows.execute(
        "INSERT INTO job (kind, workspace, state, run_at, first_due_at, payload)"
        " SELECT 'demo', 'acme', 'PENDING', now() - n * interval '1 second', now(), '{}'"
        " FROM generate_series(1, 100) n"
    )
    snapshot = measured(db)
    assert snapshot.wait_p50_seconds == pytest.approx(50, abs=30)
    assert snapshot.pending_due == 100


def test_counts_stop_at_their_bound_and_say_so(db: Database, rows: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "COUNT_MAX", 2)
    for _ in range(3):
        a_job(rows)
    snapshot = measured(db)
    assert (snapshot.pending_due, snapshot.counts_are_floors) == (2, True)


def test_the_age_of_a_shard_behind_a_longer_backlog_falls_back_on_its_last_due_time(
    db: Database, rows: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "OLDEST_MAX", 1)
    a_job(rows, workspace="acme", first_due_at=at(rows, 500), run_at=at(rows, 500))
    other = next(name for name in ("ada", "bob", "cy", "di", "eve") if shard_of(name, 4) != SHARD)
    a_job(rows, workspace=other, first_due_at=at(rows, 90), run_at=at(rows, 60))
    ages = {shard: h.oldest_due_age_seconds for shard, h in measured(db).by_shard.items() if h.pending_due}
    assert ages == pytest.approx({SHARD: 500, shard_of(other, 4): 60}, abs=29)


def test_a_second_message_at_the_provider_is_a_duplicate_send(db: Database, rows: Any) -> None:
    sent = rows.execute(
        "INSERT INTO outbound_message (workspace, job_id, channel, purpose, recipient, body, idempotency_key,"
        " payload_sha256, state, provider, trigger_key, reason, in_doubt, unknown_since, not_before) VALUES ('acme', 1,"
        " 'mail', 'reply', 'ada@example.com', 'hi', 'key', repeat('a', 64), 'UNKNOWN', 'outbox', 'job:1', 'timeout', true,"
        " now(), now()) RETURNING outbound_message_id"
    ).fetchone()[0]
    assert (measured(db).unknown_sends, measured(db).duplicate_sends) == (1, 0)
    assert (measured(db).needs_human, measured(db).open_incidents) == (0, 0)
    for number in range(2):
        rows.execute(
            "INSERT INTO provider_message (provider, provider_message_id, outbound_message_id, recipient, body,"
            " observed_via) VALUES ('outbox', %s, %s, 'ada@example.com', 'hi', 'response')",
            (str(number), sent),
        )
    snapshot = measured(db)
    assert snapshot.duplicate_sends == 1
    assert snapshot.verdict == "breach"


def test_recorded_samples_come_back_oldest_first_and_are_pruned(db: Database, rows: Any) -> None:
    first, second = measured(db), measured(db)
    health.record(db, second)
    health.record(db, first)
    assert [row["sampled_at"] for row in health.history(db, hours=1)] == [first.sampled_at, second.sampled_at]
    assert health.history(db, hours=1)[0]["by_shard"][SHARD]["pending_due"] == 0
    sends = [health.history(db, hours=1)[0][name] for name in ("unknown_sends", "duplicate_sends", "needs_human")]
    assert sends == [0, 0, 0]
    rows.execute("UPDATE health_sample SET sampled_at = sampled_at - %s", (timedelta(days=2),))
    assert health.prune_history(db, days=3) == 0
    assert health.prune_history(db, days=1, batch=1) == 2


def test_only_shards_past_the_limit_are_aged(db: Database, rows: Any) -> None:
    a_job(rows, first_due_at=at(rows, 100))
    assert health.aged_shards(db, limits=Limits(), shards=SHARDS) == {}
    a_job(rows, first_due_at=at(rows, 400))
    assert health.aged_shards(db, limits=Limits(), shards=SHARDS) == pytest.approx({SHARD: 400}, abs=30)


def test_a_running_job_says_where_its_handler_is(db: Database, rows: Any) -> None:
    run = a_function_run(rows, shard=SHARD, lease_until=at(rows, -30))
    job = a_job(rows, "RUNNING", function_run_id=run, fence=77, claimed_at=at(rows, 20))
    rows.execute(
        "INSERT INTO handler_sample (job_id, fence, running_seconds, step, progress, progress_at, stack)"
        " VALUES (%s, 77, 20, 'draft', 'asking', now(), 'File ...')",
        (job,),
    )
    (running,) = health.running(db)
    assert (running.job_id, running.shard, running.step, running.progress) == (job, SHARD, "draft", "asking")
    assert running.running_seconds == pytest.approx(20, abs=30)
