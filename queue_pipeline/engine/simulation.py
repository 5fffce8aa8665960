"""Simulate the queue: one load, by the rules of production and beside them by two other orders. No database, no clock.

Who is next is asked of `domain/fairness`, how many handlers there are of `domain/capacity`; nothing of either is
written here a second time. Simulated are drains that claim, hosts that vanish, leases, fences, and tries that fail.
"""

from collections import defaultdict
from collections.abc import Sequence
from random import Random

from queue_pipeline.domain.fairness import rank
from queue_pipeline.domain.lane import shard_name, shard_of
from queue_pipeline.domain.retry import backoff_seconds
from queue_pipeline.domain.simulation import (
    BATCH,
    TURN_MILLISECONDS,
    TURNS_PER_MINUTE,
    TURNS_PER_SECOND,
    WEIGHTS,
    Group,
    Order,
    OrderReport,
    Scenario,
    SimulationPlan,
    SimulationReport,
    checked,
)
from queue_pipeline.engine.simulation_capacity import Capacity
from queue_pipeline.engine.simulation_load import Load, drawn
from queue_pipeline.engine.simulation_order import FairOrder, FifoOrder, InterleavedOrder, SimulatedLane, WaitingJobs
from queue_pipeline.engine.simulation_record import Record

_OUTAGE_AT, _OUTAGE_UNTIL = 1 / 3, 1 / 2
#: A try that the provider answers with an error takes so many seconds.
_FAILS_AFTER_SECONDS = 0.5
_HOST_DIES_AT = 1 / 2
_SHARDS_PER_HOST = 4
#: A host that was only cut off comes back so long after its jobs were given to others, and tries to finish them.
_COMES_BACK_SECONDS = 5
_NOBODY = 0
_TURN_MICROSECONDS = TURN_MILLISECONDS * 1000


def simulate(plan: SimulationPlan) -> SimulationReport:
    """Run a plan under each order, with the same load and the same workers. Raises InvalidInput for a wrong plan."""
    checked(plan)
    load = drawn(plan)
    names = [f"workspace-{number:07d}" for number in range(len(load.workspaces))]
    capacity = Capacity(plan)
    orders = [_Run(plan, load, Order.FAIR, names, capacity).report()]
    orders += [
        _Run(plan, load, order, names, Capacity(plan, follow=capacity.steps)).report()
        for order in (Order.FIFO, Order.INTERLEAVED)
    ]
    return SimulationReport(plan, len(load.due), orders)


