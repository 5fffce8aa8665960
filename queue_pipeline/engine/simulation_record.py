"""What is written down while a simulation runs, and what it comes to: waits, gaps, service rates, and the ledger."""

from collections import defaultdict
from collections.abc import Sequence

from queue_pipeline.domain.fairness import jain_index, starvation_factor
from queue_pipeline.domain.simulation import (
    ORDINARY,
    TURNS_PER_SECOND,
    WEIGHTS,
    Group,
    GroupReport,
    LedgerCount,
    MinuteSample,
    Order,
    OrderReport,
)
from queue_pipeline.domain.slo import nearest_rank
from queue_pipeline.engine.simulation_capacity import Minute
from queue_pipeline.engine.simulation_load import Load

_NEVER = -1


class Record:
    """The book of one run. All instants are turns."""

    def __init__(self, load: Load) -> None:
        jobs, lanes = len(load.due), len(load.workspaces)
        self._load = load
        self._first_start = [_NEVER] * jobs
        self._last_start = [_NEVER] * jobs
        self._finished_at = [_NEVER] * jobs
        self._waiting = [0] * lanes
        self._unserved_since = [0] * lanes
        self._gap = [0] * lanes
        self._minute_waits: list[float] = []
        self._active: set[int] = set()
        self._dead: set[int] = set()
        self._arrived = self._started = self._ended = self._failed = self._retried = self._handler_turns = 0
        self.finished_twice = self.late_refused = self.given_back = self.tries_failed = 0
        self.waiting = 0
        self.trace: list[MinuteSample] = []

    def waits(self, turn: int, job: int) -> None:
        """A job is due, for the first time or again."""
        lane = self._load.lane[job]
        if not self._waiting[lane]:
            self._unserved_since[lane] = turn
        self._waiting[lane] += 1
        self.waiting += 1
        self._arrived += 1
        self._active.add(lane)

    def starts(self, turn: int, job: int) -> None:
        """A job was claimed and its handler starts."""
        lane = self._load.lane[job]
        self._gap[lane] = max(self._gap[lane], turn - self._unserved_since[lane])
        self._unserved_since[lane] = turn
        self._waiting[lane] -= 1
        self.waiting -= 1
        self._started += 1
        self._last_start[job] = turn
        if self._first_start[job] == _NEVER:
            self._first_start[job] = turn
            if self._load.group[job] in ORDINARY:
                self._minute_waits.append((turn - self._load.due[job]) / TURNS_PER_SECOND)

    def ends(self, turn: int, job: int, *, succeeds: bool, again: bool) -> None:
        """A handler's end was accepted; without success it is tried again, or it is dead."""
        self._ended += 1
        self._handler_turns += turn - self._last_start[job]
        self.tries_failed += not succeeds
        if again:
            self._retried += 1
        elif not succeeds:
            self._failed += 1
            self._dead.add(job)
        else:
            self.finished_twice += self._finished_at[job] != _NEVER
            self._finished_at[job] = turn

    def minute_ends(self, turn: int, waiting: Sequence[int], *, running: int) -> Minute:
        """What happened since the last minute ended; `waiting` are all jobs that wait now."""
        load = self._load
        ages = [(turn - load.due[job]) / TURNS_PER_SECOND for job in waiting]
        ordinary = [age for age, job in zip(ages, waiting, strict=True) if self._is_ordinary_and_new(job)]
        ordinary += self._minute_waits
        minute = Minute(
            arrived=self._arrived,
            started=self._started,
            ended=self._ended,
            failed=self._failed,
            retried=self._retried,
            handler_seconds=self._handler_turns / TURNS_PER_SECOND,
            waiting=len(waiting),
            running=running,
            oldest=max(ages, default=0.0),
            age_p95=nearest_rank(ages, 95),
            ordinary_wait_p95=nearest_rank(ordinary, 95),
            active_workspaces=len(self._active),
        )
        self._arrived = self._started = self._ended = self._failed = self._retried = self._handler_turns = 0
        self._minute_waits, self._active = [], set()
        return minute

    def _is_ordinary_and_new(self, job: int) -> bool:
        return self._first_start[job] == _NEVER and self._load.group[job] in ORDINARY

    def report(self, order: Order, *, end: int, running: int, between_tries: int) -> OrderReport:
        """What the whole run comes to."""
        finished = sum(at != _NEVER for at in self._finished_at)
        ledger = LedgerCount(
            finished=finished,
            dead=len(self._dead),
            waiting=self.waiting,
            running=running,
            between_tries=between_tries,
            finished_twice=self.finished_twice,
            late_refused=self.late_refused,
            given_back=self.given_back,
            tries_failed=self.tries_failed,
        )
        return OrderReport(order, self._groups(end), ledger, self.trace)

    def _groups(self, end: int) -> list[GroupReport]:
        jobs: defaultdict[Group, list[int]] = defaultdict(list)
        for job, group in enumerate(self._load.group):
            jobs[group].append(job)
        ordinary = [self._wait(job, end) for group in ORDINARY for job in jobs[group]]
        p95_of_all = nearest_rank(ordinary, 95) or 0.0
        return [self._group(group, jobs[group], p95_of_all, end) for group in Group if jobs[group]]

    def _group(self, group: Group, jobs: Sequence[int], p95_of_all: float, end: int) -> GroupReport:
        by_lane: defaultdict[int, list[int]] = defaultdict(list)
        for job in jobs:
            by_lane[self._load.lane[job]].append(job)
        waits = sorted(self._wait(job, end) for job in jobs)
        p95s = [nearest_rank([self._wait(job, end) for job in own], 95) or 0.0 for own in by_lane.values()]
        rates = [self._rate(own, end) / WEIGHTS.get(group, 1) for own in by_lane.values()]
        return GroupReport(
            group=group,
            workspaces=len(by_lane),
            jobs=len(jobs),
            started=sum(self._first_start[job] != _NEVER for job in jobs),
            wait_p50=nearest_rank(waits, 50) or 0.0,
            wait_p95=nearest_rank(waits, 95) or 0.0,
            wait_max=waits[-1],
            jain=jain_index(rates),
            starvation=starvation_factor(p95s, p95_of_all),
            gap_max=max(self._gap_of(lane, end) for lane in by_lane) / TURNS_PER_SECOND,
        )

    def _wait(self, job: int, end: int) -> float:
        """Seconds from first due to first start; a job that still waits has waited until now, or it were hidden."""
        started = self._first_start[job]
        return ((end if started == _NEVER else started) - self._load.due[job]) / TURNS_PER_SECOND

    def _rate(self, jobs: Sequence[int], end: int) -> float:
        """Seconds of useful work per second of having a job due or running; 1 for a workspace that never waits."""
        work = present = 0
        for job in jobs:
            at = self._finished_at[job]
            present += (end if at == _NEVER else at) - self._load.due[job]
            if at != _NEVER:
                work += self._load.turns[job]
            elif self._last_start[job] != _NEVER:
                work += min(end - self._last_start[job], self._load.turns[job])
        return work / present if present else 1.0

    def _gap_of(self, lane: int, end: int) -> int:
        open_gap = end - self._unserved_since[lane] if self._waiting[lane] else 0
        return max(self._gap[lane], open_gap)
