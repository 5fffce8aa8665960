"""How many jobs of a workspace may be claimed at once: its tier by rule, what a person set, and escalations.

Eligible is not granted: it lets the rules promote a workspace, after enough healthy windows. A person's word stands
above the tier, and an escalation above both, until it ends.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from queue_pipeline.domain.errors import InvalidInput
from queue_pipeline.domain.limits import Limits
from queue_pipeline.domain.quota_window import (
    QuotaRules,
    Signals,
    WorkspaceSample,
    contended_in_a_row,
    duplicates_said,
    failures_in_a_row,
    healthy_in_a_row,
    problem_of,
    windows,
)

WEIGHT_MAX = 1000
_NAME_MAX = 200


class Tier(StrEnum):
    """What the rules grant."""

    STANDARD = "standard"
    PROMOTED = "promoted"


class Reason(StrEnum):
    """Why a quota is what it is; the first seven are the rules' own."""

    PROMOTED = "promoted"
    NOT_ELIGIBLE = "not_eligible"
    WINDOWS_COUNTING = "windows_counting"
    WINDOW_UNHEALTHY = "window_unhealthy"
    DEMOTED_DUPLICATE = "demoted_duplicate"
    DEMOTED_FAILURES = "demoted_failures"
    DEMOTED_CONTENTION = "demoted_contention"
    ESCALATED = "escalated"
    ESCALATION_EXPIRED = "escalation_expired"
    ESCALATION_ENDED = "escalation_ended"
    QUOTA_SET = "quota_set"
    QUOTA_UNSET = "quota_unset"
    ELIGIBILITY_SET = "eligibility_set"
    WEIGHT_SET = "weight_set"


@dataclass(frozen=True)
class Standing:
    """A workspace as it stands; `quota` is in force now, `rule_code` what the rules said last.

    Windows that began before `judged_since` do not count: the tier or the eligibility was another one.
    """

    workspace: str
    eligible: bool
    tier: Tier
    quota: int
    own_quota: int | None
    escalated_quota: int | None
    rule_code: str
    judged_since: datetime


@dataclass(frozen=True)
class Evidence:
    """What the rules look at. `problem` is what is wrong with the latest window that is over; None when nothing is."""

    duplicates: int = 0
    healthy_windows: int = 0
    failure_breaches: int = 0
    contention_breaches: int = 0
    problem: str | None = None
    signals: Signals = field(default_factory=dict)

    @property
    def breach_windows(self) -> int:
        """Windows in a row that speak for a demotion."""
        return max(self.failure_breaches, self.contention_breaches)


@dataclass(frozen=True)
class Decision:
    """The rules' answer: a tier, the quota that is to be in force, and why."""

    tier: Tier
    quota: int
    ends_escalation: bool
    reason: Reason
    said: str


def quota_of(tier: Tier, own_quota: int | None, escalated_quota: int | None, limits: Limits) -> int:
    """The quota in force: of the escalation, else what a person set, else that of the tier."""
    if escalated_quota is not None:
        return escalated_quota
    if own_quota is not None:
        return own_quota
    return limits.lane_quota_promoted if tier is Tier.PROMOTED else limits.lane_quota_default


def evidence_of(
    samples: Sequence[WorkspaceSample], *, now: datetime, judged_since: datetime, rules: QuotaRules
) -> Evidence:
    """What the samples say at `now`; duplicates are those of the latest sample, which are answered at once."""
    for_promotion = windows(
        samples, now=now, since=judged_since, minutes=rules.window_minutes, count=rules.windows_to_promote
    )
    for_demotion = windows(
        samples, now=now, since=judged_since, minutes=rules.breach_minutes, count=rules.breaches_to_demote
    )
    latest = max(samples, key=lambda sample: sample.sampled_at, default=None)
    duplicates = 0 if latest is None else latest.duplicates
    signals = for_promotion[0].signals(rules) if for_promotion else {}
    return Evidence(
        duplicates=duplicates,
        healthy_windows=healthy_in_a_row(for_promotion, rules),
        failure_breaches=failures_in_a_row(for_demotion, rules),
        contention_breaches=contended_in_a_row(for_demotion, rules),
        problem=problem_of(for_promotion[0], rules) if for_promotion else None,
        signals={**signals, "duplicates_now": duplicates},
    )


