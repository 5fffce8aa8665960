"""Capacity control that acts: one decision per interval, more and fewer handlers in a living drain, an operator's word."""

import contextlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from queue_pipeline import JobContext, PermanentFailure
from queue_pipeline.domain.capacity import CapacityPolicy
from queue_pipeline.domain.dispatch_window import WindowSource
from queue_pipeline.domain.errors import InvalidInput
from queue_pipeline.domain.flag import CAPACITY_MODE
from queue_pipeline.engine import capacity, flags
from queue_pipeline.engine.capacity_tick import tick
from queue_pipeline.engine.dispatch import open_due_windows, open_relief_window
from queue_pipeline.store import canary as store_canary
from queue_pipeline.store import capacity_in_force as in_force_store
from queue_pipeline.store.capacity import Decision
from queue_pipeline.store.session import Database
from queue_pipeline_tests.engine.kitchen import BRISK, SHARD, Bystander, Kitchen
from queue_pipeline_tests.waiting import eventually

#: One shard of two handlers; every look is due at once, as `hurry` makes time pass.
POLICY = CapacityPolicy(shards=1, floor=1, configured=2, ceiling=12)
WHO: dict[str, Any] = {"who": "Ada", "why": "trying it"}


def set_mode(db: Database, mode: str) -> None:
    flags.flip(db, CAPACITY_MODE, mode, **WHO)


def look(db: Database, policy: CapacityPolicy = POLICY, *, seconds: float = 61) -> list[str]:
    """Let an interval pass, and look."""
    with db.begin() as tx:
        tx.execute(sa.text("ALTER TABLE capacity_decision DISABLE TRIGGER USER"))
        for table, column in (("capacity_decision", "decided_at"), ("capacity_sample", "sampled_at")):
            tx.execute(sa.text(f"UPDATE {table} SET {column} = {column} - make_interval(secs => {seconds})"))
    return list(tick(db, policy).said)


def decisions(db: Database) -> list[Decision]:
    """Oldest first."""
    return list(reversed(capacity.status(db, POLICY).decisions))


class Gate:
    """A handler that waits until it is let go, and counts how many wait at once."""

    def __init__(self, kitchen: Kitchen) -> None:
        self.at_once = 0
        self._lock = threading.Lock()
        self._kitchen = kitchen
        kitchen.handle("wait", self._wait, deadline_seconds=120)

    def _wait(self, _: JobContext, __: Any) -> None:
        with self._lock:
            self.at_once += 1
        self._kitchen.opened.wait(60)
        with self._lock:
            self.at_once -= 1

    def put(self, count: int, *, minutes_ago: float = 3) -> None:
        """Jobs that wait already."""
        self._kitchen.put("wait", count)
        for column in ("run_at", "first_due_at"):
            self._kitchen.rows(f"UPDATE job SET {column} = {column} - make_interval(mins => :m)", m=int(minutes_ago))

    def until(self, count: int) -> None:
        eventually(lambda: self.at_once == count, within=30, what=f"{count} handlers at once")


@pytest.fixture
def gate(kitchen: Kitchen) -> Gate:
    return Gate(kitchen)


@contextmanager
def lock_storm(db: Database, sessions: int = 6) -> Iterator[None]:
    """Sessions of their own that wait for one row, which another one holds."""
    with db.begin() as tx:
        tx.execute(sa.text("CREATE TABLE storm AS SELECT 1 AS row"))
    holder = psycopg.connect(db.url, options="-c search_path=queue_pipeline")
    waiters = [psycopg.connect(db.url, options="-c search_path=queue_pipeline") for _ in range(sessions)]

    def wait(connection: psycopg.Connection[Any]) -> None:
        with contextlib.suppress(psycopg.Error):
            connection.execute("SELECT FROM storm FOR UPDATE")
            connection.rollback()

    with ThreadPoolExecutor(sessions) as pool:
        try:
            holder.execute("SELECT FROM storm FOR UPDATE")
            for waiter in waiters:
                pool.submit(wait, waiter)
            eventually(lambda: waiting_for_locks(db) == sessions, within=30, what="everybody to wait")
            yield
        finally:
            holder.close()
    for waiter in waiters:
        waiter.close()


def waiting_for_locks(db: Database) -> int:
    with db.begin() as tx:
        return store_canary.measure_contention(tx).lock_waiting


def held(db: Database) -> tuple[int | None, int | None]:
    with db.begin() as tx:
        now = capacity.in_force(tx)
        return now.workers, now.in_flight_max


