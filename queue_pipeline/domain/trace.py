"""A trace is what happened to one job, in order, with the gap before each event and the longest gap named."""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from queue_pipeline.domain.gap import Stretch, cause_of


@dataclass(frozen=True)
class TraceEvent:
    """Something that happened, and why the time before it went by.

    `detail` and `because` hold ids, codes and times only; `said` and `because_said` are what people or programs wrote,
    which may name somebody. `gap_seconds` is the time since the event before it. `beside` marks what happened around
    the job and not to it, such as a switch that was flipped.
    """

    at: datetime
    what: str
    detail: str = ""
    said: str = ""
    gap_seconds: float = 0.0
    cause: str = ""
    because: str = ""
    because_said: str = ""
    beside: bool = False


@dataclass(frozen=True)
class Gap:
    """Time in which nothing happened to the job but one cause, from `after` to `before` (names of events)."""

    since: datetime
    until: datetime
    seconds: float
    after: str
    before: str
    cause: str
    because: str
    because_said: str


@dataclass(frozen=True)
class Trace:
    """One job's events in order. `result` is what became of the job, `customer` what the customer saw of it."""

    job_id: int
    kind: str
    workspace: str
    lead_id: int | None
    state: str
    result: str
    result_said: str
    customer: str
    customer_said: str
    events: tuple[TraceEvent, ...]

    @property
    def longest_gap(self) -> Gap | None:
        """The longest time in one cause, or None when nothing took time."""
        return longest_gap(self.events)


def in_order(events: Iterable[TraceEvent], stretches: Sequence[Stretch] = ()) -> tuple[TraceEvent, ...]:
    """The events by time, each with the gap since the one before it and the cause of that gap."""
    ordered = sorted(events, key=lambda event: event.at)
    told = []
    for place, event in enumerate(ordered):
        before = ordered[place - 1].at if place else event.at
        why = cause_of(before, event.at, stretches)
        gap = (event.at - before).total_seconds()
        if why is None:
            told.append(replace(event, gap_seconds=gap))
        else:
            told.append(
                replace(event, gap_seconds=gap, cause=why.cause.value, because=why.sentence, because_said=why.said)
            )
    return tuple(told)


def longest_gap(events: Sequence[TraceEvent]) -> Gap | None:
    """The longest gap; neighbouring gaps with the same cause are one, whatever happened elsewhere meanwhile.

    The time after the last event of the job itself is nobody's wait.
    """
    last_own = max((place for place, event in enumerate(events) if not event.beside), default=-1)
    gaps: list[Gap] = []
    for before, event in itertools.pairwise(events[: last_own + 1]):
        last = gaps[-1] if gaps else None
        if last is not None and event.because and last.because == event.because:
            seconds = (event.at - last.since).total_seconds()
            gaps[-1] = replace(last, until=event.at, seconds=seconds, before=event.what)
        else:
            gaps.append(
                Gap(
                    since=before.at,
                    until=event.at,
                    seconds=event.gap_seconds,
                    after=before.what,
                    before=event.what,
                    cause=event.cause,
                    because=event.because,
                    because_said=event.because_said,
                )
            )
    longest = max(gaps, key=lambda gap: gap.seconds, default=None)
    return longest if longest is not None and longest.seconds > 0 else None


def last_frame(stack: str) -> str:
    """The innermost line of the program itself in a Python stack; of a library when there is no other."""
    frames = [line.strip() for line in stack.splitlines() if line.strip().startswith("File ")]
    own = [frame for frame in frames if "/lib/python" not in frame and "/site-packages/" not in frame]
    return (own or frames or [stack.strip().splitlines()[-1] if stack.strip() else ""])[-1]
