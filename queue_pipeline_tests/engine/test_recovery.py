"""Every signal, what is done about it, and what is left alone."""

import functools
import threading
from dataclasses import replace
from typing import Any

import pytest

from queue_pipeline import InvalidInput
from queue_pipeline.domain.limits import Limits
from queue_pipeline.domain.recovery import Signal
from queue_pipeline.engine.jobs import cancel_job
from queue_pipeline.engine.recovery import Finding, RecoveryDecision, findings, sweep
from queue_pipeline.store import function_run
from queue_pipeline_tests.engine.kitchen import BRISK, SHARD, Bystander, Kitchen
from queue_pipeline_tests.waiting import eventually

#: The test server may have started seconds ago; its restart grace has tests of its own in domain/test_recovery.py.
LIMITS = replace(Limits(), database_restart_grace_seconds=0.0, presence_grace_seconds=0.05)


@pytest.fixture
def held(kitchen: Kitchen) -> Bystander:
    """A function run that holds three jobs and lives."""
    kitchen.handle("work", lambda ctx, payload: None)
    kitchen.put("work", 3)
    bystander = Bystander(kitchen.db)
    assert len(bystander.claim()) == 3
    return bystander


def swept(kitchen: Kitchen, **options: Any) -> list[RecoveryDecision]:
    return sweep(kitchen.db, by="test", limits=LIMITS, **options).decisions


def one(kitchen: Kitchen, **options: Any) -> RecoveryDecision:
    (decision,) = swept(kitchen, **options)
    return decision


def job_ids(kitchen: Kitchen) -> list[int]:
    return [row.job_id for row in kitchen.rows("SELECT job_id FROM job ORDER BY 1")]


def test_a_living_function_run_is_left_alone(kitchen: Kitchen, held: Bystander) -> None:
    assert swept(kitchen) == []
    assert kitchen.states() == {"RUNNING": 3}
    held.close()


def test_a_dead_function_run_is_fenced_its_jobs_given_back_and_succeeded_once(
    kitchen: Kitchen, held: Bystander
) -> None:
    before = {job_id: kitchen.job(job_id) for job_id in job_ids(kitchen)}
    held.die()
    decision = one(kitchen)
    assert (decision.finding.signal, decision.acted, decision.jobs_given_back) == (Signal.DEAD, True, 3)
    assert decision.finding.key == f"run:{held.run_id}:{held.begun.fence}"
    run = kitchen.row("SELECT * FROM function_run")
    assert (run["state"], run["end_reason"], run["lost"]) == ("RECOVERED", "dead", 3)
    windows = kitchen.rows(
        "SELECT state, source, succeeds_run_id, dispatch_key FROM dispatch_window ORDER BY window_id"
    )
    assert [tuple(window)[:3] for window in windows] == [("SUPERSEDED", "cli", None), ("OPEN", "recovery", held.run_id)]
    assert decision.successor_key == windows[1].dispatch_key == f"drain:v1:{SHARD}:after:{held.run_id}"
    for job_id, old in before.items():
        job = kitchen.job(job_id)
        assert (job["state"], job["fence"], job["attempt"]) == ("PENDING", None, 1)
        assert job["first_due_at"] == old["first_due_at"]  # its age is that of the wait, not of the rescue
        assert job["run_at"] == old["run_at"]  # and so is its place in the queue
        assert kitchen.outcomes(job_id) == ["LOST"]
    assert swept(kitchen) == []
    noted = kitchen.row("SELECT * FROM recovery_decision")
    assert (noted["signal"], noted["swept_by"], noted["jobs_given_back"]) == ("dead", "test", 3)
    assert str(held.run_id) in noted["detail"]
    report = kitchen.drain(dispatch_key=decision.successor_key)
    assert report.counts["succeeded"] == 3


def test_a_frozen_process_loses_its_lease_though_its_session_lives(kitchen: Kitchen, held: Bystander) -> None:
    kitchen.rows("UPDATE function_run SET lease_until = now() - interval '7 seconds'")
    decision = one(kitchen)
    assert (decision.finding.signal, decision.jobs_given_back) == (Signal.LEASE_EXPIRED, 3)
    assert "its lease ended 7 s ago" in decision.finding.sentence
    held.close()