def living(db: Database) -> int:
    with db.begin() as tx:
        return len(in_force_store.living(tx))


def windows(db: Database, *, seconds: int = 1) -> list[str | None]:
    opened = open_due_windows(db, [SHARD], source=WindowSource.SENSOR, window_seconds=seconds, limits=BRISK)
    return [each.dispatch_key for each in opened]


def test_in_enforce_the_number_of_running_handlers_follows_the_load(kitchen: Kitchen, gate: Gate) -> None:
    set_mode(kitchen.db, "enforce")
    gate.put(60)
    kitchen.start(concurrency=2)
    gate.until(2)
    look(kitchen.db)
    assert look(kitchen.db) == [
        "Workers 2 to 4, jobs in flight stay 1,024 (ramp_step): nothing was finished yet, so what the load needs is not known."
    ]
    gate.until(4)
    look(kitchen.db)
    gate.until(8)
    assert [d.reason_code for d in decisions(kitchen.db)] == ["hold_target_reached", "ramp_step", "ramp_step"]


def test_in_observe_it_is_told_and_nothing_changes(kitchen: Kitchen, gate: Gate) -> None:
    gate.put(60)
    kitchen.start(concurrency=2)
    gate.until(2)
    look(kitchen.db)
    (said,) = look(kitchen.db)
    assert said.startswith("Only observed: Workers 2 to 4")
    (said,) = look(kitchen.db)
    assert said.startswith("Only observed: Workers 2 to 4"), (
        "it tells what it would do now, not what it would have become"
    )
    ruled = kitchen.row("SELECT count(*) AS n FROM function_run WHERE workers = 2")
    assert (gate.at_once, held(kitchen.db), ruled["n"]) == (2, (None, None), 1)
    assert kitchen.row("SELECT workers FROM capacity_in_force") == {"workers": None}


def test_a_real_lock_storm_steps_down_within_two_samples_and_nobody_is_interrupted(
    kitchen: Kitchen, gate: Gate
) -> None:
    set_mode(kitchen.db, "enforce")
    gate.put(60)
    kitchen.start(concurrency=2)
    look(kitchen.db)
    look(kitchen.db)
    look(kitchen.db)
    gate.until(8)
    with lock_storm(kitchen.db):
        look(kitchen.db)
        look(kitchen.db)
    latest = decisions(kitchen.db)[-1]
    assert (latest.reason_code, latest.to_workers) == ("guardrail_step_down", latest.from_workers // 2)
    assert [guardrail["name"] for guardrail in latest.guardrails] == ["lock_waits"]
    kitchen.opened.set()
    eventually(lambda: kitchen.states() == {"SUCCEEDED": 60}, within=20, what="all jobs to succeed")
    assert {row.outcome for row in kitchen.rows("SELECT outcome FROM job_attempt")} == {"SUCCEEDED"}


def test_fewer_workers_take_effect_when_handlers_end(kitchen: Kitchen, gate: Gate) -> None:
    gate.put(60)
    kitchen.start(concurrency=8)
    gate.until(8)
    capacity.override(kitchen.db, POLICY, workers=1, hours=1, **WHO)
    eventually(
        lambda: capacity.status(kitchen.db, POLICY).running == 1, within=30, what="the drain to have heard of it"
    )
    assert gate.at_once == 8
    kitchen.opened.set()
    kitchen.opened.clear()
    gate.until(1)


def test_eight_looks_at_once_make_one_decision(db: Database) -> None:
    for _ in range(2):
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _: tick(db, POLICY), range(8)))
    assert len(decisions(db)) == 1
    look(db)
    assert len(decisions(db)) == 2


def test_an_override_holds_at_once_and_ends_by_the_databases_clock(kitchen: Kitchen, gate: Gate) -> None:
    gate.put(60)
    kitchen.start(concurrency=2)
    gate.until(2)
    capacity.override(kitchen.db, POLICY, workers=6, hours=1, **WHO)
    gate.until(6)
    look(kitchen.db)
    assert (decisions(kitchen.db)[-1].reason_code, decisions(kitchen.db)[-1].to_workers) == ("operator_override", 6)
    kitchen.rows("UPDATE capacity_override SET until = clock_timestamp()")
    assert held(kitchen.db) == (None, None)
    assert look(kitchen.db)[0] == "The capacity override by Ada is over."
    ended = kitchen.row("SELECT ended_by, end_reason FROM capacity_override")
    assert ended == {"ended_by": "clock", "end_reason": "its time was over"}
    eventually(lambda: capacity.status(kitchen.db, POLICY).running == 2, within=30, what="as configured again")


