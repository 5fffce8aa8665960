"""The rules that turn a canary back, as data: what is measured, its bound, and the knobs that address it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from queue_pipeline.domain.canary import CohortSample
from queue_pipeline.domain.limits import Limits
from queue_pipeline.domain.slo import wilson

Mode = Literal["observe", "enforce"]


@dataclass(frozen=True)
class RollbackRules:
    """The bounds of the rules."""

    queue_age_samples: int = 2
    failure_rate_max: float = 0.02
    failure_jobs_min: int = 30
    lock_waiting_share_max: float = 0.10
    lock_samples: int = 2


@dataclass(frozen=True)
class Rule:
    """One rule by its code; `knobs` are what an operator can turn when it fires."""

    code: str
    question: str
    knobs: tuple[str, ...]


RULES: Sequence[Rule] = (
    Rule(
        "duplicate",
        "Does any idempotency key have more than one message at a provider?",
        (
            "sends.enabled: it is off now; keep it off until `queue-pipeline audit sends` names the cause",
            "the provider's declared capabilities: an idempotency life that is longer than the provider's true one",
        ),
    ),
    Rule(
        "stale_run",
        "Did any function run go stale, recovered since or not?",
        (
            "the deadline of the kind that hangs (`queue-pipeline running` names it and its stack)",
            "recovery.mode: enforce recovers it, observe only tells",
        ),
    ),
    Rule(
        "queue_age",
        "Has the canary's oldest due job waited longer than the limit in consecutive samples?",
        (
            "QUEUE_PIPELINE_CONCURRENCY and QUEUE_PIPELINE_BATCH_SIZE: handlers at once, and jobs per claim",
            "QUEUE_PIPELINE_SHARDS with `shards --remap`: more drains side by side",
            "drain.parallel: off runs the jobs of one workspace one after the other",
        ),
    ),
    Rule(
        "failure_rate",
        "Do certainly more than 2 % of the canary's attempts fail?",
        (
            "the candidate itself: `queue-pipeline dead` and `queue-pipeline trace` show what fails",
            "max_attempts and backoff of the kind, when the failures are passing",
        ),
    ),
    Rule(
        "contention",
        "Do sessions wait for locks, or did deadlocks happen?",
        (
            "drain.parallel, QUEUE_PIPELINE_CONCURRENCY and QUEUE_PIPELINE_BATCH_SIZE: smaller ones contend less",
            "long transactions of the application (`contention.sql` shows who waits)",
        ),
    ),
)
RULES_BY_CODE: Mapping[str, Rule] = {rule.code: rule for rule in RULES}


@dataclass(frozen=True)
class ContentionSample:
    """The database at one instant; `deadlocks` since its statistics began."""

    sessions: int
    lock_waiting: int
    deadlocks: int


@dataclass(frozen=True)
class RollbackFacts:
    """What the rules look at: the warm-up until the window begins, then the window; newest first if there are several.

    `samples` are the canary cohort's. One that should be there and is not is None, which is as bad as a bad one.
    """

    samples: Sequence[CohortSample | None] = ()
    finished_jobs: int = 0
    failed_jobs: int = 0
    stale_function_runs: int = 0
    duplicate_sends: int = 0
    contention: Sequence[ContentionSample] = ()
    deadlocks_before: int | None = None


@dataclass(frozen=True)
class Breach:
    """A rule that says "back", why, and the numbers that it saw."""

    rule: str
    why: str
    numbers: Mapping[str, Any] = field(default_factory=dict)


def breaches(facts: RollbackFacts, limits: Limits, rules: RollbackRules) -> list[Breach]:
    """Every rule that says "back", the gravest first."""
    found = (
        _duplicate(facts),
        _stale_run(facts),
        _queue_age(facts, limits, rules),
        _failure_rate(facts, rules),
        _contention(facts, rules),
    )
    return [breach for breach in found if breach is not None]


def mode_of(rule: str, *, warming: bool, configured: str) -> Mode | None:
    """Whether a rule acts, only tells, or is off. A duplicate acts at once; every other rule observes the warm-up.

    `warming` until the window begins, held or not.
    """
    if configured == "off":
        return None
    if configured == "observe" or (warming and rule != "duplicate"):
        return "observe"
    return "enforce"


def _duplicate(facts: RollbackFacts) -> Breach | None:
    if not facts.duplicate_sends:
        return None
    keys = facts.duplicate_sends
    noun = "idempotency key has" if keys == 1 else "idempotency keys have"
    return Breach("duplicate", f"{keys} {noun} more than one message at a provider", {"duplicate_sends": keys})


def _stale_run(facts: RollbackFacts) -> Breach | None:
    stale = facts.stale_function_runs
    if not stale:
        return None
    noun = "function run" if stale == 1 else "function runs"
    return Breach("stale_run", f"{stale} {noun} went stale", {"stale_function_runs": stale})


def _queue_age(facts: RollbackFacts, limits: Limits, rules: RollbackRules) -> Breach | None:
    latest = list(facts.samples[: rules.queue_age_samples])
    if len(latest) < rules.queue_age_samples:
        return None
    ages = [None if sample is None else sample.oldest_due_age_seconds for sample in latest]
    if not all(age is None or age > limits.queue_age_limit_seconds for age in ages):
        return None
    said = " and ".join("no sample" if age is None else f"{age:.0f} s" for age in ages)
    why = (
        f"the canary's oldest due job had waited {said} in consecutive samples; the limit is "
        f"{limits.queue_age_limit_seconds:.0f} s"
    )
    return Breach("queue_age", why, {"oldest_due_age_seconds": ages, "limit": limits.queue_age_limit_seconds})


def _failure_rate(facts: RollbackFacts, rules: RollbackRules) -> Breach | None:
    if facts.finished_jobs < rules.failure_jobs_min:
        return None
    rate = wilson(facts.failed_jobs, facts.finished_jobs)
    if rate.low <= rules.failure_rate_max:
        return None
    why = (
        f"{facts.failed_jobs} of the canary's {facts.finished_jobs} attempts failed, certainly more than "
        f"{rate.low:.1%}; the bound is {rules.failure_rate_max:.0%}"
    )
    numbers = {"failed": rate.events, "finished": rate.of, "at_least": round(rate.low, 4)}
    return Breach("failure_rate", why, numbers)


def _contention(facts: RollbackFacts, rules: RollbackRules) -> Breach | None:
    latest = facts.contention[: rules.lock_samples]
    shares = [sample.lock_waiting / sample.sessions if sample.sessions else 0.0 for sample in latest]
    if len(shares) == rules.lock_samples and all(share > rules.lock_waiting_share_max for share in shares):
        said = " and ".join(f"{share:.0%}" for share in shares)
        why = f"{said} of the active sessions waited for locks; the bound is {rules.lock_waiting_share_max:.0%}"
        return Breach("contention", why, {"lock_waiting_share": [round(share, 3) for share in shares]})
    before = facts.deadlocks_before
    grown = latest[0].deadlocks - before if latest and before is not None else 0
    if grown <= 0:
        return None
    return Breach("contention", f"{grown} deadlocks happened since the canary started", {"deadlocks": grown})