def test_a_function_run_without_progress_is_stale_whatever_its_heartbeat_says(
    kitchen: Kitchen, held: Bystander
) -> None:
    kitchen.rows("UPDATE function_run SET progress_at = now() - interval '15 minutes', heartbeat_at = now()")
    decision = one(kitchen)
    assert (decision.finding.signal, decision.jobs_given_back) == (Signal.STALE, 3)
    assert "no progress for 900 s although its heartbeat is 0 s old" in decision.finding.sentence
    held.close()


def test_where_another_function_run_lives_it_simply_goes_on(kitchen: Kitchen, held: Bystander) -> None:
    other = Bystander(kitchen.db)
    held.die()
    decision = one(kitchen)
    assert (decision.acted, decision.successor_key) == (True, None)
    assert f"Function run {other.run_id} goes on" in decision.detail
    assert len(other.claim()) == 3
    other.close()


def test_a_dead_function_run_without_work_needs_no_successor(kitchen: Kitchen) -> None:
    Bystander(kitchen.db).die()
    decision = one(kitchen)
    assert (decision.acted, decision.successor_key) == (True, None)
    assert "nothing due" in decision.detail


def test_a_job_at_its_last_attempt_goes_to_the_dead_letters(kitchen: Kitchen, held: Bystander) -> None:
    kitchen.rows("UPDATE job SET max_attempts = 1 WHERE job_id = (SELECT min(job_id) FROM job)")
    held.die()
    decision = one(kitchen)
    assert (decision.jobs_given_back, decision.jobs_dead) == (2, 1)
    assert kitchen.states() == {"PENDING": 2, "DEAD": 1}


def test_a_job_that_was_to_be_cancelled_is_cancelled_instead_of_run_again(kitchen: Kitchen, held: Bystander) -> None:
    cancel_job(kitchen.db, job_ids(kitchen)[0], "a customer asked")
    held.die()
    swept(kitchen)
    assert kitchen.states() == {"PENDING": 2, "CANCELLED": 1}


def test_the_record_says_where_the_lost_handler_was(kitchen: Kitchen, held: Bystander) -> None:
    job = kitchen.job(job_ids(kitchen)[0])
    kitchen.rows(
        "INSERT INTO handler_sample (job_id, fence, running_seconds, step, progress, stack) "
        "VALUES (:job_id, :fence, 40, 'draft', '3 of 7', 'at line 12')", job_id=job["job_id"], fence=job["fence"],
    )  # fmt: skip
    held.die()
    swept(kitchen)
    attempt = kitchen.attempt(job["job_id"])
    assert (attempt["step"], attempt["progress"], attempt["stack"]) == ("draft", "3 of 7", "at line 12")
    assert kitchen.rows("SELECT 1 FROM handler_sample") == []


def test_a_window_that_nobody_took_is_missed_and_replaced_once(kitchen: Kitchen) -> None:
    kitchen.handle("work", lambda ctx, payload: None)
    kitchen.put("work")
    Bystander(kitchen.db).exchange()  # wakes the lane
    kitchen.rows("UPDATE function_run SET state = 'SUCCEEDED', ended_at = now(), end_reason = 'empty'")
    kitchen.rows(
        "INSERT INTO dispatch_window (dispatch_key, shard, source, launch_by) VALUES ('lost', 'shard-00', 'schedule', now())"
    )
    decision = one(kitchen)
    assert (decision.finding.signal, decision.acted) == (Signal.ORPHANED, True)
    assert swept(kitchen) == []
    missed = kitchen.row("SELECT window_id, state FROM dispatch_window WHERE dispatch_key = 'lost'")
    assert missed["state"] == "MISSED"
    replaced = kitchen.row("SELECT * FROM dispatch_window WHERE replaces_window_id = :w", w=missed["window_id"])
    assert (replaced["dispatch_key"], replaced["state"]) == (decision.successor_key, "OPEN")