class _Run:
    """The queue under one order, turn by turn."""

    def __init__(
        self, plan: SimulationPlan, load: Load, order: Order, names: Sequence[str], capacity: Capacity
    ) -> None:
        self._plan, self._load, self._order, self._capacity = plan, load, order, capacity
        self._shards = [shard_name(number) for number in range(plan.shards)]
        numbers = {shard: number for number, shard in enumerate(self._shards)}
        self._shard = [numbers[shard_of(name, plan.shards)] for name in names]
        self._queues = _queues(plan, load, order, names)
        self._slots = [0] * plan.shards
        self._need = [0] * plan.shards
        self._due_or_running = [0] * len(names)
        self._holding: list[dict[int, int]] = [{} for _ in range(plan.shards)]
        self._running = 0
        self._dead_until = [0] * plan.shards
        self._fences = [_NOBODY] * len(load.due)
        self._tries = [0] * len(load.due)
        self._fence = 0
        self._arrived = 0
        self._ends: defaultdict[int, list[tuple[int, int, bool]]] = defaultdict(list)
        self._returns: defaultdict[int, list[int]] = defaultdict(list)
        self._between_tries = 0
        self._dice = Random(plan.seed)  # noqa: S311 - a simulation, nothing secret
        self._record = Record(load)

    def report(self) -> OrderReport:
        """Let the time pass, and say how it went."""
        for turn in range(self._plan.turns):
            if self._plan.scenario is Scenario.DEAD_HOST:
                self._hosts(turn)
            for job, fence, succeeds in self._ends.pop(turn, ()):
                self._end(turn, job, fence, succeeds=succeeds)
            if turn % TURNS_PER_MINUTE == 0:
                self._allocate()
            self._arrive(turn)
            for shard, slots in enumerate(self._slots):
                self._claim(turn, shard, slots)
            if (turn + 1) % TURNS_PER_MINUTE == 0:
                self._minute(turn + 1)
        return self._record.report(
            self._order, end=self._plan.turns, running=self._running, between_tries=self._between_tries
        )

    def _arrive(self, turn: int) -> None:
        for job in self._returns.pop(turn, ()):
            self._between_tries -= 1
            self._wait(turn, job, turn)
        due = self._load.due
        while self._arrived < len(due) and due[self._arrived] <= turn:
            self._wait(turn, self._arrived, turn)
            self._arrived += 1

    def _wait(self, turn: int, job: int, due: int) -> None:
        lane = self._load.lane[job]
        shard = self._shard[lane]
        self._record.waits(turn, job)
        self._due_or_running[lane] += 1
        self._need[shard] += self._due_or_running[lane] <= self._plan.limits.lane_quota_default
        self._queues[shard].add(lane, job, rank(due * _TURN_MICROSECONDS, 0))

    def _claim(self, turn: int, shard: int, slots: int) -> None:
        holding = self._holding[shard]
        free = slots - len(holding)
        while free > 0 and self._dead_until[shard] <= turn:
            room = self._capacity.in_flight_max - self._running
            jobs = self._queues[shard].take(min(free, BATCH), room)
            if not jobs:
                return
            self._running += len(jobs)
            for job in jobs:
                self._start(turn, job, holding)
            free -= len(jobs)

    def _start(self, turn: int, job: int, holding: dict[int, int]) -> None:
        self._fence += 1
        self._fences[job] = holding[job] = self._fence
        self._tries[job] += 1
        self._record.starts(turn, job)
        succeeds = not (self._load.group[job] is Group.PROVIDER and self._is_out(turn))
        takes = self._load.turns[job] if succeeds else int(_FAILS_AFTER_SECONDS * TURNS_PER_SECOND)
        self._ends[turn + takes].append((job, self._fence, succeeds))

    def _is_out(self, turn: int) -> bool:
        plan = self._plan
        return plan.scenario is Scenario.PROVIDER_OUTAGE and plan.at(_OUTAGE_AT) <= turn < plan.at(_OUTAGE_UNTIL)

    def _end(self, turn: int, job: int, fence: int, *, succeeds: bool) -> None:
        """A handler has ended. What a dead host did is told when it comes back, and then its fence is an old one."""
        lane = self._load.lane[job]
        shard = self._shard[lane]
        if self._dead_until[shard] > turn:
            comes_back = self._dead_until[shard] + _COMES_BACK_SECONDS * TURNS_PER_SECOND
            self._ends[comes_back].append((job, fence, succeeds))
        elif self._fences[job] != fence:
            self._record.late_refused += 1
        else:
            self._let_go(job, lane, shard)
            again = not succeeds and self._tries[job] < self._plan.limits.max_attempts_default
            self._record.ends(turn, job, succeeds=succeeds, again=again)
            if again:
                self._try_again(turn, job)

    def _try_again(self, turn: int, job: int) -> None:
        limits = self._plan.limits
        after = backoff_seconds(
            self._tries[job],
            base=limits.backoff_base_seconds,
            longest=limits.backoff_max_seconds,
            jitter=self._dice.random(),
        )
        self._returns[turn + int(after * TURNS_PER_SECOND)].append(job)
        self._between_tries += 1

    def _let_go(self, job: int, lane: int, shard: int) -> None:
        self._fences[job] = _NOBODY
        del self._holding[shard][job]
        self._running -= 1
        self._need[shard] -= self._due_or_running[lane] <= self._plan.limits.lane_quota_default
        self._due_or_running[lane] -= 1
        self._queues[shard].ended(lane)

    def _hosts(self, turn: int) -> None:
        """A host dies with the drains of its shards; when their leases have ended, recovery gives the jobs back."""
        limits = self._plan.limits
        dies = self._plan.at(_HOST_DIES_AT)
        recovered = dies + int((limits.lease_seconds + limits.sweep_every_seconds) * TURNS_PER_SECOND)
        for shard in range(0, self._plan.shards, _SHARDS_PER_HOST):
            if turn == dies:
                self._dead_until[shard] = recovered
            if turn == recovered:
                for job in list(self._holding[shard]):
                    self._let_go(job, self._load.lane[job], shard)
                    self._record.given_back += 1
                    self._wait(turn, job, self._load.due[job])

    def _allocate(self) -> None:
        """By what each shard could use: what is due or running, of each lane no more than its quota."""
        self._slots = self._capacity.slots(dict(zip(self._shards, self._need, strict=True)))

    def _minute(self, turn: int) -> None:
        waiting = [job for queue in self._queues for job in queue.jobs()]
        minute = self._record.minute_ends(turn, waiting, running=self._running)
        self._record.trace.append(self._capacity.after(minute))


def _queues(plan: SimulationPlan, load: Load, order: Order, names: Sequence[str]) -> list[WaitingJobs]:
    if order is Order.FIFO:
        return [FifoOrder() for _ in range(plan.shards)]
    if order is Order.INTERLEAVED:
        return [InterleavedOrder() for _ in range(plan.shards)]
    cap = plan.limits.lane_quota_default
    lanes = [
        SimulatedLane(name, WEIGHTS.get(group, 1), cap) for name, group in zip(names, load.workspaces, strict=True)
    ]
    return [FairOrder(lanes) for _ in range(plan.shards)]
