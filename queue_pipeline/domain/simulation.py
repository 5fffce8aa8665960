"""What a simulation is asked, and what it answers: scenarios, kinds of workspaces, waits, and the orders compared."""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from queue_pipeline.domain.errors import InvalidInput
from queue_pipeline.domain.limits import Limits

#: Simulated time moves in turns of so many milliseconds: about how often a busy drain claims and settles.
TURN_MILLISECONDS = 50
TURNS_PER_SECOND = 1000 // TURN_MILLISECONDS
TURNS_PER_MINUTE = 60 * TURNS_PER_SECOND
#: Jobs that one claim takes at most, as a drain does by default.
BATCH = 20
#: The original looked at so many of the oldest jobs to select a batch.
POOL = 4 * BATCH
#: What the ordinary workspaces ask for at their peak, as a share of what the workers can do.
ORDINARY_LOAD = 0.7
MINUTES_MIN = 5
MINUTES_MAX = 24 * 60
WORKSPACES_MIN = 100
WORKSPACES_MAX = 1_000_000
WORKERS_MAX = 10_000
SHARDS_MAX = 64


class Scenario(StrEnum):
    """What happens in the simulated time."""

    STEADY = "steady"
    BURST = "burst"
    SLOW_TENANTS = "slow-tenants"
    PROVIDER_OUTAGE = "provider-outage"
    DEAD_HOST = "dead-host"
    GROWTH = "growth"


SAID: Mapping[Scenario, str] = MappingProxyType(
    {
        Scenario.STEADY: "every workspace asks for work at its usual rate",
        Scenario.BURST: "one workspace enqueues a mountain at once, at a sixth of the time",
        Scenario.SLOW_TENANTS: "from a sixth of the time on, eight workspaces bring jobs that take 20 times as long",
        Scenario.PROVIDER_OUTAGE: "a provider that 30 % of the jobs need answers with errors for a sixth of the time",
        Scenario.DEAD_HOST: "the host of every fourth shard vanishes at half of the time, with the jobs in its hands",
        Scenario.GROWTH: "workspaces and load grow a hundredfold, from 1 % to all",
    }
)


class Order(StrEnum):
    """Who is served next: by the rules of production, or by one of two others that are simulated beside them."""

    FAIR = "fair"
    FIFO = "fifo"
    INTERLEAVED = "interleaved"


ORDERS_SAID: Mapping[Order, str] = MappingProxyType(
    {
        Order.FAIR: "the fair order of production",
        Order.FIFO: "first in, first out",
        Order.INTERLEAVED: f"the oldest {POOL} looked at, {BATCH} taken in turns by workspace",
    }
)


class Group(StrEnum):
    """Workspaces that are alike; PROVIDER stands for the jobs that need the provider, whoever asked for them."""

    SMALL = "small"
    MEDIUM = "medium"
    LARGE = "large"
    BURSTER = "burster"
    SLOW = "slow"
    PROVIDER = "provider"


#: Who pays for more is served more; all others have the weight 1.
WEIGHTS: Mapping[Group, int] = MappingProxyType({Group.LARGE: 2})
#: Groups whose workspaces did nothing unusual: what they suffer is what an order is judged by.
ORDINARY = (Group.SMALL, Group.MEDIUM, Group.LARGE)


@dataclass(frozen=True)
class SimulationPlan:
    """What is simulated. `workers` is the most handlers at once; the ordinary load at its peak needs 70 % of them.

    With `enforce` the control loop of capacity decides how many there are, and where; without it, it only says what
    it would do, and every shard has an equal part.
    """

    scenario: Scenario
    workspaces: int = 100_000
    minutes: int = 60
    seed: int = 1
    workers: int = 128
    shards: int = 4
    enforce: bool = True
    limits: Limits = field(default_factory=Limits)

    @property
    def turns(self) -> int:
        """The simulated time in turns."""
        return self.minutes * TURNS_PER_MINUTE

    def at(self, share: float) -> int:
        """The turn at this share of the time."""
        return int(self.turns * share)


def checked(plan: SimulationPlan) -> SimulationPlan:
    """The plan itself. Raises InvalidInput for one that cannot be simulated."""
    for name, value, low, high in (
        ("workspaces", plan.workspaces, WORKSPACES_MIN, WORKSPACES_MAX),
        ("minutes", plan.minutes, MINUTES_MIN, MINUTES_MAX),
        ("shards", plan.shards, 1, SHARDS_MAX),
        ("workers", plan.workers, plan.shards, WORKERS_MAX),
    ):
        if not low <= value <= high:
            raise InvalidInput(name, value, f"Use {low:,} to {high:,}.")
    return plan


