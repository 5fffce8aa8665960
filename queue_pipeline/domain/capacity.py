"""Capacity: how many handlers may run at once, and how many jobs may be claimed at once, decided sample by sample.

Rises slowly and falls at once, as TCP does: a step up needs a healthy sample, a breached guardrail halves. A step down
gets some samples to act before the next one.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from queue_pipeline.domain import guardrail
from queue_pipeline.domain.allocation import ShardCapacity, allocation
from queue_pipeline.domain.capacity_state import (
    CapacityDecision,
    CapacityOverride,
    CapacityPolicy,
    CapacityState,
    Reason,
)
from queue_pipeline.domain.guardrail import CapacitySample, Guardrail, Scope

__all__ = [
    "CapacityDecision",
    "CapacityOverride",
    "CapacityPolicy",
    "CapacitySample",
    "CapacityState",
    "Reason",
    "ShardCapacity",
    "allocation",
    "decide",
]


@dataclass(frozen=True)
class _Step:
    """One rule's answer: where both quantities go, and what to remember."""

    reason: Reason
    why: str
    workers: int
    in_flight: int
    hold_samples: int = 0
    hold_for: Scope | None = None
    healthy_seconds: float | None = None


@dataclass(frozen=True)
class _Situation:
    """Everything that the rules look at."""

    state: CapacityState
    samples: Sequence[CapacitySample | None]
    policy: CapacityPolicy
    breached: Sequence[Guardrail]
    required: int | None
    target: int
    in_flight_target: int

    @property
    def present(self) -> bool:
        """Whether this sample was taken and the one before it too, as far as there should be one."""
        return bool(self.samples) and None not in self.samples[:2]


def decide(state: CapacityState, samples: Sequence[CapacitySample | None], policy: CapacityPolicy) -> CapacityDecision:
    """What follows from the samples, newest first; one that should be there and is not is None, and counts as bad.

    An operator's word goes first, then guardrails, then everything that holds; only then anything rises.
    """
    now = samples[0] if samples else None
    learned = _learned(state, now, policy)
    breached = guardrail.breached(samples, policy.guardrails)
    required = _required(learned, now, policy)
    target = max(policy.floor, min(max(required or 0, policy.configured), _ceiling(learned, now, policy)))
    at = _Situation(learned, samples, policy, breached, required, target, _in_flight_target(learned, now, policy))
    rules = (_overridden, _guarded, _unsampled, _inefficient, _held, _ramped, _idle)
    step = next((found for rule in rules if (found := rule(at)) is not None), None) or _held_at_target(at)
    workers = max(policy.floor, min(step.workers, policy.ceiling))
    in_flight = max(policy.in_flight_floor, step.in_flight)
    healthy = learned.healthy_seconds if step.healthy_seconds is None else step.healthy_seconds
    calm = 0.0 if workers > state.workers else learned.calm_seconds  # or they would follow every wave up and down
    after = replace(
        learned,
        calm_seconds=calm,
        workers=workers,
        in_flight_max=in_flight,
        healthy_seconds=healthy,
        hold_samples=step.hold_samples,
        hold_for=step.hold_for if step.hold_samples else None,
    )
    return CapacityDecision(
        from_workers=state.workers,
        to_workers=workers,
        from_in_flight=state.in_flight_max,
        to_in_flight=in_flight,
        reason=step.reason,
        why=step.why,
        required=required,
        target=target,
        in_flight_target=at.in_flight_target,
        guardrails=breached,
        override_active=state.override is not None,
        state=after,
    )


def _learned(state: CapacityState, now: CapacitySample | None, policy: CapacityPolicy) -> CapacityState:
    """The averages and the quiet times with this sample. A missing one ends the quiet times and teaches nothing."""
    healthy = min(0.0, state.healthy_seconds)
    if now is None:
        return replace(state, calm_seconds=0.0, healthy_seconds=healthy)
    share = 1.0 - math.exp(-now.seconds / policy.smoothing_seconds)
    mean = state.mean_seconds
    if now.finished:
        mean = _average(mean, now.handler_seconds / now.finished, share)
    calm = (now.age_p95_seconds or 0.0) < policy.age_low_seconds
    return replace(
        state,
        arrival_rate=_average(state.arrival_rate, now.arrivals / now.seconds, share),
        mean_seconds=mean,
        calm_seconds=state.calm_seconds + now.seconds if calm else 0.0,
        healthy_seconds=state.healthy_seconds + now.seconds,
    )


