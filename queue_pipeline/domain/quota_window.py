"""What was measured of one workspace, minute by minute, and what its windows say for and against a higher quota."""

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise, takewhile

from queue_pipeline.domain.slo import nearest_rank

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: Numbers by their names, as JSON values; None for what was not measured.
Signals = Mapping[str, float | int | bool | None]


@dataclass(frozen=True)
class QuotaRules:
    """The bounds of promotion and demotion, from the hand-off of the capacity contract."""

    window_minutes: int = 30
    windows_to_promote: int = 4
    queue_age_p95_below_seconds: float = 180.0
    failure_rate_below: float = 0.005
    breach_minutes: int = 15
    breaches_to_demote: int = 2
    failure_rate_breach: float = 0.02
    lock_waiting_share_max: float = 0.10
    lock_samples: int = 2

    @property
    def look_back_minutes(self) -> int:
        """How old a sample may be and still matter: the windows of a promotion, and the one that is not over."""
        return self.window_minutes * (self.windows_to_promote + 1)


@dataclass(frozen=True)
class WorkspaceSample:
    """One workspace at one instant; counts are of what ended since the sample before.

    `sessions`, `lock_waiting` and `deadlocks` (since its statistics began) are the database's, shared by all.
    """

    sampled_at: datetime
    oldest_due_age_seconds: float
    finished: int = 0
    failed: int = 0
    duplicates: int = 0
    sessions: int = 0
    lock_waiting: int = 0
    deadlocks: int = 0


@dataclass(frozen=True)
class Window:
    """A window that is over: its samples, one for each minute, None where there is none.

    `deadlocks_before` is what the database had counted just before it; None when nobody looked.
    """

    began_at: datetime
    samples: Sequence[WorkspaceSample | None]
    deadlocks_before: int | None = None

    @property
    def taken(self) -> Sequence[WorkspaceSample]:
        """The samples that there are."""
        return [sample for sample in self.samples if sample is not None]

    @property
    def missing(self) -> int:
        """Minutes without a sample."""
        return len(self.samples) - len(self.taken)

    @property
    def queue_age_p95_seconds(self) -> float:
        """By nearest rank over all minutes; infinite when it falls on one that has no sample."""
        ages = [math.inf if sample is None else sample.oldest_due_age_seconds for sample in self.samples]
        p95 = nearest_rank(ages, 95)
        return math.inf if p95 is None else p95

    @property
    def finished(self) -> int:
        """Attempts that ended."""
        return sum(sample.finished for sample in self.taken)

    @property
    def failed(self) -> int:
        """Attempts that ended badly."""
        return sum(sample.failed for sample in self.taken)

    @property
    def failure_rate(self) -> float | None:
        """The share that ended badly, 0 to 1; None when nothing ended."""
        return self.failed / self.finished if self.finished else None

    @property
    def duplicates(self) -> int:
        """Idempotency keys of which a second message was heard of."""
        return sum(sample.duplicates for sample in self.taken)

    def is_contended(self, rules: QuotaRules) -> bool:
        """Whether sessions waited for locks in consecutive samples, or a deadlock happened."""
        before = [] if self.deadlocks_before is None else [self.deadlocks_before]
        counted = [*before, *(sample.deadlocks for sample in self.taken)]
        if any(later > earlier for earlier, later in pairwise(counted)):
            return True
        high = [sample is not None and _is_high(sample, rules) for sample in self.samples]
        return any(all(high[start : start + rules.lock_samples]) for start in range(len(high) - rules.lock_samples + 1))

    def signals(self, rules: QuotaRules) -> Signals:
        """Its numbers as JSON values; an age that is not known is None."""
        p95, rate = self.queue_age_p95_seconds, self.failure_rate
        return {
            "queue_age_p95_seconds": round(p95, 1) if math.isfinite(p95) else None,
            "failure_rate_percent": None if rate is None else round(100 * rate, 3),
            "contention_breached": self.is_contended(rules),
            "duplicate_send_count": self.duplicates,
            "finished": self.finished,
            "failed": self.failed,
            "missing_samples": self.missing,
        }


def windows(
    samples: Sequence[WorkspaceSample], *, now: datetime, since: datetime, minutes: int, count: int
) -> list[Window]:
    """The latest windows that are over, newest first, at most `count`; none that began before `since`.

    Windows of 30 minutes begin at full and half hours, those of 15 at every quarter, the same for every workspace.
    """
    length = timedelta(minutes=minutes)
    end = _EPOCH + (now - _EPOCH) // length * length
    starts = [end - length * (place + 1) for place in range(count)]
    ordered = sorted(samples, key=_instant)
    return [_window(ordered, start, minutes) for start in starts if start >= since]


def problem_of(window: Window, rules: QuotaRules) -> str | None:
    """What keeps a window from being healthy, in words; None when nothing does."""
    if window.duplicates:
        return duplicates_said(window.duplicates)
    return _problem_of_age(window, rules) or _problem_of_attempts(window, rules)


def duplicates_said(keys: int) -> str:
    """So many idempotency keys of which a second message was heard of, in words."""
    noun = "idempotency key has" if keys == 1 else "idempotency keys have"
    return f"{keys} {noun} more than one message at a provider"


def healthy_in_a_row(newest_first: Sequence[Window], rules: QuotaRules) -> int:
    """How many windows are healthy, from the latest one back."""
    return sum(1 for _ in takewhile(lambda window: problem_of(window, rules) is None, newest_first))


def failures_in_a_row(newest_first: Sequence[Window], rules: QuotaRules) -> int:
    """How many windows have too many failures, from the latest one back."""
    return sum(
        1 for _ in takewhile(lambda window: (window.failure_rate or 0.0) >= rules.failure_rate_breach, newest_first)
    )


def contended_in_a_row(newest_first: Sequence[Window], rules: QuotaRules) -> int:
    """How many windows are contended, from the latest one back."""
    return sum(1 for _ in takewhile(lambda window: window.is_contended(rules), newest_first))


def _problem_of_age(window: Window, rules: QuotaRules) -> str | None:
    p95 = window.queue_age_p95_seconds
    if math.isinf(p95):
        return f"{window.missing} of its {len(window.samples)} minutes have no sample"
    if p95 >= rules.queue_age_p95_below_seconds:
        return f"the p95 of the queue age was {p95:.1f} s and must be below {rules.queue_age_p95_below_seconds:g} s"
    return None


def _problem_of_attempts(window: Window, rules: QuotaRules) -> str | None:
    rate = window.failure_rate
    if window.is_contended(rules):
        return "sessions of the database waited for each other"
    if rate is None:
        return "no attempt ended in it, which proves nothing"
    if rate >= rules.failure_rate_below:
        bound = f"and must be below {rules.failure_rate_below:.1%}"
        return f"{window.failed} of {window.finished} attempts failed, {rate:.2%}, {bound}"
    return None


def _window(ordered: Sequence[WorkspaceSample], start: datetime, minutes: int) -> Window:
    first = bisect_left(ordered, start, key=_instant)
    places: list[WorkspaceSample | None] = [None] * minutes
    for sample in ordered[first:]:
        place = (sample.sampled_at - start) // timedelta(minutes=1)
        if place >= minutes:
            break
        places[place] = sample
    return Window(start, places, ordered[first - 1].deadlocks if first else None)


def _instant(sample: WorkspaceSample) -> datetime:
    return sample.sampled_at


def _is_high(sample: WorkspaceSample, rules: QuotaRules) -> bool:
    return sample.lock_waiting > rules.lock_waiting_share_max * sample.sessions
