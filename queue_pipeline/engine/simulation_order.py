"""The orders that a simulation compares: one shard's waiting jobs, and who is next.

The fair order keeps lanes as the database does, and asks the rules of production who is next.
"""

import heapq
from bisect import insort
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from queue_pipeline.domain import fairness
from queue_pipeline.domain.simulation import BATCH, POOL, interleaved

#: A lane that has handed out so many jobs lets go of their places.
_SPENT_MAX = 1024


class WaitingJobs(Protocol):
    """The waiting jobs of one shard. Lanes are numbers; the lowest `rank` of a lane is the next of it."""

    def add(self, lane: int, job: int, rank: int) -> None:
        """A job is due."""

    def take(self, size: int, room: int) -> list[int]:
        """The jobs of one claim; `room` is how many more may be in flight in all."""

    def ended(self, lane: int) -> None:
        """A job of this lane is not in flight any more."""

    def jobs(self) -> list[int]:
        """All that wait, in no order."""


@dataclass(slots=True, eq=False)
class SimulatedLane:
    """A workspace's place in the fair order, as a row of `workspace_lane` has it, and its waiting jobs."""

    workspace: str
    weight: int
    cap: int
    vtime: int = 0
    in_flight: int = 0
    ready: bool = False
    at_cap: bool = False
    _waiting: list[tuple[int, int]] = field(default_factory=list, init=False)
    _spent: int = field(default=0, init=False)

    def add(self, rank: int, job: int) -> None:
        """A job waits."""
        insort(self._waiting, (rank, job), lo=self._spent)

    def next_jobs(self, count: int) -> Sequence[int]:
        """The next jobs, without taking them."""
        return [job for _, job in self._waiting[self._spent : self._spent + count]]

    def take_next(self) -> None:
        """The next job is in flight."""
        self._spent += 1
        self.in_flight += 1
        self.vtime += fairness.vtime_step(self.weight)
        if self._spent == len(self._waiting) or self._spent > _SPENT_MAX:
            del self._waiting[: self._spent]
            self._spent = 0

    @property
    def jobs_waiting(self) -> int:
        """How many jobs wait."""
        return len(self._waiting) - self._spent


class FairOrder:
    """Lanes by virtual time: production's rules on a heap instead of an index."""

    def __init__(self, lanes: Sequence[SimulatedLane]) -> None:
        self._lanes = lanes
        self._open: list[tuple[int, str, SimulatedLane]] = []
        self._at_cap: list[tuple[int, str, SimulatedLane]] = []
        self._highest = 0

    def add(self, lane: int, job: int, rank: int) -> None:
        """A job is due; its lane becomes ready where the shard's virtual time is now."""
        joining = self._lanes[lane]
        joining.add(rank, job)
        if not joining.ready:
            now = fairness.virtual_time(lowest_ready=self._lowest_ready(), highest_resting=self._highest)
            joining.vtime = fairness.joined(joining.vtime, now)
            self._place(joining)

    def take(self, size: int, room: int) -> list[int]:
        """The jobs of one claim, in the fair order; lanes that are dry afterwards rest."""
        looked_at: list[SimulatedLane] = []
        picks = fairness.pick(self._by_virtual_time(looked_at), size, room=room)
        for lane, _ in picks:
            lane.take_next()
        for lane in looked_at:
            self._place(lane)
        return [job for _, job in picks]

    def ended(self, lane: int) -> None:
        """A job of this lane is not in flight any more, so that a lane at its cap has room again."""
        freed = self._lanes[lane]
        freed.in_flight -= 1
        if freed.at_cap:
            self._place(freed)

    def jobs(self) -> list[int]:
        """All that wait, in no order."""
        at_cap = [lane for vtime, _, lane in self._at_cap if lane.at_cap and lane.vtime == vtime]
        return [
            job for lane in (*(lane for _, _, lane in self._open), *at_cap) for job in lane.next_jobs(lane.jobs_waiting)
        ]

    def _by_virtual_time(self, looked_at: list[SimulatedLane]) -> Iterator[SimulatedLane]:
        """Ready lanes below their cap in the fair order; each that is read has left the heap."""
        while self._open:
            lane = heapq.heappop(self._open)[2]
            looked_at.append(lane)
            yield lane

    def _place(self, lane: SimulatedLane) -> None:
        self._highest = max(self._highest, lane.vtime)
        lane.ready = lane.jobs_waiting > 0
        lane.at_cap = lane.ready and lane.in_flight >= lane.cap
        if lane.ready:
            heapq.heappush(self._at_cap if lane.at_cap else self._open, (lane.vtime, lane.workspace, lane))

    def _lowest_ready(self) -> int | None:
        """The lowest virtual time of ready lanes, those at their cap included, as the database has it."""
        while self._at_cap and not (self._at_cap[0][2].at_cap and self._at_cap[0][0] == self._at_cap[0][2].vtime):
            heapq.heappop(self._at_cap)
        return min((heap[0][0] for heap in (self._open, self._at_cap) if heap), default=None)


class FifoOrder:
    """First in, first out: the oldest job of all, whoever asked for it."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, int]] = []

    def add(self, lane: int, job: int, rank: int) -> None:
        """A job is due."""
        heapq.heappush(self._heap, (rank, job, lane))

    def take(self, size: int, room: int) -> list[int]:
        """The oldest jobs."""
        return [heapq.heappop(self._heap)[1] for _ in range(min(size, room, len(self._heap)))]

    def ended(self, lane: int) -> None:
        """Nothing depends on what is in flight."""

    def jobs(self) -> list[int]:
        """All that wait, in no order."""
        return [job for _, job, _ in self._heap]


class InterleavedOrder:
    """The original's selection: of the oldest few some are taken in turns by workspace, and then started."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, int]] = []
        self._selected: deque[tuple[int, int, int]] = deque()

    def add(self, lane: int, job: int, rank: int) -> None:
        """A job is due."""
        heapq.heappush(self._heap, (rank, job, lane))

    def take(self, size: int, room: int) -> list[int]:
        """Jobs of the present selection; a new one is made when it is used up."""
        taken: list[int] = []
        while len(taken) < min(size, room) and (self._selected or self._heap):
            if not self._selected:
                self._select()
            taken.append(self._selected.popleft()[1])
        return taken

    def ended(self, lane: int) -> None:
        """Nothing depends on what is in flight."""

    def jobs(self) -> list[int]:
        """All that wait, in no order."""
        return [job for _, job, _ in (*self._selected, *self._heap)]

    def _select(self) -> None:
        pool = {entry[1]: entry for entry in (heapq.heappop(self._heap) for _ in range(min(POOL, len(self._heap))))}
        chosen = [job for _, job in interleaved([(lane, job) for _, job, lane in pool.values()], BATCH)]
        self._selected.extend(pool.pop(job) for job in chosen)
        for entry in pool.values():
            heapq.heappush(self._heap, entry)
