"""The fair order of lanes and jobs as pure functions, and how fair an order was.

`store/claim.py` and `store/lane.py` carry out the same rules in SQL; a test holds both to the same picks.
"""

from collections.abc import Collection, Iterable, Sequence
from itertools import islice
from typing import Protocol, TypeVar

from queue_pipeline.domain.lane import VTIME_PER_JOB
from queue_pipeline.domain.limits import Limits

#: One step of priority is worth so much waiting, so that nothing waits for ever behind priority.
PRIORITY_STEP_MICROSECONDS = round(Limits().priority_step_seconds * 1_000_000)


class FairLane(Protocol):
    """A ready lane as a claim sees it: `cap` is how many of its jobs may run at once, `in_flight` how many do."""

    workspace: str
    vtime: int
    weight: int
    cap: int
    in_flight: int

    def next_jobs(self, count: int) -> Sequence[int]:
        """The ids of up to `count` waiting jobs, in the order of `rank` and then of their ids."""


LaneT = TypeVar("LaneT", bound=FairLane)


def rank(run_at_microseconds: int, priority: int) -> int:
    """The place of a job in its lane; the lowest is taken first. It never changes while the job waits."""
    return run_at_microseconds + priority * PRIORITY_STEP_MICROSECONDS


def vtime_step(weight: int) -> int:
    """How far one job moves the virtual time of a lane of this weight."""
    return VTIME_PER_JOB // weight


def virtual_time(*, lowest_ready: int | None, highest_resting: int | None) -> int:
    """The virtual time of a shard: that of the lane served next, or of the one served most when all rest."""
    if lowest_ready is not None:
        return lowest_ready
    return 0 if highest_resting is None else highest_resting


def joined(vtime: int, shard_vtime: int) -> int:
    """The virtual time of a lane that becomes ready: it is not owed the time in which it rested, and keeps its lead."""
    return max(vtime, shard_vtime)


def pick(lanes: Iterable[LaneT], size: int, *, room: int) -> list[tuple[LaneT, int]]:
    """The jobs that a claim of up to `size` takes, each with its lane, by virtual finish time.

    `lanes` are the ready lanes in the order of (vtime, workspace). The first `size` of them that are below their cap
    are looked at, and no more of `lanes` is read; a lane at its cap is passed over. `room` is how many more jobs may
    be in flight in all. Each pick moves its lane by `vtime_step`, but for those whose kind is paused: they are set
    aside instead of claimed.
    """
    if room <= 0:
        return []
    open_lanes = islice((lane for lane in lanes if lane.in_flight < lane.cap), size)
    candidates = [
        (lane.vtime + place * vtime_step(lane.weight), lane.workspace, place, lane, job_id)
        for lane in open_lanes
        for place, job_id in enumerate(lane.next_jobs(min(lane.cap - lane.in_flight, size)), start=1)
    ]
    candidates.sort(key=lambda candidate: candidate[:3])
    return [(lane, job_id) for _, _, _, lane, job_id in candidates[: min(size, room)]]


def jain_index(rates: Collection[float]) -> float | None:
    """How equal the rates are: 1 when all are the same, 1/n when one has everything; None of nothing.

    (sum x)^2 / (n * sum x^2); R. Jain, D. Chiu, W. Hawe, "A Quantitative Measure of Fairness", 1984. The rates of
    lanes with different weights are divided by them first.
    """
    squares = sum(rate * rate for rate in rates)
    return sum(rates) ** 2 / (len(rates) * squares) if squares else None


def starvation_factor(p95_by_workspace: Iterable[float], p95_of_all: float, *, floor: float = 1.0) -> float | None:
    """How much worse the worst workspace fares than all: its p95 of waits over that of all jobs; None of nothing.

    Waits are seconds. A `p95_of_all` below `floor` counts as the floor: who waits less than that is not starved.
    """
    worst = max(p95_by_workspace, default=None)
    return None if worst is None else worst / max(p95_of_all, floor)
