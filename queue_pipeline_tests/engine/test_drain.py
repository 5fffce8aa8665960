"""How a drain begins, goes on and ends."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from queue_pipeline import JobContext
from queue_pipeline.domain.dispatch_window import WindowSource
from queue_pipeline.domain.errors import DatabaseUnavailable
from queue_pipeline.engine.dispatch import open_due_windows
from queue_pipeline.engine.drain import DrainOptions, drain, request_stop_all
from queue_pipeline.store.session import Database
from queue_pipeline_tests.engine.kitchen import BRISK, SHARD, Kitchen
from queue_pipeline_tests.waiting import eventually


@pytest.fixture
def busy(kitchen: Kitchen) -> Kitchen:
    """Kinds `quick`, and `slow` which lasts until `kitchen.opened` is set."""

    def slow(ctx: JobContext, payload: Any) -> None:
        assert kitchen.opened.wait(30)

    kitchen.handle("quick", lambda ctx, payload: None)
    kitchen.handle("slow", slow)
    return kitchen


def window(kitchen: Kitchen) -> str:
    (dispatch,) = open_due_windows(kitchen.db, [SHARD], source=WindowSource.SCHEDULE, window_seconds=60)
    assert dispatch.dispatch_key is not None, dispatch.why
    return dispatch.dispatch_key


def test_a_drain_takes_its_window_and_closes_it_when_nothing_is_due(busy: Kitchen) -> None:
    busy.put("quick", 30)
    report = busy.drain(dispatch_key=window(busy))
    assert report.took_window
    assert report.counts["succeeded"] == 30
    assert report.successor_key is None
    run = busy.row("SELECT * FROM function_run")
    assert (run["state"], run["end_reason"], run["claimed"], run["succeeded"]) == ("SUCCEEDED", "empty", 30, 30)
    opened = busy.row("SELECT * FROM dispatch_window")
    assert (opened["state"], opened["function_run_id"]) == ("CLOSED", run["function_run_id"])
    assert "30 succeeded" in report.sentence()


def test_an_empty_queue_ends_a_drain_at_once_when_it_should_not_linger(busy: Kitchen) -> None:
    report = busy.drain()
    assert (report.end_reason, report.counts["claimed"]) == ("empty", 0)
    assert report.seconds < 10


def test_a_lingering_drain_ends_after_its_linger(busy: Kitchen) -> None:
    busy.put("quick")
    report = busy.start(linger_seconds=0.3).report()
    assert report.end_reason == "empty"
    assert busy.states() == {"SUCCEEDED": 1}


def test_a_slow_job_does_not_delay_the_others(busy: Kitchen) -> None:
    (slow,) = busy.put("slow")
    others = busy.put("quick", 60)
    started = busy.start(until_empty=True)
    eventually(lambda: busy.states().get("SUCCEEDED") == len(others), within=20, what="the quick jobs to end")
    assert busy.state(slow) == "RUNNING"
    busy.opened.set()
    assert started.report().counts["succeeded"] == 61


def test_no_more_handlers_run_at_once_than_the_concurrency(kitchen: Kitchen) -> None:
    now, most, lock = [0], [0], threading.Lock()
    gate = threading.Barrier(3, timeout=30)

    def handler(ctx: JobContext, payload: Any) -> None:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        gate.wait()
        with lock:
            now[0] -= 1

    kitchen.handle("count", handler)
    kitchen.put("count", 12)
    assert kitchen.drain(concurrency=3).counts["succeeded"] == 12
    assert most == [3]


def test_a_window_is_taken_once_by_eight_drains_that_want_it(busy: Kitchen) -> None:
    busy.put("quick", 40)
    key = window(busy)
    drains = [busy.start(dispatch_key=key, until_empty=True) for _ in range(8)]
    reports = [started.report() for started in drains]
    (winner,) = [report for report in reports if report.took_window]
    assert winner.counts["succeeded"] == 40
    for report in reports:
        if report is not winner:
            assert report.why_not is not None
            assert f"taken by function run {winner.function_run_id}" in report.why_not
            assert report.sentence().startswith("shard-00: not drained")
    assert busy.row("SELECT count(*) AS n FROM function_run")["n"] == 1
    assert {len(busy.outcomes(r.job_id)) for r in busy.rows("SELECT job_id FROM job")} == {1}


@pytest.mark.parametrize(
    ("prepare", "why"),
    [
        ("SELECT 1", "was taken by function run 1 (CLOSED)"),
        ("UPDATE dispatch_window SET dispatch_key = 'other'", "there is no window"),
        (
            """INSERT INTO dispatch_window (dispatch_key, shard, source, launch_by, state, closed_at)
            VALUES ('late', 'shard-00', 'cli', now(), 'MISSED', now())""",
            "window late is MISSED",
        ),
    ],
)
def test_a_drain_that_cannot_have_its_window_says_why(busy: Kitchen, prepare: str, why: str) -> None:
    busy.put("quick")
    key = window(busy)
    busy.drain(dispatch_key=key)
    busy.rows(prepare)
    report = busy.drain(dispatch_key="late" if "late" in why else key)
    assert not report.took_window
    assert why in str(report.why_not)
    assert busy.row("SELECT count(*) AS n FROM function_run")["n"] == 1


def test_a_drain_raises_when_the_database_is_away_before_it_has_begun(kitchen: Kitchen) -> None:
    away = Database("postgresql:///nowhere?host=/nonexistent/socket")
    with pytest.raises(DatabaseUnavailable, match="not answering"):
        drain(away, kitchen.registry, DrainOptions(SHARD))


# ------------------------------------------------------------------------------------------------ ends


def test_at_its_budget_a_drain_hands_over_to_a_second_one_and_loses_nothing(kitchen: Kitchen) -> None:
    done = Counter[int]()
    lock = threading.Lock()

    def handler(ctx: JobContext, payload: Any) -> None:
        threading.Event().wait(0.02)
        with lock:
            done[ctx.job_id] += 1

    kitchen.handle("work", handler)
    ids = kitchen.put("work", 150)
    first = kitchen.start(budget_seconds=0.5, concurrency=2)
    waiting = "SELECT dispatch_key FROM dispatch_window WHERE source = 'successor' AND state = 'OPEN'"
    eventually(lambda: kitchen.rows(waiting), within=20, what="the first drain to hand over")
    key = kitchen.row(waiting)["dispatch_key"]
    assert kitchen.row("SELECT state FROM function_run")["state"] == "RUNNING"  # it works on until it is relieved
    second = kitchen.start(dispatch_key=key, until_empty=True).report()
    report = first.report()
    assert (report.end_reason, report.successor_key) == ("budget", key)
    assert second.took_window
    assert set(done) == set(ids)
    assert set(done.values()) == {1}
    assert kitchen.states() == {"SUCCEEDED": 150}
    assert report.counts["succeeded"] + second.counts["succeeded"] == 150
    assert not any(r.outcome == "LOST" for r in kitchen.rows("SELECT outcome FROM job_attempt"))


def test_at_its_budget_with_nothing_left_a_drain_has_no_successor(busy: Kitchen) -> None:
    busy.put("quick", 5)
    report = busy.start(budget_seconds=0.5).report()
    assert (report.end_reason, report.successor_key) == ("budget", None)
    assert busy.states() == {"SUCCEEDED": 5}


def test_a_successor_that_does_not_come_does_not_keep_a_drain_forever(busy: Kitchen) -> None:
    busy.put("slow", 30)
    started = busy.start(budget_seconds=0.3, limits=replace(BRISK, handover_seconds=0.3))
    eventually(
        lambda: busy.rows("SELECT 1 FROM dispatch_window WHERE source = 'successor'"), within=20, what="a successor"
    )
    eventually(lambda: busy.rows("SELECT 1 FROM job_attempt WHERE outcome = 'RELEASED'")
               or busy.states().get("RUNNING", 0) <= 4, within=20, what="the surplus to go back")  # fmt: skip
    busy.opened.set()
    assert started.report().end_reason == "budget"


def test_a_drain_past_its_budget_can_still_be_told_to_stop(busy: Kitchen) -> None:
    busy.put("slow", 5)
    limits = replace(BRISK, handover_seconds=0.0)  # its loop ends where it hands over
    started = busy.start(budget_seconds=0.2, concurrency=1, hand_over=True, limits=limits)
    eventually(lambda: busy.states().get("RUNNING"), within=20, what="the job to run")
    handed_over = "SELECT 1 FROM dispatch_window WHERE state = 'OPEN'"
    eventually(lambda: busy.rows(handed_over), within=20, what="the budget to be over")
    report = started.finish()  # well before the handler's deadline of 30 s
    assert report.end_reason == "budget"
    assert report.seconds < 20
    assert busy.states() == {"PENDING": 5}


def test_a_stopped_drain_gives_running_handlers_a_grace_and_the_rest_back(kitchen: Kitchen) -> None:
    kitchen.handle("quick", lambda ctx, payload: None)
    entered = threading.Semaphore(0)

    def slow(ctx: JobContext, payload: Any) -> None:
        entered.release()
        assert kitchen.opened.wait(30)

    kitchen.handle("slow", slow)
    warm = kitchen.put("quick", 40)  # quick handlers earn a buffer of claimed jobs
    started = kitchen.start(limits=replace(BRISK, termination_grace_seconds=10), concurrency=2)
    eventually(lambda: kitchen.states() == {"SUCCEEDED": len(warm)}, within=20, what="the quick jobs to end")
    slow_ids = kitchen.put("slow", 12)
    for _ in range(2):
        assert entered.acquire(timeout=30)
    started.stop.set()
    eventually(lambda: kitchen.states().get("RUNNING") == 2, within=30, what="unstarted jobs to go back")
    kitchen.opened.set()
    report = started.report()
    assert report.end_reason == "stopped"
    assert kitchen.states() == {"SUCCEEDED": len(warm) + 2, "PENDING": 10}
    assert report.counts["lost"] == 0
    assert {kitchen.job(job_id)["attempt"] for job_id in slow_ids if kitchen.state(job_id) == "PENDING"} == {0}
    assert report.successor_key is not None
    assert (
        kitchen.row("SELECT state FROM dispatch_window WHERE dispatch_key = :k", k=report.successor_key)["state"]
        == "OPEN"
    )


def test_a_handler_that_outlasts_the_grace_loses_its_attempt_and_the_job_goes_back(busy: Kitchen) -> None:
    (job_id,) = busy.put("slow")
    started = busy.start()
    busy.until(job_id, "RUNNING")
    report = started.finish()
    assert report.counts["lost"] == 1
    assert (busy.state(job_id), busy.outcomes(job_id), busy.job(job_id)["attempt"]) == ("PENDING", ["LOST"], 1)


def test_everybody_can_be_asked_to_stop_and_hears_it_at_once(busy: Kitchen) -> None:
    started = busy.start(limits=replace(BRISK, heartbeat_seconds=60, lease_seconds=180))
    eventually(lambda: busy.rows("SELECT 1 FROM function_run"), within=20, what="the drain to begin")
    assert request_stop_all(busy.db, "a test says so") == 1
    report = started.report(within=30)  # before the next heartbeat
    assert (report.end_reason, report.end_detail) == ("stopped", "a test says so")
    assert request_stop_all(busy.db, "again") == 0


def test_one_shard_can_be_asked_to_stop(busy: Kitchen) -> None:
    here, there = busy.start(), busy.start(shard="shard-01")
    eventually(lambda: len(busy.rows("SELECT 1 FROM function_run")) == 2, within=20, what="both drains to begin")
    assert request_stop_all(busy.db, "only there", shard="shard-01") == 1
    assert there.report().end_reason == "stopped"
    assert here.thread.is_alive()


def test_a_drain_with_too_many_hung_handlers_ends_and_a_fresh_one_goes_on(busy: Kitchen) -> None:
    def hang(ctx: JobContext, payload: Any) -> None:
        busy.opened.wait(60)

    busy.handle("hang", hang, deadline_seconds=1, max_attempts=1)
    busy.put("hang", 3)
    report = busy.start(limits=replace(BRISK, abandoned_threads_max=2), concurrency=1).report()
    assert (report.end_reason, report.counts["abandoned_threads"]) == ("slots_hung", 3)
    assert busy.states() == {"DEAD": 3}
    busy.put("quick")
    assert busy.drain().counts["succeeded"] == 1


def test_a_drain_serves_only_its_shard(busy: Kitchen) -> None:
    for number in range(40):
        busy.put("quick", workspace=f"workspace-{number}")
    reports = [busy.drain(shard=f"shard-{n:02d}", shards=4) for n in range(4)]
    assert sum(report.counts["succeeded"] for report in reports) == 40
    assert all(report.counts["succeeded"] for report in reports)
    assert busy.states() == {"SUCCEEDED": 40}


def test_two_drains_of_one_shard_share_the_work_and_do_nothing_twice(kitchen: Kitchen) -> None:
    kitchen.handle("work", lambda ctx, payload: None)
    for number in range(20):
        kitchen.put("work", 20, workspace=f"workspace-{number}")
    with ThreadPoolExecutor(3) as pool:
        reports = list(pool.map(lambda _: kitchen.drain(), range(3)))
    assert sum(report.counts["succeeded"] for report in reports) == 400
    assert kitchen.states() == {"SUCCEEDED": 400}
    assert kitchen.row("SELECT count(*) AS n FROM job_attempt")["n"] == 400
    assert {report.counts["late_writes_refused"] for report in reports} == {0}