def test_a_window_that_nobody_took_and_nobody_needs_is_only_closed(kitchen: Kitchen) -> None:
    kitchen.rows(
        "INSERT INTO dispatch_window (dispatch_key, shard, source, launch_by) VALUES ('lost', 'shard-00', 'schedule', now())"
    )
    assert one(kitchen).successor_key is None
    assert kitchen.row("SELECT state FROM dispatch_window")["state"] == "MISSED"


def test_a_window_that_still_has_time_is_left_alone(kitchen: Kitchen) -> None:
    kitchen.rows(
        "INSERT INTO dispatch_window (dispatch_key, shard, source, launch_by) VALUES ('soon', 'shard-00', 'schedule', now() + interval '1 minute')"
    )
    assert swept(kitchen) == []


def test_an_overdue_job_is_taken_from_a_living_function_run_that_goes_on(kitchen: Kitchen, held: Bystander) -> None:
    late = job_ids(kitchen)[1]
    kitchen.rows("UPDATE job SET deadline_at = now() - interval '14 seconds' WHERE job_id = :j", j=late)
    assert swept(kitchen) == []  # the drain itself has some seconds to end it
    kitchen.rows("UPDATE job SET deadline_at = now() - interval '16 seconds' WHERE job_id = :j", j=late)
    decision = one(kitchen)
    assert (decision.finding.signal, decision.finding.job_id, decision.jobs_given_back) == (Signal.OVERDUE, late, 1)
    assert kitchen.states() == {"PENDING": 1, "RUNNING": 2}
    assert kitchen.row("SELECT state FROM function_run")["state"] == "RUNNING"
    assert held.beat().living
    held.close()


def test_a_job_that_its_ended_function_run_left_behind_is_found(kitchen: Kitchen, held: Bystander) -> None:
    kitchen.rows("UPDATE function_run SET state = 'SUCCEEDED', ended_at = now(), end_reason = 'empty'")
    decisions = swept(kitchen)
    assert {decision.finding.signal for decision in decisions} == {Signal.UNOWNED}
    assert kitchen.states() == {"PENDING": 3}
    held.close()


def test_a_job_of_a_function_run_that_never_was_is_found(kitchen: Kitchen, held: Bystander) -> None:
    kitchen.rows("UPDATE job SET function_run_id = 987654")
    assert {decision.finding.signal for decision in swept(kitchen)} == {Signal.UNOWNED}
    assert kitchen.states() == {"PENDING": 3}
    held.close()


def snapshot(kitchen: Kitchen) -> list[Any]:
    tables = ("job", "job_attempt", "function_run", "dispatch_window", "recovery_decision", "sweep_mark", "lane_wake")
    return [kitchen.rows(f"SELECT * FROM {table} ORDER BY 1") for table in tables]


def test_a_dry_run_tells_everything_and_changes_nothing(kitchen: Kitchen, held: Bystander) -> None:
    kitchen.rows(
        "INSERT INTO dispatch_window (dispatch_key, shard, source, launch_by) VALUES ('lost', 'shard-00', 'schedule', now())"
    )
    held.die()
    before = snapshot(kitchen)
    decisions = swept(kitchen, dry_run=True)
    assert {decision.finding.signal for decision in decisions} == {Signal.DEAD, Signal.ORPHANED}
    assert not any(decision.acted for decision in decisions)
    told = {decision.finding.signal: decision.detail for decision in decisions}
    assert "It would be fenced, its running jobs given back" in told[Signal.DEAD]
    assert "It would be given up, and another window opened" in told[Signal.ORPHANED]
    assert snapshot(kitchen) == before


def test_one_finding_can_be_recovered_alone(kitchen: Kitchen, held: Bystander) -> None:
    kitchen.rows(
        "INSERT INTO dispatch_window (dispatch_key, shard, source, launch_by) VALUES ('lost', 'shard-00', 'schedule', now())"
    )
    held.die()
    keys = {found.signal: found.key for found in findings(kitchen.db, limits=LIMITS)}
    assert one(kitchen, only=keys[Signal.ORPHANED]).finding.signal == Signal.ORPHANED
    assert [found.signal for found in findings(kitchen.db, limits=LIMITS)] == [Signal.DEAD]
    assert swept(kitchen, only="run:1:999") == []
    with pytest.raises(InvalidInput, match="looks like run:12:345"):
        swept(kitchen, only="everything")


