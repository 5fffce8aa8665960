"""From what is true of the queue now to what is wrong with it, with the numbers that an engineer wants at 3 a.m."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from queue_pipeline.domain.growth import Growth, growth_notes
from queue_pipeline.domain.incident import AlertRules, Condition, IncidentKind
from queue_pipeline.domain.limits import Limits

#: The scopes of what can only be wrong once per installation.
DRAIN = "drain"
DEFAULT = "default"
CANARY = "canary"
_SHOWN_MAX = 5
_TEXT_MAX = 200
#: Mail addresses; phone numbers with +, with a leading 0, or in groups. Numbers of jobs and seconds stay.
_ADDRESS = re.compile(
    r"[\w.+-]+@[\w.-]+|(?<!\w)(?:\+|0)\d?(?:[\s().-]*\d){6,}|(?<!\w)\(?\d{3}\)?[-.\s]\d{3}[-.\s]\d{4}(?!\w)"
)


@dataclass(frozen=True)
class RunFact:
    """A living function run; ages in seconds."""

    function_run_id: int
    shard: str
    heartbeat_age: float
    progress_age: float
    lease_left: float
    is_stale: bool


@dataclass(frozen=True)
class DecisionFact:
    """One recovery decision."""

    decision_id: int
    signal: str
    shard: str | None
    function_run_id: int | None
    detail: str
    age: float


@dataclass(frozen=True)
class RollbackFact:
    """A canary that a rule turned back, and that nobody has taken note of; `changes` says which flags were flipped."""

    rollback_id: int
    canary_id: int
    rule: str
    why: str
    changes: str
    age: float


@dataclass(frozen=True)
class PauseFact:
    """What is paused without an end; `age` in seconds. A workspace is not named, `pause_id` leads to it."""

    pause_id: int
    scope: str
    who: str
    why: str
    age: float


@dataclass(frozen=True)
class SampleFact:
    """One health sample, as old as it is now; in seconds."""

    age: float
    oldest_due_age: float
    duplicate_sends: int
    starved_workspaces: int = 0
    longest_unserved: float = 0.0


@dataclass(frozen=True)
class AlertFacts:
    """The truth of one instant by the database's clock; ages in seconds, None where nothing was ever recorded."""

    oldest_due_age: float = 0.0
    oldest_due_kind: str | None = None
    oldest_due_job: int | None = None
    backlog: int = 0
    backlog_is_floor: bool = False
    runs: tuple[RunFact, ...] = ()
    stale_decisions: tuple[DecisionFact, ...] = ()
    last_decision: DecisionFact | None = None
    last_sweep_age: float | None = None
    samples: tuple[SampleFact, ...] = ()
    unknown_sends: int = 0
    unknown_old: int = 0
    oldest_unknown_age: float = 0.0
    needs_human: int = 0
    duplicate_sends: int = 0
    rollbacks: tuple[RollbackFact, ...] = field(default=())
    pauses: tuple[PauseFact, ...] = ()
    growth: Growth = field(default_factory=Growth)


def conditions(facts: AlertFacts, limits: Limits, rules: AlertRules) -> list[Condition]:
    """Everything that is wrong, at most one condition per kind and scope."""
    found = [
        _stale_run(facts, limits),
        _queue_age(facts, limits, rules),
        _unknown_sends(facts, rules),
        _duplicate_sends(facts, rules),
        _watchdog_silent(facts, limits, rules),
        _starvation(facts, limits, rules),
        _paused(facts, limits),
        _vacuum_held(facts, limits),
        *(_rollback(each, facts) for each in facts.rollbacks),
    ]
    return [condition for condition in found if condition is not None]


def without_addresses(text: str) -> str:
    """The text on one line, shortened, without anything that looks like an address or a phone number."""
    line = _ADDRESS.sub("[removed]", " ".join(text.split()))
    return line if len(line) <= _TEXT_MAX else f"{line[: _TEXT_MAX - 1]}…"


def _stale_run(facts: AlertFacts, limits: Limits) -> Condition | None:
    stale = [run for run in facts.runs if run.is_stale]
    recovered = facts.stale_decisions
    if not stale and not recovered:
        return None
    if stale:
        headline = (
            f"{_count(len(stale), 'function run')} without progress for {limits.stale_cutoff_seconds:.0f} s or with an "
            "expired lease"
        )
    else:
        headline = f"{_count(len(recovered), 'stale function run')} just recovered"
    ids = [f"run {run.function_run_id}" for run in stale] + [f"decision {each.decision_id}" for each in recovered]
    shown = [(f"Stale function run {run.function_run_id}", _life(run)) for run in stale[:_SHOWN_MAX]]
    shown += [
        ("Recovered", f"{each.shard or 'no shard'}: {without_addresses(each.detail)}")
        for each in recovered[:_SHOWN_MAX]
    ]
    numbers = {"stale_function_runs": len(stale), "recovered": len(recovered)}
    return _condition(
        IncidentKind.STALE_RUN,
        DRAIN,
        headline,
        shown=shown,
        facts=facts,
        numbers=numbers,
        material=",".join(sorted(ids)),
    )


