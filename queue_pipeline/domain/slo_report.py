"""The service levels of one window: of the canary's workspaces beside all others, and of the queue as a whole."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from queue_pipeline.domain.canary import Cohort
from queue_pipeline.domain.limits import Limits
from queue_pipeline.domain.measurement import Measurement
from queue_pipeline.domain.rollback import RULES_BY_CODE, RollbackRules
from queue_pipeline.domain.rollout_decision import ChecklistItem, Status
from queue_pipeline.domain.slo import Rate, burn_rate, wilson

COHORTS: Sequence[Cohort] = ("canary", "control")
#: The share of good minutes that is promised over 30 days; a slower leak than any threshold sees burns it.
OBJECTIVE = 0.99
#: A canary's wait is worse when it exceeds 95 % of the others' by so many seconds: a cold start of a Dagster run.
WORSE_BY_SECONDS = 10.0
#: So many waits of each cohort say something about its 95th percentile.
WAITS_MIN = 30
_EXPECTED_SHARE = 0.05

QUEUE_AGE = "queue age of all workspaces"
WAITS = "waits against control"
FAILURES = "failure rate"
DUPLICATES = "keys sent twice"
CONTENTION = "contention"


@dataclass(frozen=True)
class SloWindow:
    """The instants between which is measured, and of which canary; None means all workspaces are `control`.

    `over_at` is when the canary ended, which may be later than its window; now while it has not.
    """

    since: datetime
    until: datetime
    canary_id: int | None
    said: str
    over_at: datetime

    def __str__(self) -> str:
        """Both instants in UTC, to the second."""
        since, until = (f"{each.astimezone(UTC):%Y-%m-%d %H:%M:%S}" for each in (self.since, self.until))
        return f"{since} to {until} UTC"


@dataclass(frozen=True)
class BurnRate:
    """How fast the error budget burnt, looking back so far; `rate` 1 would use it up in exactly 30 days."""

    look_back: str
    bad: int
    minutes: int
    rate: float | None


@dataclass(frozen=True)
class SloReport:
    """What was measured, by the name of its query, and what each demand of the contract came to."""

    window: SloWindow
    measurements: Mapping[str, Measurement]
    items: Sequence[ChecklistItem]
    failure_rates: Mapping[str, Rate]
    burn_rates: Sequence[BurnRate]

    def row(self, query: str, cohort: str) -> Mapping[str, Any]:
        """The row of a cohort in the answer of a query."""
        return self.measurements[query].of("cohort", cohort)


def reported(window: SloWindow, measurements: Mapping[str, Measurement], limits: Limits) -> SloReport:
    """Judge what was measured in a window."""
    rules = RollbackRules()
    rates: dict[str, Rate] = {name: failure_rate(measurements["window_outcomes"], name) for name in COHORTS}
    judged: Cohort = "control" if window.canary_id is None else "canary"
    items = [
        _queue_age(measurements["window_queue_age"], limits),
        _waits(measurements["window_waits"], window),
        _failures(measurements["window_outcomes"], rates[judged], rules),
        _duplicates(measurements["window_duplicates"]),
        _contention(measurements["canary_contention"]),
    ]
    burnt = [
        BurnRate(row["look_back"], row["bad"], row["minutes"], burn_rate(row["bad"], row["minutes"], OBJECTIVE))
        for row in measurements["queue_age_burn"].rows
    ]
    return SloReport(window, measurements, items, rates, burnt)


def failure_rate(outcomes: Measurement, cohort: str) -> Rate:
    """The share of a cohort's attempts that failed, with its confidence interval."""
    row = outcomes.of("cohort", cohort)
    return wilson(int(row.get("failed", 0)), int(row.get("finished", 0)))


def _queue_age(ages: Measurement, limits: Limits) -> ChecklistItem:
    row, limit = ages.one(), limits.queue_age_limit_seconds
    p95 = row.get("p95_seconds")
    if not row.get("samples") or p95 is None:
        said = f"{row.get('samples', 0)} of {row.get('expected', 0)} samples"
        return _item(QUEUE_AGE, "unmeasured", said, f"p95 at most {limit:.0f} s", of=ages, rule="queue_age")
    said = f"p95 {p95:.1f} s of {row['samples']} samples ({row['expected']} expected)"
    status: Status = "pass" if p95 <= limit else "fail"
    return _item(QUEUE_AGE, status, said, f"p95 at most {limit:.0f} s", of=ages, rule="queue_age")


def _waits(waits: Measurement, window: SloWindow) -> ChecklistItem:
    """Worse for certain: more than 5 % of the canary's waits, at 95 % confidence, are beyond 95 % of the others'."""
    bound = f"not certainly more than 5 % wait {WORSE_BY_SECONDS:.0f} s longer than 95 % of control's jobs"
    canary, control = (waits.of("cohort", name) for name in COHORTS)
    counts = [int(row.get("claimed", 0)) + int(row.get("still_waiting", 0)) for row in (canary, control)]
    if window.canary_id is None or min(counts) < WAITS_MIN:
        said = f"{counts[0]} waits of the canary, {counts[1]} of control; {WAITS_MIN} of each are needed"
        return _item(WAITS, "unmeasured", said, bound, of=waits, rule="queue_age")
    worse = wilson(int(canary["worse"]), counts[0])
    said = f"p95 {canary['p95_seconds']:.1f} s against {control['p95_seconds']:.1f} s"
    said = f"{said}; {worse.events} of {worse.of} wait {WORSE_BY_SECONDS:.0f} s longer than that"
    return _item(WAITS, "fail" if worse.low > _EXPECTED_SHARE else "pass", said, bound, of=waits, rule="queue_age")


def _failures(outcomes: Measurement, rate: Rate, rules: RollbackRules) -> ChecklistItem:
    bound = f"95 % lower bound at most {rules.failure_rate_max:.0%}, of at least {rules.failure_jobs_min} attempts"
    said = f"{rate.events} of {rate.of} attempts"
    if rate.of < rules.failure_jobs_min:
        return _item(FAILURES, "unmeasured", said, bound, of=outcomes, rule="failure_rate")
    status: Status = "pass" if rate.low <= rules.failure_rate_max else "fail"
    said = f"{said}, {rate.low:.2%} to {rate.high:.2%}"
    return _item(FAILURES, status, said, bound, of=outcomes, rule="failure_rate")


def _duplicates(duplicates: Measurement) -> ChecklistItem:
    """Of both cohorts. A window without a single key at a provider proves nothing."""
    keys = sum(int(row["keys"]) for row in duplicates.rows)
    twice = sum(int(row["keys_sent_twice"]) for row in duplicates.rows)
    status: Status = "fail" if twice else "pass" if keys else "unmeasured"
    return _item(DUPLICATES, status, f"{twice} of {keys} keys", "0, of at least 1 key", of=duplicates, rule="duplicate")


def _contention(contention: Measurement) -> ChecklistItem:
    row, bound = contention.one(), "no deadlock, and never two samples in a row in which sessions wait"
    if not row.get("samples"):
        return _item(CONTENTION, "unmeasured", "no sample", bound, of=contention, rule="contention")
    status: Status = "fail" if row["deadlocks"] > 0 or row["in_a_row"] else "pass"
    said = f"{row['deadlocks']} deadlocks, {row['high']} of {row['samples']} samples with waiting sessions"
    return _item(CONTENTION, status, said, bound, of=contention, rule="contention")


def _item(name: str, status: Status, said: str, bound: str, *, of: Measurement, rule: str) -> ChecklistItem:
    return ChecklistItem(name, status, said, bound, of.file, RULES_BY_CODE[rule].knobs)