def _average(before: float | None, latest: float, share: float) -> float:
    return latest if before is None else before + share * (latest - before)


def _required(state: CapacityState, now: CapacitySample | None, policy: CapacityPolicy) -> int | None:
    """Little's law with room to spare: arrivals and the backlog's share, times how long a handler takes."""
    if now is None or state.arrival_rate is None or state.mean_seconds is None:
        return None
    rate = _arrival_rate(state.arrival_rate, now) + now.due / policy.drain_backlog_seconds
    return math.ceil(round(state.mean_seconds * rate / policy.busy_share, 9))


def _arrival_rate(average: float, now: CapacitySample) -> float:
    """Jobs per second to reckon with: a rise counts at once, a fall only as the average follows."""
    return max(average, now.arrivals / now.seconds)


def _ceiling(state: CapacityState, now: CapacitySample | None, policy: CapacityPolicy) -> int:
    """As many as the operator, the connections and the providers allow; a handler may need one connection more."""
    allowed: float = policy.ceiling
    if now is not None:
        allowed = min(allowed, state.workers + max(0.0, guardrail.connections_left(now, policy.guardrails)))
    if policy.provider_rate_max is not None and state.mean_seconds is not None:
        allowed = min(allowed, policy.provider_rate_max * state.mean_seconds)
    return max(policy.floor, math.floor(allowed))


def _in_flight_target(state: CapacityState, now: CapacitySample | None, policy: CapacityPolicy) -> int:
    if now is None:
        return state.in_flight_max
    return max(policy.in_flight_floor, policy.in_flight_per_workspace * now.active_workspaces)


def _overridden(at: _Situation) -> _Step | None:
    override = at.state.override
    if override is None:
        return None
    workers = at.state.workers if override.workers is None else override.workers
    in_flight = at.state.in_flight_max if override.in_flight_max is None else override.in_flight_max
    why = f"an operator set {workers} workers and {in_flight} jobs in flight"
    return _Step(Reason.OPERATOR_OVERRIDE, why, workers, in_flight, healthy_seconds=0.0)


def _guarded(at: _Situation) -> _Step | None:
    """Half of both, once per hold. Bad outcomes of some kinds never take handlers that all have as configured."""
    if not at.breached:
        return None
    why = "; ".join(breach.why for breach in at.breached)
    policy, state = at.policy, at.state
    unhealthy = -(policy.hold_windows - 1) * policy.in_flight_window_seconds
    scope = Scope.DATABASE if any(breach.scope is Scope.DATABASE for breach in at.breached) else Scope.OUTCOMES
    if state.hold_samples > 0 and state.hold_for in (scope, Scope.DATABASE):
        why = f"{why}; after the step down it holds for {state.hold_samples} more samples"
        left = state.hold_samples - 1
        return _hold(at, Reason.HOLD_AFTER_STEP_DOWN, why, hold_samples=left, healthy_seconds=unhealthy)
    least = policy.floor if scope is Scope.DATABASE else min(policy.configured, state.workers)
    return _Step(
        Reason.GUARDRAIL_STEP_DOWN,
        why,
        max(least, math.floor(state.workers * policy.step_down_share)),
        math.floor(state.in_flight_max * policy.step_down_share),
        hold_samples=policy.hold_windows,
        hold_for=scope,
        healthy_seconds=unhealthy,
    )


def _unsampled(at: _Situation) -> _Step | None:
    if at.present:
        return None
    why = "a sample is missing, which counts as a bad one"
    return _hold(at, Reason.HOLD_NO_SAMPLE, why, healthy_seconds=min(0.0, at.state.healthy_seconds))


def _inefficient(at: _Situation) -> _Step | None:
    """Back to where they were when more workers did not finish more, although there was work for all of them.

    Compared are the spans before the growth and after it; the one in between had both.
    """
    latest = [sample for sample in at.samples[:3] if sample is not None]
    if len(latest) < 3 or at.state.hold_samples > 0:
        return None
    after, between, before = latest
    growth = between.workers / before.workers if before.workers else 1.0
    busy = all(sample.due >= sample.workers for sample in latest)
    counted = min(before.finished, after.finished) >= at.policy.efficiency_finished_min
    if growth <= 1.0 or not busy or not counted:
        return None
    gain = after.throughput / before.throughput
    if gain >= 1.0 + at.policy.efficiency_min * (growth - 1.0):
        return None
    why = f"{growth:.2g} times the workers finished {gain:.2g} times as much"
    workers = min(at.state.workers, before.workers)
    hold = at.policy.efficiency_hold_samples
    return _Step(Reason.EFFICIENCY_REVERT, why, workers, at.state.in_flight_max, hold_samples=hold)


