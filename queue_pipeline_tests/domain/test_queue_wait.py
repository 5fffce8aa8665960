"""Which cause is named for which facts, for every way in which a due job can wait."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from queue_pipeline.domain.gap import Cause, cause_of
from queue_pipeline.domain.queue_wait import HeldJob, RunFacts, WaitFacts, WindowFacts, waits

START = datetime(2031, 3, 4, 10, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def run(number: int, started: float, ended: float | None, end_reason: str | None = None, **changes: Any) -> RunFacts:
    """A function run; its heartbeat and its progress are as young as they can be unless it is said otherwise."""
    last = 1000.0 if ended is None else ended
    facts = RunFacts(
        function_run_id=number,
        shard="shard-01",
        where="nowhere.example, pid 7",
        started_at=at(started),
        ended_at=None if ended is None else at(ended),
        end_reason=end_reason,
        heartbeat_at=at(last),
        progress_at=at(last),
        lease_until=at(last + 30),
    )
    return replace(facts, **changes)


def window(opened: float, ended: float | None, run_id: int | None = None, source: str = "schedule") -> WindowFacts:
    return WindowFacts(f"key:{opened:g}", source, at(opened), None if ended is None else at(ended), run_id)


def held(outcome: str = "LOST", **changes: Any) -> HeldJob:
    return replace(HeldJob(5, "lead.inbound", outcome, at(-10), at(100)), **changes)


def wait(*runs: RunFacts, windows: tuple[WindowFacts, ...] = (), until: float = 100, **changes: Any) -> WaitFacts:
    return replace(WaitFacts("shard-01", at(0), at(until), at(1000), runs, windows), **changes)


FROZEN = run(
    7, -60, 98, "lease_expired", heartbeat_at=at(2), progress_at=at(1), recovered_by="drain of shard-02",
    held=(held(step="draft", progress="asking the model", frame='File "drafter.py", line 3, in ask'),),
)  # fmt: skip

#: what happened: (facts, the cause, what its sentence must name)
WAITS: dict[str, tuple[WaitFacts, Cause, list[str]]] = {
    "a frozen function run": (
        wait(FROZEN),
        Cause.HUNG_FUNCTION_RUN,
        [
            "function run 7 of shard-01", "hung", "its last heartbeat was 1 min 36 s", "signal lease_expired",
            "drain of shard-02", "job 5 (lead.inbound) in step 'draft'", 'File "drafter.py", line 3, in ask',
        ],
    ),
    "a dead function run": (
        wait(run(7, -60, 90, "dead", heartbeat_at=at(5))),
        Cause.DEAD_FUNCTION_RUN,
        ["function run 7", "died", "signal dead"],
    ),
    "a function run that lived and did nothing": (
        wait(run(7, -60, 900, "stale", progress_at=at(-1)), until=900),
        Cause.HUNG_FUNCTION_RUN,
        ["hung although its heartbeat went on", "its last progress 15 min 01 s", "signal stale"],
    ),
    "a frozen function run that nobody has recovered": (
        wait(run(7, -60, None, heartbeat_at=at(-5), lease_until=at(25)), until=1000),
        Cause.HUNG_FUNCTION_RUN,
        ["function run 7", "nobody has recovered it yet"],
    ),
    "handlers that hung in every slot": (
        wait(run(7, -60, None, held=(held("TIMED_OUT", step="draft"),))),
        Cause.HUNG_HANDLER,
        ["hung in function run 7 of shard-01 until their deadline", "job 5 (lead.inbound) in step 'draft'"],
    ),
    "other work": (
        wait(run(7, -60, None), other_jobs=40, own_jobs=1),
        Cause.OTHER_WORK,
        ["function run 7", "40 jobs of other workspaces and 1 job of its own"],
    ),
    "other work, though a handler hung beside it": (
        wait(run(7, -60, None, held=(held("TIMED_OUT"),)), other_jobs=40),
        Cause.OTHER_WORK,
        ["40 jobs"],
    ),
    "a quota": (wait(run(7, -60, None), room=False), Cause.QUOTA, ["as its quota allows"]),
    "nobody, until the schedule opened a window": (
        wait(run(8, 91, None), windows=(window(90, 91, 8),), ran_before=run(6, -100, -30, "empty")),
        Cause.NOT_DRAINED,
        ["nobody drained shard-01 since function run 6 ended (empty) 2 min 00 s before", "window key:90", "by schedule"],
    ),
    "nobody, and no window": (
        wait(until=1000),
        Cause.NOT_DRAINED,
        ["nobody drained shard-01", "no window is open"],
    ),
    "a window that was taken late": (
        wait(run(8, 95, None), windows=(window(0, 95, 8, "sensor"),)),
        Cause.NOT_LAUNCHED,
        ["window key:0, opened by sensor, waited 1 min 35 s", "function run 8 took it"],
    ),
    "a window that nobody took": (
        wait(run(8, 99, None), windows=(window(1, 90), window(90, 99, 8, "recovery"))),
        Cause.NOT_LAUNCHED,
        ["window key:1", "nobody took it"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", list(WAITS))
def test_a_wait_is_named_after_what_the_records_prove(name: str) -> None:
    facts, cause, named = WAITS[name]
    why = cause_of(facts.since, facts.until, waits(facts))
    assert why is not None
    assert why.cause is cause
    for words in named:
        assert words in why.sentence


def test_what_a_handler_said_is_kept_apart_from_what_may_be_shown_anywhere() -> None:
    (why,) = [stretch for stretch in waits(wait(FROZEN)) if stretch.cause is Cause.HUNG_FUNCTION_RUN]
    assert "asking the model" not in why.sentence
    assert "asking the model" in why.said


@pytest.mark.parametrize("name", list(WAITS))
def test_no_stretch_reaches_beyond_the_wait(name: str) -> None:
    facts, _, _ = WAITS[name]
    assert all(facts.since <= stretch.since < stretch.until <= facts.until for stretch in waits(facts))


def test_a_wait_with_several_causes_is_told_part_by_part() -> None:
    facts = wait(
        run(7, -60, 40, "dead", heartbeat_at=at(20)), run(8, 70, None), windows=(window(60, 70, 8),), other_jobs=1
    )
    parts = [
        (stretch.cause, (stretch.since - START).total_seconds(), (stretch.until - START).total_seconds())
        for stretch in sorted(waits(facts), key=lambda stretch: stretch.since)
    ]
    assert parts == [
        (Cause.OTHER_WORK, 0, 20),
        (Cause.DEAD_FUNCTION_RUN, 20, 40),
        (Cause.NOT_DRAINED, 40, 60),
        (Cause.NOT_LAUNCHED, 60, 70),
        (Cause.OTHER_WORK, 70, 100),
    ]