def decide(standing: Standing, evidence: Evidence, limits: Limits, rules: QuotaRules) -> Decision:
    """What the rules say now. They answer always, and the same facts have the same answer."""
    ends = bool(evidence.duplicates) and standing.escalated_quota is not None
    tier, reason, because = _judged(standing, evidence, rules, ends_escalation=ends)
    escalated = None if ends else standing.escalated_quota
    quota = quota_of(tier, standing.own_quota, escalated, limits)
    by_tier = quota_of(tier, None, None, limits)
    kept = ""
    if escalated is not None:
        kept = f", and {quota} is in force while the escalation lasts"
    elif standing.own_quota is not None:
        kept = f", and {quota} is in force because a person set it"
    ended = " The escalation ends with it." if ends else ""
    return Decision(tier, quota, ends, reason, f"{because}. Its tier is {tier} ({by_tier}){kept}.{ended}")


def _judged(
    standing: Standing, evidence: Evidence, rules: QuotaRules, *, ends_escalation: bool
) -> tuple[Tier, Reason, str]:
    if evidence.duplicates and (standing.tier is Tier.PROMOTED or ends_escalation):
        return Tier.STANDARD, Reason.DEMOTED_DUPLICATE, duplicates_said(evidence.duplicates)
    if not standing.eligible:
        return Tier.STANDARD, Reason.NOT_ELIGIBLE, "It is not eligible for a promotion"
    if standing.tier is Tier.PROMOTED:
        return _promoted(evidence, rules)
    return _standard(evidence, rules)


def _promoted(evidence: Evidence, rules: QuotaRules) -> tuple[Tier, Reason, str]:
    rows = f"{rules.breaches_to_demote} windows of {rules.breach_minutes} minutes in a row"
    if evidence.failure_breaches >= rules.breaches_to_demote:
        return (
            Tier.STANDARD,
            Reason.DEMOTED_FAILURES,
            f"{rules.failure_rate_breach:.1%} of attempts or more failed in {rows}",
        )
    if evidence.contention_breaches >= rules.breaches_to_demote:
        return Tier.STANDARD, Reason.DEMOTED_CONTENTION, f"Sessions of the database waited for each other in {rows}"
    return Tier.PROMOTED, Reason.PROMOTED, "Nothing speaks for a demotion"


def _standard(evidence: Evidence, rules: QuotaRules) -> tuple[Tier, Reason, str]:
    if evidence.duplicates:
        return Tier.STANDARD, Reason.WINDOW_UNHEALTHY, duplicates_said(evidence.duplicates)
    needed = f"{rules.windows_to_promote} windows of {rules.window_minutes} minutes"
    if evidence.healthy_windows >= rules.windows_to_promote:
        return Tier.PROMOTED, Reason.PROMOTED, f"The latest {needed} were healthy"
    if evidence.problem is not None:
        return Tier.STANDARD, Reason.WINDOW_UNHEALTHY, f"Its latest window was not healthy: {evidence.problem}"
    return Tier.STANDARD, Reason.WINDOWS_COUNTING, f"A promotion takes {needed} in a row that are healthy"


def checked_workspace(workspace: str) -> str:
    """The name itself. Raises InvalidInput for one that no job can have."""
    lone = any("\ud800" <= character <= "\udfff" for character in workspace)
    if not 1 <= len(workspace) <= _NAME_MAX or "\x00" in workspace or lone:
        raise InvalidInput("workspace", workspace, f"Use 1 to {_NAME_MAX} characters of valid Unicode without NUL.")
    return workspace


def checked_weight(weight: int) -> int:
    """The weight itself. Raises InvalidInput when a lane cannot have it."""
    if not 1 <= weight <= WEIGHT_MAX:
        raise InvalidInput("weight", weight, f"Use 1 to {WEIGHT_MAX}: that many times the share of a weight of 1.")
    return weight


def checked_quota(quota: int, limits: Limits) -> int:
    """The quota itself. Raises InvalidInput when no workspace may have it."""
    if not 1 <= quota <= limits.lane_quota_max:
        raise InvalidInput(
            "quota", quota, f"Use 1 to {limits.lane_quota_max}; to let nothing run, pause the workspace instead."
        )
    return quota


def checked_escalation(quota: int, hours: float, *, above: int, limits: Limits) -> float:
    """For how many seconds a workspace is escalated. Raises InvalidInput for what is too much, too long or no more."""
    checked_quota(quota, limits)
    if quota <= above:
        raise InvalidInput(
            "quota", quota, f"An escalation raises, and {above} is in force without it; `workspace quota` lowers it."
        )
    if not 0 < hours <= limits.escalation_hours_max:
        raise InvalidInput("hours", hours, f"Use more than 0 and at most {limits.escalation_hours_max:g} hours.")
    return hours * 3600.0


def checked_words(**words: str) -> dict[str, str]:
    """Who decides and why, without space around them. Raises InvalidInput for an empty one."""
    for name, text in words.items():
        if not text.strip() or "\x00" in text:
            raise InvalidInput(name, text, "Say who decides and why, in words; it is kept as evidence.")
    return {name: text.strip() for name, text in words.items()}