def test_a_finding_that_cannot_be_recovered_does_not_keep_the_others_waiting(kitchen: Kitchen) -> None:
    kitchen.handle("work", lambda ctx, payload: None)
    for _ in range(3):
        Bystander(kitchen.db).die()
    kitchen.rows(
        "CREATE FUNCTION cursed() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'cursed'; END $$"
    )
    kitchen.rows(
        "CREATE TRIGGER cursed BEFORE UPDATE ON function_run FOR EACH ROW WHEN (OLD.function_run_id = 2) EXECUTE FUNCTION cursed()"
    )
    decisions = swept(kitchen)
    assert {decision.finding.function_run_id: decision.acted for decision in decisions} == {1: True, 2: False, 3: True}
    states = [row.state for row in kitchen.rows("SELECT state FROM function_run ORDER BY function_run_id")]
    assert states == ["RECOVERED", "RUNNING", "RECOVERED"]
    (failed,) = [decision for decision in decisions if not decision.acted]
    assert "cursed" in failed.detail
    assert kitchen.rows("SELECT 1 FROM sweep_mark")  # somebody did look


def test_a_sweep_is_marked_so_that_silence_is_noticed(kitchen: Kitchen) -> None:
    swept(kitchen)
    mark = kitchen.row(
        "SELECT swept_by, extract(epoch FROM clock_timestamp() - swept_at)::float8 AS age FROM sweep_mark"
    )
    assert mark["swept_by"] == "test"
    assert mark["age"] < 60


def test_a_living_drain_whose_connection_broke_is_not_taken_for_dead(kitchen: Kitchen) -> None:
    """The lock goes with the connection, and a sweep may look before the drain has connected again."""
    kitchen.handle("work", lambda ctx, payload: None)
    kitchen.put("work", 3)
    broken = Bystander(kitchen.db, present=False)
    broken.claim()

    def back_soon(finding: Finding) -> bool:
        take = functools.partial(function_run.take_presence_lock, broken.presence, broken.run_id)
        threading.Timer(0.3, take).start()
        return True

    patient = replace(LIMITS, presence_grace_seconds=2.0)
    (decision,) = sweep(kitchen.db, by="test", act_on=back_soon, limits=patient).decisions
    assert (decision.finding.signal, decision.acted) == (Signal.DEAD, False)
    assert decision.detail == "It came back to life in the meantime."
    assert kitchen.states() == {"RUNNING": 3}
    broken.close()


def test_a_drain_whose_session_is_ended_takes_its_lock_again_at_once(kitchen: Kitchen) -> None:
    started = kitchen.start(limits=replace(BRISK, heartbeat_seconds=60, lease_seconds=180))
    eventually(lambda: kitchen.rows("SELECT 1 FROM function_run"), within=30, what="the drain to begin")
    locked = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND classid = :c AND granted"
    before = eventually(lambda: kitchen.rows(locked, c=function_run.PRESENCE_CLASS), within=30, what="the lock")[0].pid
    kitchen.rows("SELECT pg_terminate_backend(:pid)", pid=before)
    eventually(
        lambda: {row.pid for row in kitchen.rows(locked, c=function_run.PRESENCE_CLASS)} - {before},
        within=30,  # long before its next heartbeat
        what="the lock to be held again",
    )
    assert started.finish().end_reason == "stopped"


def test_a_drain_recovers_the_dead_of_its_shard_by_itself(kitchen: Kitchen, held: Bystander) -> None:
    held.die()
    kitchen.start()
    for job_id in job_ids(kitchen):
        kitchen.until(job_id, "SUCCEEDED")
        assert kitchen.outcomes(job_id) == ["LOST", "SUCCEEDED"]