def _queue_age(facts: AlertFacts, limits: Limits, rules: AlertRules) -> Condition | None:
    limit = limits.queue_age_limit_seconds
    fresh = facts.samples[0] if facts.samples and facts.samples[0].age <= rules.sample_gap else None
    age = max(facts.oldest_due_age, fresh.oldest_due_age if fresh is not None else 0.0)
    if age <= limit:
        return None
    return _condition(
        IncidentKind.QUEUE_AGE,
        DEFAULT,
        f"the oldest due job has waited {age:.0f} s, the limit is {limit:.0f} s",
        shown=[("Queue age", f"{age:.0f} s (limit {limit:.0f} s)")],
        facts=facts,
        numbers={"age_seconds": round(age, 1), "limit_seconds": limit, "backlog": facts.backlog},
        material=f"at least {2 ** (int(age // limit).bit_length() - 1)} times the limit",
        due=age > rules.age_at_once or all(_last_two_are_bad(facts.samples, limit, rules)),
    )


def _last_two_are_bad(samples: Sequence[SampleFact], limit: float, rules: AlertRules) -> tuple[bool, bool]:
    """Whether each of the two latest samples, one per minute, breaks the limit or is missing."""
    newest = samples[0] if samples and samples[0].age <= rules.sample_gap else None
    earlier = samples if newest is None else samples[1:]
    since = rules.sample_gap if newest is None else newest.age
    apart = [sample for sample in earlier if newest is None or sample.age - since >= rules.sample_gap / 3]
    before = apart[0] if apart and apart[0].age - since <= rules.sample_gap else None
    return newest is None or newest.oldest_due_age > limit, before is None or before.oldest_due_age > limit


def _unknown_sends(facts: AlertFacts, rules: AlertRules) -> Condition | None:
    if not facts.unknown_old and not facts.needs_human:
        return None
    said = []
    if facts.unknown_old:
        said.append(f"{_count(facts.unknown_old, 'send')} unknown for more than {rules.unknown_after / 60:.0f} min")
    if facts.needs_human:
        said.append(f"{_count(facts.needs_human, 'send')} waiting for a person's decision")
    shown = [
        ("Unknown sends", f"{facts.unknown_sends}, the oldest for {facts.oldest_unknown_age:.0f} s"),
        ("Needs a person", str(facts.needs_human)),
    ]
    numbers = {"unknown": facts.unknown_sends, "unknown_old": facts.unknown_old, "needs_human": facts.needs_human}
    return _condition(
        IncidentKind.UNKNOWN_SENDS,
        DEFAULT,
        ", ".join(said),
        shown=shown,
        facts=facts,
        numbers=numbers,
        material=f"{facts.unknown_old}/{facts.needs_human}",
    )


def _duplicate_sends(facts: AlertFacts, rules: AlertRules) -> Condition | None:
    fresh = [sample.duplicate_sends for sample in facts.samples[:1] if sample.age <= rules.sample_silence]
    count = max([facts.duplicate_sends, *fresh])
    if not count:
        return None
    return _condition(
        IncidentKind.DUPLICATE_SENDS,
        DEFAULT,
        f"{_count(count, 'idempotency key')} with more than one message at a provider within a day",
        shown=[("Duplicate sends, last day", str(count))],
        facts=facts,
        numbers={"duplicate_sends": count},
        material=str(count),
    )


def _rollback(rollback: RollbackFact, facts: AlertFacts) -> Condition:
    return _condition(
        IncidentKind.ROLLBACK,
        CANARY,
        f"canary {rollback.canary_id} was rolled back by rule {rollback.rule}",
        shown=[
            ("Why", without_addresses(rollback.why)),
            ("Flags", rollback.changes or "none was flipped; the canary's candidate values are gone"),
            ("Rolled back", f"{rollback.age:.0f} s ago"),
        ],
        facts=facts,
        numbers={"rollback_id": rollback.rollback_id, "canary_id": rollback.canary_id},
        material=str(rollback.rollback_id),
    )


def _starvation(facts: AlertFacts, limits: Limits, rules: AlertRules) -> Condition | None:
    """In the two latest samples, one per minute; without samples the watchdog speaks."""
    latest = [sample for sample in facts.samples[:2] if sample.age <= rules.sample_silence]
    if len(latest) < 2 or not all(sample.starved_workspaces for sample in latest):
        return None
    count, longest = latest[0].starved_workspaces, latest[0].longest_unserved
    return _condition(
        IncidentKind.STARVATION,
        DEFAULT,
        f"{_count(count, 'workspace')} with due work not served although others were",
        shown=[
            ("Not served for up to", f"{longest:.0f} s"),
            (
                "Bound",
                f"{limits.starvation_waits_max:g} times the median wait, at least {limits.starvation_min_seconds:g} s",
            ),
        ],
        facts=facts,
        numbers={"workspaces": count, "longest_seconds": round(longest, 1)},
        material=f"at least {2 ** (count.bit_length() - 1)}",
    )


