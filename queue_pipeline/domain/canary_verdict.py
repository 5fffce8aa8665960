"""What a canary has shown so far: one item for each demand of its contract, and what they mean together."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from queue_pipeline.domain.canary import (
    COHORTS,
    SAMPLES_SHARE_MIN,
    CanaryContract,
    CanaryState,
    Cohort,
    CohortSample,
)
from queue_pipeline.domain.limits import Limits
from queue_pipeline.domain.rollback import RollbackRules
from queue_pipeline.domain.slo import nearest_rank, wilson

Status = Literal["pass", "fail", "unmeasured"]
_RULES = RollbackRules()


@dataclass(frozen=True)
class Item:
    """One demand: whether it is met, what was measured, and its bound. `rule` names the knobs that address it."""

    name: str
    status: Status
    value: str
    bound: str
    rule: str | None = None


@dataclass(frozen=True)
class CanaryVerdict:
    """PASS when every demand is met, FAIL when one is broken, INCONCLUSIVE while one could not be measured."""

    verdict: Literal["PASS", "FAIL", "INCONCLUSIVE"]
    items: Sequence[Item]

    def said(self) -> str:
        """What keeps it from passing, in a sentence for each."""
        open_items = [item for item in self.items if item.status != "pass"]
        return " ".join(f"{item.name}: {item.value} ({item.status}; {item.bound})." for item in open_items)


@dataclass(frozen=True)
class CohortSummary:
    """One cohort over the window; ages and waits in seconds, the wait as the highest p95 of any sample."""

    cohort: Cohort
    workspaces: int
    queue_age_p95_seconds: float | None
    wait_p95_seconds: float | None
    started_jobs: int
    failed_jobs: int
    finished_jobs: int
    recoveries: int
    late_writes_refused: int
    duplicate_sends: int


def summaries(samples: Sequence[CohortSample]) -> list[CohortSummary]:
    """Both cohorts side by side: over the window once it has samples, over the warm-up before."""
    window = [sample for sample in samples if sample.phase == CanaryState.WATCHING] or list(samples)
    found = []
    for cohort in COHORTS:
        mine = [sample for sample in window if sample.cohort == cohort]
        if mine:
            found.append(_summary(cohort, mine))
    return found


def _summary(cohort: Cohort, samples: Sequence[CohortSample]) -> CohortSummary:
    age = nearest_rank([sample.oldest_due_age_seconds for sample in samples], 95.0)
    waits = [sample.wait_p95_seconds for sample in samples if sample.wait_p95_seconds is not None]
    return CohortSummary(
        cohort=cohort,
        workspaces=samples[-1].workspaces,
        queue_age_p95_seconds=None if age is None else round(age, 1),
        wait_p95_seconds=round(max(waits), 1) if waits else None,
        started_jobs=sum(sample.started_jobs for sample in samples),
        failed_jobs=sum(sample.failed_jobs for sample in samples),
        finished_jobs=sum(sample.finished_jobs for sample in samples),
        recoveries=sum(sample.recoveries for sample in samples),
        late_writes_refused=sum(sample.late_writes_refused for sample in samples),
        duplicate_sends=max(sample.duplicate_sends for sample in samples),
    )


def judged(
    state: CanaryState,
    contract: CanaryContract,
    samples: Sequence[CohortSample],
    contention: Sequence[tuple[int, int, int]],
    *,
    rolled_back: Sequence[str],
    limits: Limits,
) -> CanaryVerdict:
    """The verdict over the samples of the window: what comes after it makes it no longer.

    `contention` holds sessions, waiting ones and deadlocks of the window, after those of the last sample before it.
    """
    canary = [sample for sample in samples if sample.phase == CanaryState.WATCHING and sample.cohort == "canary"]
    items = [
        _window(state, contract),
        _samples(canary, contract),
        _started(canary, contract),
        _queue_age(canary, contract, limits),
        _failures(canary),
        _duplicates(samples),
        _contention(contention),
        *(Item("rolled back", "fail", why, "never") for why in rolled_back),
    ]
    if any(item.status == "fail" for item in items):
        return CanaryVerdict("FAIL", items)
    return CanaryVerdict("PASS" if all(item.status == "pass" for item in items) else "INCONCLUSIVE", items)


def _window(state: CanaryState, contract: CanaryContract) -> Item:
    complete = state in (CanaryState.COMPLETE, CanaryState.PROMOTED)
    bound = f"a whole window of {contract.window_seconds} s"
    return Item("window", "pass" if complete else "unmeasured", str(state), bound)


def _samples(canary: Sequence[CohortSample], contract: CanaryContract) -> Item:
    wanted = max(contract.samples_min, round(SAMPLES_SHARE_MIN * contract.samples_expected()))
    status: Status = "pass" if len(canary) >= wanted else "unmeasured"
    return Item("samples", status, str(len(canary)), f"at least {wanted} of {contract.samples_expected()}")


def _started(canary: Sequence[CohortSample], contract: CanaryContract) -> Item:
    started = sum(sample.started_jobs for sample in canary)
    status: Status = "pass" if started >= contract.started_min else "unmeasured"
    return Item("started jobs", status, str(started), f"at least {contract.started_min}")


def _queue_age(canary: Sequence[CohortSample], contract: CanaryContract, limits: Limits) -> Item:
    """A sample that is missing counts as one that was too old."""
    limit = limits.queue_age_limit_seconds
    bound = f"at most {limit:.0f} s"
    if not canary:
        return Item("queue age p95", "unmeasured", "no sample", bound, "queue_age")
    missing = max(0, min(contract.samples_expected(), contract.samples_min) - len(canary))
    ages = [sample.oldest_due_age_seconds for sample in canary]
    p95 = nearest_rank([*ages, *[float("inf")] * missing], 95.0) or 0.0
    if p95 == float("inf"):
        return Item("queue age p95", "unmeasured", f"{missing} samples are missing", bound, "queue_age")
    return Item("queue age p95", "pass" if p95 <= limit else "fail", f"{p95:.1f} s", bound, "queue_age")


def _failures(canary: Sequence[CohortSample]) -> Item:
    rate = wilson(sum(sample.failed_jobs for sample in canary), sum(sample.finished_jobs for sample in canary))
    bound = f"95 % lower bound at most {_RULES.failure_rate_max:.0%}, of at least {_RULES.failure_jobs_min} attempts"
    if rate.of < _RULES.failure_jobs_min:
        return Item("failure rate", "unmeasured", f"{rate.events} of {rate.of}", bound, "failure_rate")
    status: Status = "pass" if rate.low <= _RULES.failure_rate_max else "fail"
    said = f"{rate.events} of {rate.of}, {rate.low:.2%} to {rate.high:.2%}"
    return Item("failure rate", status, said, bound, "failure_rate")


def _duplicates(samples: Sequence[CohortSample]) -> Item:
    """Of both cohorts and all phases: whoever sent twice, it is no time to go on."""
    bound = "0 idempotency keys with more than one message at a provider"
    if not samples:
        return Item("duplicate sends", "unmeasured", "no sample", bound, "duplicate")
    most = max(sample.duplicate_sends for sample in samples)
    return Item("duplicate sends", "fail" if most else "pass", str(most), bound, "duplicate")


def _contention(samples: Sequence[tuple[int, int, int]]) -> Item:
    bound = f"no deadlock; at most {_RULES.lock_waiting_share_max:.0%} of sessions wait for locks in a row"
    if not samples:
        return Item("contention", "unmeasured", "no sample", bound, "contention")
    deadlocks = samples[-1][2] - samples[0][2]
    high = [waiting > _RULES.lock_waiting_share_max * sessions for sessions, waiting, _ in samples]
    in_a_row = any(first and second for first, second in pairwise(high))
    said = f"{deadlocks} deadlocks, {sum(high)} of {len(samples)} samples with waiting sessions"
    return Item("contention", "fail" if deadlocks > 0 or in_a_row else "pass", said, bound, "contention")