def test_under_an_override_the_loop_keeps_its_own_number(kitchen: Kitchen, gate: Gate) -> None:
    set_mode(kitchen.db, "enforce")
    gate.put(60)
    look(kitchen.db)
    look(kitchen.db)
    assert held(kitchen.db) == (4, 1024)
    capacity.override(kitchen.db, POLICY, workers=12, in_flight_max=2048, hours=1, **WHO)
    look(kitchen.db)
    assert held(kitchen.db) == (12, 2048)
    assert [(d.from_workers, d.to_workers) for d in decisions(kitchen.db)[-2:]] == [(2, 4), (4, 12)]
    capacity.release(kitchen.db, **WHO)
    assert held(kitchen.db) == (4, 1024)
    look(kitchen.db)
    assert [(d.from_workers, d.to_workers) for d in decisions(kitchen.db)[-1:]] == [(12, 8)]


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"workers": 0}, "workers"),
        ({"workers": 13}, "workers"),
        ({"in_flight_max": 1023}, "in_flight_max"),
        ({}, "workers"),
        ({"workers": 4, "hours": 0}, "hours"),
        ({"workers": 4, "hours": 73}, "hours"),
        ({"workers": 4, "who": " "}, "who"),
        ({"workers": 4, "why": ""}, "why"),
    ],
)
def test_an_override_beyond_the_bounds_or_without_a_reason_is_refused(
    db: Database, asked: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        capacity.override(db, POLICY, **{"hours": 1, **WHO, **asked})
    assert refused.value.field == field
    with pytest.raises(InvalidInput):
        capacity.release(db, **WHO)


def test_a_new_override_replaces_the_one_before(db: Database) -> None:
    capacity.override(db, POLICY, workers=3, hours=1, **WHO)
    capacity.override(db, POLICY, workers=5, hours=1, who="Bob", why="more")
    assert held(db) == (5, None)
    with db.begin() as tx:
        ended = tx.execute(
            sa.text("SELECT ended_by, end_reason FROM capacity_override WHERE ended_at IS NOT NULL")
        ).all()
    assert ended == [("Bob", "replaced: more")]


def test_a_sample_that_cannot_be_taken_is_decided_upon_as_a_bad_one(db: Database, kitchen: Kitchen, gate: Gate) -> None:
    set_mode(db, "enforce")
    gate.put(60)
    look(db)
    kitchen.rows("ALTER TABLE send_attempt RENAME COLUMN http_status TO hidden")
    assert look(db) == []
    kitchen.rows("ALTER TABLE send_attempt RENAME COLUMN hidden TO http_status")
    look(db)
    look(db)
    reasons = [d.reason_code for d in decisions(db)]
    assert reasons == ["hold_target_reached", "hold_no_sample", "hold_no_sample", "ramp_step"]


def test_nobody_who_looked_for_long_holds_the_next_look(db: Database, kitchen: Kitchen, gate: Gate) -> None:
    gate.put(60)
    look(db)
    look(db, seconds=600)
    assert decisions(db)[-1].reason_code == "hold_no_sample"


def test_off_measures_nothing_and_takes_back_what_was_in_force(db: Database, kitchen: Kitchen, gate: Gate) -> None:
    set_mode(db, "enforce")
    gate.put(60)
    look(db)
    assert held(db) == (2, 1024)
    set_mode(db, "observe")
    assert held(db) == (None, None), "at once, not with the next look"
    capacity.override(db, POLICY, workers=5, hours=1, **WHO)
    set_mode(db, "off")
    look(db)
    assert (held(db), len(decisions(db))) == ((None, None), 1)
    set_mode(db, "enforce")
    assert held(db) == (5, None), "an operator's word still stands"


def test_two_drains_of_a_shard_share_its_workers(kitchen: Kitchen, gate: Gate) -> None:
    gate.put(60)
    capacity.override(kitchen.db, POLICY, workers=7, hours=1, **WHO)
    kitchen.start(concurrency=2)
    gate.until(7)
    kitchen.start(concurrency=2)
    eventually(lambda: living(kitchen.db) == 2, within=30, what="two drains")
    eventually(lambda: [row.workers for row in kitchen.rows(
        "SELECT workers FROM function_run ORDER BY function_run_id")] == [4, 3], within=30, what="a part each")  # fmt: skip
    assert capacity.status(kitchen.db, POLICY).running == 7


def test_dispatch_opens_as_many_windows_as_the_workers_need_one_for_each_tile(kitchen: Kitchen, gate: Gate) -> None:
    policy = replace(POLICY, ceiling=64)
    gate.put(200)
    capacity.override(kitchen.db, policy, workers=40, hours=1, **WHO)
    drains = [Bystander(kitchen.db)]
    for count in (2, 3):
        (key,) = eventually(lambda: [key for key in windows(kitchen.db) if key], within=30, what="one window more")
        assert windows(kitchen.db) == [None], "it waits for that one to be taken"
        kitchen.rows(
            "UPDATE dispatch_window SET state = 'MISSED', closed_at = now(), reason = 'test' WHERE state = 'OPEN'"
        )
        drains.append(Bystander(kitchen.db))
        assert (key.startswith("drain:v1:shard-00:1:"), len(drains)) == (True, count)
    opened = open_due_windows(kitchen.db, [SHARD], source=WindowSource.SENSOR, window_seconds=1, limits=BRISK)
    assert "and 2 more" in opened[0].why
    for drain in drains:
        drain.close()


def test_without_control_a_shard_has_one_drain_and_one_for_relief(kitchen: Kitchen, gate: Gate) -> None:
    gate.put(200)
    first = Bystander(kitchen.db)
    assert windows(kitchen.db) == [None]
    relief = open_relief_window(kitchen.db, SHARD, limits=BRISK)
    assert relief.dispatch_key is not None
    kitchen.rows("UPDATE dispatch_window SET state = 'MISSED', closed_at = now(), reason = 'test' WHERE state = 'OPEN'")
    second = Bystander(kitchen.db)
    assert "2 function runs already" in open_relief_window(kitchen.db, SHARD, limits=BRISK).why
    first.close()
    second.close()


def test_a_sample_says_what_happened_since_the_one_before(kitchen: Kitchen) -> None:
    def fail(_: JobContext, __: Any) -> None:
        raise PermanentFailure("no")

    kitchen.handle("good", lambda _, __: None)
    kitchen.handle("bad", fail)
    kitchen.put("good", 3)
    tick(kitchen.db, POLICY)
    kitchen.put("good", 4)
    kitchen.put("bad", 2)
    kitchen.drain()
    kitchen.put("good", 5, workspace="other")
    look(kitchen.db)
    sample = kitchen.row("SELECT * FROM capacity_sample ORDER BY capacity_sample_id DESC LIMIT 1")
    counted = ("arrivals", "finished", "failed", "retried", "due", "running", "active_workspaces")
    assert [sample[name] for name in counted] == [11, 9, 2, 0, 5, 0, 1]
    assert sample["claims"] >= 1
    assert (sample["by_shard"], sample["workers"]) == ({SHARD: 5}, 0)


def test_a_shards_need_is_what_its_lanes_may_have_at_once(kitchen: Kitchen, gate: Gate) -> None:
    def need() -> dict[str, int]:
        look(kitchen.db)
        sample = kitchen.row("SELECT by_shard FROM capacity_sample ORDER BY capacity_sample_id DESC LIMIT 1")
        return dict(sample["by_shard"])

    kitchen.put("wait", 100, workspace="mountain")
    assert need() == {SHARD: 64}, "a workspace without a lane has the default quota"
    kitchen.put("wait", 3, workspace="quiet")
    kitchen.rows("UPDATE job SET state = 'SCHEDULED', run_at = now() - interval '1 minute' WHERE workspace = 'quiet'")
    assert need() == {SHARD: 67}, "due, though nobody has put them in their lane yet"
    kitchen.start(concurrency=8)
    gate.until(8)
    assert need() == {SHARD: 67}
    kitchen.rows("UPDATE workspace_lane SET quota = 20 WHERE workspace = 'mountain'")
    assert need() == {SHARD: 23}, "jobs that run are among the twenty"
    kitchen.rows("UPDATE workspace_lane SET quota = 0 WHERE workspace = 'mountain'")
    assert need() == {SHARD: 3}


def test_an_outage_of_one_kind_leaves_workers_as_configured(kitchen: Kitchen) -> None:
    def fail(_: JobContext, __: Any) -> None:
        raise PermanentFailure("no")

    set_mode(kitchen.db, "enforce")
    kitchen.handle("bad", fail)
    policy = replace(POLICY, configured=6)
    for _ in range(3):
        kitchen.put("bad", 40)
        kitchen.drain()
        look(kitchen.db, policy)
    told = [(d.reason_code, d.to_workers) for d in decisions(kitchen.db)]
    assert told == [("guardrail_step_down", 6), ("hold_after_step_down", 6), ("hold_after_step_down", 6)]