def _held(at: _Situation) -> _Step | None:
    left = at.state.hold_samples
    if left <= 0:
        return None
    return _hold(at, Reason.HOLD_AFTER_STEP_DOWN, f"it holds for {left} more samples", hold_samples=left - 1)


def _ramped(at: _Situation) -> _Step | None:
    workers, in_flight = _workers_up(at), _in_flight_up(at)
    if workers <= at.state.workers and in_flight <= at.state.in_flight_max:
        return None
    raised = []
    if workers > at.state.workers:
        raised.append(_told_load(at))
    if in_flight > at.state.in_flight_max:
        raised.append(f"the cap on claimed jobs has been healthy for {at.state.healthy_seconds:.0f} s")
    healthy = 0.0 if in_flight > at.state.in_flight_max else None
    return _Step(Reason.RAMP_STEP, "; ".join(raised), workers, in_flight, healthy_seconds=healthy)


def _workers_up(at: _Situation) -> int:
    """A step towards the target. An age that stays high asks for a step whatever the averages say."""
    policy, present = at.policy, at.state.workers
    step = max(policy.shards, math.ceil(present * policy.ramp_share))
    if at.target > present:
        return min(at.target, present + step)
    ceiling = _ceiling(at.state, at.samples[0], policy)
    return max(present, min(ceiling, present + step)) if _is_old(at) else present


def _is_old(at: _Situation) -> bool:
    latest = at.samples[: at.policy.age_high_samples]
    ages = [sample.age_p95_seconds or 0.0 for sample in latest if sample is not None]
    return len(ages) == at.policy.age_high_samples and min(ages) > at.policy.age_high_seconds


def _in_flight_up(at: _Situation) -> int:
    if at.state.healthy_seconds < at.policy.in_flight_window_seconds:
        return at.state.in_flight_max
    return max(at.state.in_flight_max, min(at.in_flight_target, at.state.in_flight_max + at.policy.in_flight_step))


def _idle(at: _Situation) -> _Step | None:
    """Down towards the target, at most halving, once nothing has waited for long."""
    if at.state.calm_seconds < at.policy.calm_seconds:
        return None
    workers = max(at.target, math.ceil(at.state.workers * at.policy.step_down_share))
    workers, in_flight = min(workers, at.state.workers), min(at.in_flight_target, at.state.in_flight_max)
    if workers == at.state.workers and in_flight == at.state.in_flight_max:
        return None
    return _Step(Reason.STEP_DOWN_IDLE, f"nothing waited for {at.state.calm_seconds:.0f} s", workers, in_flight)


def _held_at_target(at: _Situation) -> _Step:
    if at.target == at.state.workers and at.in_flight_target == at.state.in_flight_max:
        return _hold(at, Reason.HOLD_TARGET_REACHED, _told_load(at))
    if at.target < at.state.workers:
        quiet, enough = at.state.calm_seconds, at.policy.calm_seconds
        why = f"fewer would do once nothing has waited for {enough:.0f} s; {quiet:.0f} s are over"
        return _hold(at, Reason.HOLD_RAMP_WINDOW, why)
    return _hold(at, Reason.HOLD_RAMP_WINDOW, "the cap on claimed jobs waits for its next window")


def _hold(
    at: _Situation, reason: Reason, why: str, *, hold_samples: int | None = None, healthy_seconds: float | None = None
) -> _Step:
    left = at.state.hold_samples if hold_samples is None else hold_samples
    return _Step(reason, why, at.state.workers, at.state.in_flight_max, left, at.state.hold_for, healthy_seconds)


def _told_load(at: _Situation) -> str:
    now = at.samples[0]
    if at.required is None or at.state.arrival_rate is None or now is None:
        return "nothing was finished yet, so what the load needs is not known"
    rate = _arrival_rate(at.state.arrival_rate, now)
    return (
        f"{rate:.3g} jobs a second of {at.state.mean_seconds:.3g} s each and {now.due} due ones"
        f" need {at.required} workers"
    )
