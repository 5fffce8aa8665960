"""The workers of a simulation: decided minute by minute by the rules of production, or as in a run before."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from queue_pipeline.domain.allocation import allocation
from queue_pipeline.domain.capacity import CapacityPolicy, CapacitySample, CapacityState, decide
from queue_pipeline.domain.simulation import TURNS_PER_MINUTE, TURNS_PER_SECOND, MinuteSample, Scenario, SimulationPlan

#: Growth starts with so few workers for its little load, if capacity may add more; everything else starts with all.
_GROWTH_STARTS_WITH = 0.05
_SAMPLES_KEPT = 20
_START = "start"


@dataclass(frozen=True)
class Minute:
    """What happened in one simulated minute, and what stands at its end; durations are seconds."""

    arrived: int
    started: int
    ended: int
    failed: int
    retried: int
    handler_seconds: float
    waiting: int
    running: int
    oldest: float
    age_p95: float | None
    ordinary_wait_p95: float | None
    active_workspaces: int


@dataclass(frozen=True)
class CapacityStep:
    """What is in force from a minute on, and why."""

    workers: int
    in_flight_max: int
    reason: str


class Capacity:
    """How many handlers there are, and how many jobs may be in flight. With `follow`, the steps of a run before."""

    def __init__(self, plan: SimulationPlan, follow: Sequence[CapacityStep] | None = None) -> None:
        share = _GROWTH_STARTS_WITH if plan.enforce and plan.scenario is Scenario.GROWTH else 1.0
        start = max(plan.shards, int(plan.workers * share))
        self._policy = CapacityPolicy(
            shards=plan.shards, floor=plan.shards, configured=max(plan.shards, start // 2), ceiling=plan.workers
        )
        self._state = CapacityState(workers=start, in_flight_max=self._policy.in_flight_floor)
        self._plan = plan
        self._samples: list[CapacitySample | None] = []
        self._follow = follow
        self.steps = [CapacityStep(self._state.workers, self._state.in_flight_max, _START)]

    @property
    def in_flight_max(self) -> int:
        """How many jobs may be in flight in all."""
        return self.steps[-1].in_flight_max

    def slots(self, need: Mapping[str, int]) -> list[int]:
        """The handlers at once of each shard, by how many it could use now."""
        if not self._plan.enforce:
            whole, rest = divmod(self.steps[-1].workers, len(need))
            return [whole + (number < rest) for number in range(len(need))]
        given = allocation(
            self.steps[-1].workers,
            need,
            drains_per_shard_max=self._plan.limits.drains_per_shard_max,
            workers_per_drain_max=self._plan.limits.workers_per_drain_max,
        )
        return [given[shard].workers for shard in need]

    def after(self, minute: Minute) -> MinuteSample:
        """Decide what is in force from here on; gives the minute with what was in force in it, and the new reason."""
        number, was = len(self.steps), self.steps[-1]
        self.steps.append(self._decided(minute) if self._follow is None else self._follow[number])
        return MinuteSample(
            minute=number,
            arrived=minute.arrived,
            started=minute.started,
            waiting=minute.waiting,
            running=minute.running,
            oldest_seconds=minute.oldest,
            ordinary_wait_p95=minute.ordinary_wait_p95,
            workers=was.workers,
            in_flight_max=was.in_flight_max,
            reason=self.steps[-1].reason,
        )

    def _decided(self, minute: Minute) -> CapacityStep:
        sample = CapacitySample(
            seconds=TURNS_PER_MINUTE / TURNS_PER_SECOND,
            arrivals=minute.arrived,
            finished=minute.ended,
            failed=minute.failed,
            retried=minute.retried,
            handler_seconds=minute.handler_seconds,
            due=minute.waiting,
            age_p95_seconds=minute.age_p95,
            workers=self._state.workers,
            active_workspaces=minute.active_workspaces,
        )
        self._samples = [sample, *self._samples[:_SAMPLES_KEPT]]
        decision = decide(self._state, self._samples, self._policy)
        if not self._plan.enforce:
            return replace(self.steps[-1], reason=decision.reason)
        self._state = decision.state
        return CapacityStep(decision.to_workers, decision.to_in_flight, decision.reason)
