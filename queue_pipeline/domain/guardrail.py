"""Guardrails: signs that more handlers would do harm, measured and never forced, each with its bound."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import inf

from queue_pipeline.domain.slo import wilson


@dataclass(frozen=True)
class CapacitySample:
    """What was measured of the queue and its database at one instant, and since the sample before it.

    Counted over `seconds`: arrivals (attempts that became due), finished, failed and retried attempts, the seconds that
    handlers took for them, deadlocks, claims, claims that another drain's locks turned away, provider answers and those
    that said "too many". At the instant: due jobs that wait, handlers at once that living drains allow (`workers`),
    active sessions and those of them that wait for a lock, connections, and active workspaces. `age_p95_seconds` is
    None when nothing waited; `connect_wait_p95_seconds` is the worst drain's, None when none asked for a connection.
    """

    seconds: float = 60.0
    arrivals: int = 0
    finished: int = 0
    failed: int = 0
    retried: int = 0
    handler_seconds: float = 0.0
    due: int = 0
    age_p95_seconds: float | None = None
    workers: int = 0
    active_workspaces: int = 0
    sessions: int = 0
    lock_waiting: int = 0
    deadlocks: int = 0
    claims: int = 0
    claim_conflicts: int = 0
    connect_wait_p95_seconds: float | None = None
    connections_used: int = 0
    connections_max: int = 0
    provider_answers: int = 0
    provider_throttled: int = 0

    @property
    def throughput(self) -> float:
        """Attempts that ended, per second."""
        return self.finished / self.seconds


@dataclass(frozen=True)
class GuardrailBounds:
    """What is too much. Shares are between 0 and 1, and are judged from so many events on.

    Few sessions, claims or answers say little: one of two sessions that waits for a moment is no storm.
    """

    lock_waiting_share_max: float = 0.10
    lock_waiting_min: int = 2
    lock_samples: int = 2
    claim_conflict_share_max: float = 0.20
    claims_min: int = 50
    connect_wait_p95_seconds_max: float = 0.250
    connections_share_max: float = 0.85
    failure_rate_max: float = 0.02
    finished_min: int = 30
    retry_ratio_rise_max: float = 1.5
    retry_ratio_usual_min: float = 0.05
    retry_samples: int = 5
    throttled_share_max: float = 0.05
    answers_min: int = 20


class Scope(StrEnum):
    """What a guardrail is about: the database, which all handlers share, or outcomes, which are those of some kinds."""

    DATABASE = "database"
    OUTCOMES = "outcomes"


#: Guardrails that one kind or one provider breaches alone, while all others are well.
_OF_OUTCOMES = frozenset({"failure_rate", "retries", "throttled"})


@dataclass(frozen=True)
class Guardrail:
    """A breached guardrail: its name, what was measured, its bound, and both in a sentence without its full stop."""

    name: str
    value: float
    bound: float
    why: str

    @property
    def scope(self) -> Scope:
        """What it is about."""
        return Scope.OUTCOMES if self.name in _OF_OUTCOMES else Scope.DATABASE


def breached(samples: Sequence[CapacitySample | None], bounds: GuardrailBounds) -> list[Guardrail]:
    """Every guardrail that the newest sample breaches, in a fixed order; a missing sample breaches none."""
    now = samples[0] if samples else None
    if now is None:
        return []
    found = (
        _lock_waits(samples, bounds),
        _deadlocks(now),
        _claim_conflicts(now, bounds),
        _connect_wait(now, bounds),
        _connections(now, bounds),
        _failures(now, bounds),
        _retries(now, samples[1:], bounds),
        _throttled(now, bounds),
    )
    return [guardrail for guardrail in found if guardrail is not None]


def _lock_waits(samples: Sequence[CapacitySample | None], bounds: GuardrailBounds) -> Guardrail | None:
    latest = samples[: bounds.lock_samples]
    shares = [_share_waiting(sample, bounds) for sample in latest if sample is not None]
    if len(shares) < bounds.lock_samples or min(shares) <= bounds.lock_waiting_share_max:
        return None
    why = f"{_percent(shares[0])} of active sessions wait for locks, in {len(shares)} consecutive samples"
    return Guardrail("lock_waits", shares[0], bounds.lock_waiting_share_max, why)


def _share_waiting(sample: CapacitySample, bounds: GuardrailBounds) -> float:
    return 0.0 if sample.lock_waiting < bounds.lock_waiting_min else sample.lock_waiting / max(1, sample.sessions)


def _deadlocks(now: CapacitySample) -> Guardrail | None:
    if now.deadlocks <= 0:
        return None
    return Guardrail("deadlocks", now.deadlocks, 0, f"PostgreSQL ended {now.deadlocks} deadlocks")


def _claim_conflicts(now: CapacitySample, bounds: GuardrailBounds) -> Guardrail | None:
    low = wilson(now.claim_conflicts, now.claims).low if now.claims >= bounds.claims_min else 0.0
    if low <= bounds.claim_conflict_share_max:
        return None
    why = f"{now.claim_conflicts} of {now.claims} claims met only lanes that another drain held"
    return Guardrail("claim_conflicts", low, bounds.claim_conflict_share_max, why)


def _connect_wait(now: CapacitySample, bounds: GuardrailBounds) -> Guardrail | None:
    wait = now.connect_wait_p95_seconds
    if wait is None or wait <= bounds.connect_wait_p95_seconds_max:
        return None
    why = f"drains wait {wait * 1000:.0f} ms for a connection (p95)"
    return Guardrail("connect_wait", wait, bounds.connect_wait_p95_seconds_max, why)


def _connections(now: CapacitySample, bounds: GuardrailBounds) -> Guardrail | None:
    share = now.connections_used / now.connections_max if now.connections_max > 0 else 0.0
    if share <= bounds.connections_share_max:
        return None
    why = f"{now.connections_used} of {now.connections_max} connections are used"
    return Guardrail("connections", share, bounds.connections_share_max, why)


def _failures(now: CapacitySample, bounds: GuardrailBounds) -> Guardrail | None:
    low = wilson(now.failed, now.finished).low if now.finished >= bounds.finished_min else 0.0
    if low <= bounds.failure_rate_max:
        return None
    why = f"{now.failed} of {now.finished} attempts failed, certainly more than {_percent(bounds.failure_rate_max)}"
    return Guardrail("failure_rate", low, bounds.failure_rate_max, why)


def _retries(
    now: CapacitySample, earlier: Sequence[CapacitySample | None], bounds: GuardrailBounds
) -> Guardrail | None:
    """More retries than usual. Without a past there is no "usual", and the first few of a quiet queue are none."""
    past = [sample for sample in earlier if sample is not None]
    finished = sum(sample.finished for sample in past)
    if now.finished < bounds.finished_min or len(past) < bounds.retry_samples or finished < bounds.finished_min:
        return None
    usual = max(sum(sample.retried for sample in past) / finished, bounds.retry_ratio_usual_min)
    low, bound = wilson(now.retried, now.finished).low, bounds.retry_ratio_rise_max * usual
    if low <= bound:
        return None
    why = f"{now.retried} of {now.finished} attempts are tried again, usual are {_percent(usual)}"
    return Guardrail("retries", low, bound, why)


def _throttled(now: CapacitySample, bounds: GuardrailBounds) -> Guardrail | None:
    share = now.provider_throttled / now.provider_answers if now.provider_answers >= bounds.answers_min else 0.0
    if share <= bounds.throttled_share_max:
        return None
    why = f"{_percent(share)} of {now.provider_answers} provider answers said too many requests (429)"
    return Guardrail("throttled", share, bounds.throttled_share_max, why)


def connections_left(now: CapacitySample, bounds: GuardrailBounds) -> float:
    """How many more connections there may be before that guardrail is breached; infinite where no maximum is known."""
    return (
        inf if now.connections_max <= 0 else now.connections_max * bounds.connections_share_max - now.connections_used
    )


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
