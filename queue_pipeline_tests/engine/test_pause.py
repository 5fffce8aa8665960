"""What is paused is not started, keeps its place, and goes on when the pause ends."""

import threading
from collections import Counter
from typing import Any

import pytest

from queue_pipeline import JobContext
from queue_pipeline.domain.dispatch_window import WindowSource
from queue_pipeline.domain.errors import InvalidInput
from queue_pipeline.domain.limits import Limits
from queue_pipeline.engine import health, pause
from queue_pipeline.engine.dispatch import open_due_windows
from queue_pipeline.engine.jobs import cancel_job
from queue_pipeline.store import enqueue as enqueue_store
from queue_pipeline.store import pause as store
from queue_pipeline_tests.engine.kitchen import BRISK, SHARD, Bystander, Kitchen
from queue_pipeline_tests.waiting import eventually

SHARDS = [SHARD]


def stop(kitchen: Kitchen, scope: str, name: str = "", **fields: Any) -> store.Pause:
    return pause.pause(kitchen.db, scope, name, who="ada", why="a test", shards=1, **fields)


def go_on(kitchen: Kitchen, scope: str, name: str = "", **fields: Any) -> store.Pause:
    return pause.resume(kitchen.db, scope, name, who="ada", why="a test", shards=1, **fields)


def noted(kitchen: Kitchen, kind: str = "note") -> list[str]:
    order: list[str] = []
    kitchen.handle(kind, lambda ctx, payload: order.append(f"{ctx.workspace}/{kind}"))
    return order


def oldest(kitchen: Kitchen) -> float:
    return health.measure(kitchen.db, limits=Limits(), shards=SHARDS).oldest_due_age_seconds


@pytest.mark.parametrize("limits", [Limits(), Limits(promote_batch=3)], ids=["one batch", "many batches"])
def test_a_paused_workspace_is_passed_over_and_goes_on_where_it_stood(kitchen: Kitchen, limits: Limits) -> None:
    order = noted(kitchen)
    jobs = kitchen.put("note", 10, workspace="paused")
    kitchen.rows("UPDATE job SET first_due_at = now() - interval '1 hour', run_at = now() - interval '1 hour'")
    kitchen.put("note", 5, workspace="free")
    stop(kitchen, "workspace", "paused", limits=limits)
    kitchen.put("note", 1, workspace="paused")
    pause.look(kitchen.db)
    kitchen.drain()
    assert Counter(order) == {"free/note": 5}
    assert kitchen.states() == {"SCHEDULED": 11, "SUCCEEDED": 5}
    assert oldest(kitchen) == 0
    go_on(kitchen, "workspace", "paused", limits=limits)
    assert kitchen.job(jobs[0])["state"] == "SCHEDULED"
    assert oldest(kitchen) == pytest.approx(3600, abs=60)
    kitchen.drain()
    assert kitchen.states() == {"SUCCEEDED": 16}


def test_a_paused_kind_is_parked_by_the_claim_that_meets_it_and_others_of_its_lane_go_on(kitchen: Kitchen) -> None:
    order, bad = noted(kitchen), noted(kitchen, "bad")
    kitchen.put("bad", 70)
    kitchen.put("note", 5)
    stop(kitchen, "kind", "bad")
    report = kitchen.drain()
    assert order == ["acme/note"] * 5
    assert bad == []
    assert report.counts["claimed"] == 5
    assert kitchen.row("SELECT count(*) AS n FROM job WHERE parked AND attempt = 0") == {"n": 70}
    go_on(kitchen, "kind", "bad")
    kitchen.drain()
    assert len(bad) == 70


def test_a_running_drain_hears_of_a_pause_at_once_and_ends_nothing(kitchen: Kitchen) -> None:
    started, ended = threading.Semaphore(0), []

    def handler(ctx: JobContext, payload: Any) -> None:
        started.release()
        kitchen.opened.wait(20)
        ended.append(ctx.job_id)

    kitchen.handle("slow", handler)
    order = noted(kitchen)
    kitchen.put("slow", 1)
    drain = kitchen.start()
    assert started.acquire(timeout=30)
    stop(kitchen, "everything")
    (pid,) = (row[0] for row in kitchen.rows("SELECT function_run_id FROM function_run WHERE state = 'RUNNING'"))
    kitchen.put("note", 3)
    kitchen.opened.set()
    eventually(lambda: len(ended) == 1 and kitchen.states().get("SUCCEEDED") == 1, within=30, what="what ran to end")
    assert order == []
    go_on(kitchen, "everything")
    eventually(lambda: len(order) == 3, within=30, what="the rest to be claimed")
    assert drain.finish().function_run_id == pid