def _paused(facts: AlertFacts, limits: Limits) -> Condition | None:
    forgotten = [pause for pause in facts.pauses if pause.age > limits.pause_reminder_seconds]
    if not forgotten:
        return None
    shown = [
        (
            f"Pause {each.pause_id}",
            f"one {each.scope}, for {each.age / 3600:.0f} h, {without_addresses(f'by {each.who}: {each.why}')}",
        )
        for each in forgotten[:_SHOWN_MAX]
    ]
    return _condition(
        IncidentKind.PAUSED,
        DEFAULT,
        f"{_count(len(forgotten), 'pause')} without an end for more than {limits.pause_reminder_seconds / 3600:g} h",
        shown=shown,
        facts=facts,
        numbers={"pauses": len(forgotten)},
        material=",".join(str(each.pause_id) for each in forgotten),
    )


def _vacuum_held(facts: AlertFacts, limits: Limits) -> Condition | None:
    notes = growth_notes(facts.growth, limits)
    if not notes:
        return None
    horizon, worst = facts.growth.horizon, facts.growth.worst
    numbers = {
        "horizon_age_seconds": _rounded(horizon.age_seconds) if horizon else None,
        "horizon_age_transactions": horizon.age_transactions if horizon else 0,
        "dead_rows": worst.dead if worst else 0,
        "transaction_age": facts.growth.transaction_age,
    }
    return _condition(
        IncidentKind.VACUUM_HELD,
        DEFAULT,
        "vacuum cannot keep up with dead rows",
        shown=[("Finding", without_addresses(note)) for note in notes],
        facts=facts,
        numbers=numbers,
        material=f"{len(notes)} findings, held by {horizon.who if horizon and horizon.is_old else 'nobody'}",
    )


def _watchdog_silent(facts: AlertFacts, limits: Limits, rules: AlertRules) -> Condition | None:
    sweep, sample = facts.last_sweep_age, facts.samples[0].age if facts.samples else None
    silent = []
    if sweep is None or sweep > limits.sweep_silence_seconds:
        silent.append("nobody looks for stale function runs")
    if sample is None or sample > rules.sample_silence:
        silent.append("nobody measures the queue")
    if not silent:
        return None
    return _condition(
        IncidentKind.WATCHDOG_SILENT,
        DEFAULT,
        " and ".join(silent),
        shown=[
            ("Last sweep", f"{_ago(sweep)} (limit {limits.sweep_silence_seconds:.0f} s)"),
            ("Last health sample", f"{_ago(sample)} (limit {rules.sample_silence:.0f} s)"),
        ],
        facts=facts,
        numbers={"last_sweep_age_seconds": _rounded(sweep), "last_sample_age_seconds": _rounded(sample)},
        material=" and ".join(silent),
        due=False,
        held_for=rules.silence_before_page,
    )


def _condition(
    kind: IncidentKind,
    scope: str,
    headline: str,
    *,
    shown: Iterable[tuple[str, str]],
    facts: AlertFacts,
    numbers: Mapping[str, Any],
    material: str,
    due: bool = True,
    held_for: float | None = None,
) -> Condition:
    evidence = {
        "headline": headline,
        "facts": [[label, text] for label, text in [*shown, *_common(facts, kind)]],
        "numbers": dict(numbers),
    }
    return Condition(kind, scope, due=due, material=material, evidence=evidence, held_for=held_for)


def _common(facts: AlertFacts, kind: IncidentKind) -> list[tuple[str, str]]:
    """What is worth knowing whatever is wrong."""
    floor = "at least " if facts.backlog_is_floor else ""
    shown = [("Backlog", f"{floor}{facts.backlog} due")]
    if facts.oldest_due_job is not None:
        oldest = f"job {facts.oldest_due_job} ({facts.oldest_due_kind}), {facts.oldest_due_age:.0f} s"
        shown.append(("Oldest due job", oldest))
    living = [run for run in facts.runs if kind is not IncidentKind.STALE_RUN or not run.is_stale]
    more = f"; and {len(living) - _SHOWN_MAX} more" if len(living) > _SHOWN_MAX else ""
    lives = "; ".join(f"{run.function_run_id} ({run.shard}): {_life(run)}" for run in living[:_SHOWN_MAX])
    label = "Other function runs" if kind is IncidentKind.STALE_RUN else "Function runs"
    shown.append((label, f"{lives}{more}" or "none lives"))
    if (last := facts.last_decision) is not None:
        what = f"{last.signal}, {last.shard or 'no shard'}, {_ago(last.age)}: {without_addresses(last.detail)}"
        shown.append(("Last recovery", what))
    return shown


def _life(run: RunFact) -> str:
    return f"heartbeat {_ago(run.heartbeat_age)}, progress {_ago(run.progress_age)}"


def _ago(seconds: float | None) -> str:
    return "never" if seconds is None else f"{max(0.0, seconds):.0f} s ago"


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