@dataclass(frozen=True)
class GroupReport:
    """How one group fared; waits are seconds from first due to first start, those of jobs still waiting included.

    `workspaces` are those that had a job. `jain` is Jain's index over their weighted service rates: seconds of work
    done per second in which work was due or running. `starvation` is the worst workspace's p95 of waits over that of
    all ordinary jobs. `gap_max` is the longest time in seconds in which a workspace had due work and no job of it was
    started.
    """

    group: Group
    workspaces: int
    jobs: int
    started: int
    wait_p50: float
    wait_p95: float
    wait_max: float
    jain: float | None
    starvation: float | None
    gap_max: float


@dataclass(frozen=True)
class MinuteSample:
    """One simulated minute. The p95 is over the waits of ordinary jobs that were started in it or still wait."""

    minute: int
    arrived: int
    started: int
    waiting: int
    running: int
    oldest_seconds: float
    ordinary_wait_p95: float | None
    workers: int
    in_flight_max: int
    reason: str


@dataclass(frozen=True)
class LedgerCount:
    """What became of all jobs: every one is in exactly one of the first five, or it was lost."""

    finished: int
    dead: int
    waiting: int
    running: int
    between_tries: int
    finished_twice: int
    late_refused: int
    given_back: int
    tries_failed: int

    def lost(self, jobs: int) -> int:
        """How many of so many jobs are nowhere."""
        return jobs - self.finished - self.dead - self.waiting - self.running - self.between_tries


@dataclass(frozen=True)
class OrderReport:
    """One order's run."""

    order: Order
    groups: Sequence[GroupReport]
    ledger: LedgerCount
    trace: Sequence[MinuteSample]

    def of(self, group: Group) -> GroupReport:
        """How this group fared. Raises KeyError when nobody of it was there."""
        return {each.group: each for each in self.groups}[group]

    @property
    def jain(self) -> float:
        """The lowest index of the ordinary groups; 1 when nothing was served."""
        return min((each.jain for each in self._ordinary if each.jain is not None), default=1.0)

    @property
    def starvation(self) -> float:
        """The highest factor of the ordinary groups; 0 when nothing waited."""
        return max((each.starvation for each in self._ordinary if each.starvation is not None), default=0.0)

    @property
    def _ordinary(self) -> list[GroupReport]:
        return [each for each in self.groups if each.group in ORDINARY]


@dataclass(frozen=True)
class SimulationReport:
    """One scenario under each order, with the same load and the same workers."""

    plan: SimulationPlan
    jobs: int
    orders: Sequence[OrderReport]

    def of(self, order: Order) -> OrderReport:
        """The run of this order."""
        return next(each for each in self.orders if each.order is order)

    def broken(self, *, jain_min: float | None, starvation_max: float | None) -> list[str]:
        """What the fair order broke of these bounds, or of its promises, as sentences; an empty list is good."""
        fair = self.of(Order.FAIR)
        lost = fair.ledger.lost(self.jobs)
        found = [
            (jain_min is not None and fair.jain < jain_min, f"Jain's index is {fair.jain:.4f}, below {jain_min}."),
            (
                starvation_max is not None and fair.starvation > starvation_max,
                f"The starvation factor is {fair.starvation:.1f}, above {starvation_max}.",
            ),
            (lost != 0, f"{lost} jobs were lost."),
            (fair.ledger.finished_twice != 0, f"{fair.ledger.finished_twice} jobs were finished twice."),
        ]
        return [f"{self.plan.scenario}: {sentence}" for broken, sentence in found if broken]


def as_document(report: SimulationReport) -> dict[str, Any]:
    """The report as plain data; the limits in force are left out but for the lease, which shapes `dead-host`."""
    document = asdict(report)
    document["plan"]["limits"] = {"lease_seconds": report.plan.limits.lease_seconds}
    return document


def interleaved(pool: Sequence[tuple[int, int]], size: int) -> list[tuple[int, int]]:
    """The first `size` of (workspace, job) when workspaces take turns, in the order in which each comes first.

    This is the original's selection. It looks fair and is not: a mountain fills the pool of oldest jobs beforehand.
    """
    turns: dict[int, deque[tuple[int, int]]] = {}
    for each in pool:
        turns.setdefault(each[0], deque()).append(each)
    taken: list[tuple[int, int]] = []
    while turns and len(taken) < size:
        for workspace in list(turns):
            taken.append(turns[workspace].popleft())
            if not turns[workspace]:
                del turns[workspace]
    return taken[:size]