def test_no_window_is_opened_for_a_paused_shard_and_the_reason_says_who(kitchen: Kitchen) -> None:
    noted(kitchen)
    kitchen.put("note", 1)
    stop(kitchen, "shard", SHARD)
    (said,) = open_due_windows(kitchen.db, SHARDS, source=WindowSource.SENSOR, window_seconds=5)
    assert said.dispatch_key is None
    assert "shard shard-00 is paused since" in said.why
    assert said.why.endswith("by ada")
    go_on(kitchen, "shard", SHARD)
    (said,) = open_due_windows(kitchen.db, SHARDS, source=WindowSource.SENSOR, window_seconds=5)
    assert said.dispatch_key is not None


def test_a_pause_ends_by_the_clock_of_the_database(kitchen: Kitchen) -> None:
    order = noted(kitchen)
    kitchen.put("note", 2, workspace="acme")
    stop(kitchen, "workspace", "acme", hours=1)
    pause.look(kitchen.db)
    kitchen.drain()
    assert order == []
    kitchen.rows("UPDATE pause SET until = clock_timestamp() - interval '1 second'")
    pause.look(kitchen.db)
    kitchen.drain()
    assert len(order) == 2
    (ended,) = pause.listed(kitchen.db, open_only=False)
    assert (ended.ended_by, ended.end_reason) == ("clock", "its time was over")


def test_a_job_that_was_parked_too_late_is_found_by_the_next_look(kitchen: Kitchen) -> None:
    """A drain that has not heard of the end parks once more; nothing may stay behind for ever."""
    order = noted(kitchen)
    stop(kitchen, "kind", "note")
    kitchen.put("note", 1)
    go_on(kitchen, "kind", "note")
    kitchen.rows("UPDATE job SET state = 'SCHEDULED', parked = true")
    assert pause.look(kitchen.db) == 1
    kitchen.drain()
    assert len(order) == 1
    kitchen.rows("UPDATE pause SET ended_at = clock_timestamp() - interval '1 minute'")
    pause.look(kitchen.db)
    assert kitchen.row("SELECT released_at IS NOT NULL AS released FROM pause") == {"released": True}


def test_two_pauses_of_one_job_must_both_end(kitchen: Kitchen) -> None:
    order = noted(kitchen)
    kitchen.put("note", 3)
    stop(kitchen, "kind", "note")
    stop(kitchen, "workspace", "acme")
    go_on(kitchen, "kind", "note")
    kitchen.drain()
    assert order == []
    go_on(kitchen, "workspace", "acme")
    kitchen.drain()
    assert len(order) == 3


def test_a_workspace_can_be_paused_before_its_first_job(kitchen: Kitchen) -> None:
    order = noted(kitchen)
    stop(kitchen, "workspace", "new")
    kitchen.put("note", 1, workspace="new")
    pause.look(kitchen.db)
    kitchen.drain()
    assert order == []
    assert kitchen.row("SELECT ready, paused FROM workspace_lane") == {"ready": False, "paused": True}


def test_a_parked_job_can_be_cancelled_and_replaced(kitchen: Kitchen) -> None:
    noted(kitchen)
    job, other = kitchen.put("note", 2)
    stop(kitchen, "workspace", "acme")
    cancel_job(kitchen.db, job, "not wanted")
    assert kitchen.state(job) == "CANCELLED"
    with kitchen.db.begin() as tx:
        row = enqueue_store.JobRow("acme", "{}", None, None, 0)
        assert enqueue_store.replace(tx, other, row)
    assert kitchen.job(other)["parked"] is False


@pytest.mark.parametrize(
    ("scope", "name", "field"),
    [
        ("queue", "x", "scope"),
        ("workspace", " ", "name"),
        ("everything", "x", "name"),
        ("shard", "shard-09", "name"),
        ("kind", "a\0b", "name"),
    ],
)
def test_what_cannot_be_paused_is_said(kitchen: Kitchen, scope: str, name: str, field: str) -> None:
    with pytest.raises(InvalidInput, match=field):
        stop(kitchen, scope, name)
    with pytest.raises(InvalidInput, match="hours"):
        stop(kitchen, "kind", "note", hours=0)


def test_what_is_paused_already_or_not_at_all_is_said(kitchen: Kitchen) -> None:
    stop(kitchen, "kind", "note")
    with pytest.raises(InvalidInput, match="paused already"):
        stop(kitchen, "kind", "note")
    with pytest.raises(InvalidInput, match="not paused"):
        go_on(kitchen, "kind", "other")
    with pytest.raises(InvalidInput, match="who"):
        pause.resume(kitchen.db, "kind", "note", who=" ", why="x", shards=1)


def test_a_paused_lane_is_never_ready_whoever_wakes_it(kitchen: Kitchen) -> None:
    noted(kitchen)
    kitchen.put("note", 1)
    bystander = Bystander(kitchen.db)
    bystander.exchange()
    stop(kitchen, "workspace", "acme", limits=BRISK)
    kitchen.put("note", 1)
    bystander.exchange()
    assert kitchen.row("SELECT ready FROM workspace_lane") == {"ready": False}
    bystander.close()
