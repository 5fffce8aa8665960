from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queue_pipeline.domain.errors import InvalidInput
from queue_pipeline.domain.limits import Limits
from queue_pipeline.domain.quota import (
    Evidence,
    Reason,
    Standing,
    Tier,
    checked_escalation,
    checked_quota,
    checked_weight,
    checked_words,
    checked_workspace,
    decide,
    evidence_of,
    quota_of,
)
from queue_pipeline.domain.quota_window import QuotaRules, WorkspaceSample

LIMITS, RULES = Limits(), QuotaRules()
NOW = datetime(2026, 11, 30, 12, 0, 7, tzinfo=UTC)
NOON = NOW.replace(second=0)
ELIGIBLE = Standing("acme", True, Tier.STANDARD, 64, None, None, "windows_counting", NOW - timedelta(days=1))
PROMOTED = replace(ELIGIBLE, tier=Tier.PROMOTED, quota=100, rule_code="promoted")
OTHER = replace(ELIGIBLE, eligible=False, rule_code="not_eligible")


def escalated(standing: Standing) -> Standing:
    return replace(standing, escalated_quota=400, quota=400)


@pytest.mark.parametrize(
    ("standing", "evidence", "reason", "tier", "quota"),
    [
        (ELIGIBLE, Evidence(healthy_windows=4), "promoted", "promoted", 100),
        (ELIGIBLE, Evidence(healthy_windows=3), "windows_counting", "standard", 64),
        (ELIGIBLE, Evidence(), "windows_counting", "standard", 64),
        (ELIGIBLE, Evidence(problem="no"), "window_unhealthy", "standard", 64),
        (ELIGIBLE, Evidence(healthy_windows=4, duplicates=1), "window_unhealthy", "standard", 64),
        (OTHER, Evidence(healthy_windows=4), "not_eligible", "standard", 64),
        (OTHER, Evidence(duplicates=1), "not_eligible", "standard", 64),
        (PROMOTED, Evidence(), "promoted", "promoted", 100),
        (PROMOTED, Evidence(problem="no"), "promoted", "promoted", 100),
        (PROMOTED, Evidence(failure_breaches=1, contention_breaches=1), "promoted", "promoted", 100),
        (PROMOTED, Evidence(duplicates=1, healthy_windows=4), "demoted_duplicate", "standard", 64),
        (PROMOTED, Evidence(failure_breaches=2), "demoted_failures", "standard", 64),
        (PROMOTED, Evidence(contention_breaches=2), "demoted_contention", "standard", 64),
        (replace(PROMOTED, eligible=False), Evidence(healthy_windows=4), "not_eligible", "standard", 64),
        (replace(PROMOTED, eligible=False), Evidence(duplicates=1), "demoted_duplicate", "standard", 64),
        (escalated(OTHER), Evidence(), "not_eligible", "standard", 400),
        (escalated(ELIGIBLE), Evidence(healthy_windows=4), "promoted", "promoted", 400),
        (escalated(PROMOTED), Evidence(failure_breaches=2), "demoted_failures", "standard", 400),
        (escalated(PROMOTED), Evidence(duplicates=1), "demoted_duplicate", "standard", 64),
        (escalated(OTHER), Evidence(duplicates=1), "demoted_duplicate", "standard", 64),
        (replace(PROMOTED, own_quota=30, quota=30), Evidence(), "promoted", "promoted", 30),
        (replace(ELIGIBLE, own_quota=30, quota=30), Evidence(healthy_windows=4), "promoted", "promoted", 30),
        (replace(escalated(OTHER), own_quota=30), Evidence(duplicates=1), "demoted_duplicate", "standard", 30),
    ],
)  # fmt: skip
def test_the_rules_answer(standing: Standing, evidence: Evidence, reason: str, tier: str, quota: int) -> None:
    decision = decide(standing, evidence, LIMITS, RULES)
    assert (decision.reason, decision.tier, decision.quota) == (reason, tier, quota)
    assert decision.ends_escalation == (standing.escalated_quota is not None and evidence.duplicates > 0)
    assert decision.said.endswith(".")


@given(
    st.builds(
        Standing,
        st.just("acme"), st.booleans(), st.sampled_from(Tier), st.integers(0, 1024), st.none() | st.integers(1, 1024),
        st.none() | st.integers(1, 1024), st.sampled_from(Reason), st.just(NOW),
    ),
    st.builds(Evidence, st.integers(0, 2), st.integers(0, 4), st.integers(0, 2), st.integers(0, 2), st.none() | st.just("no")),
)  # fmt: skip
def test_whatever_the_facts_the_rules_answer_and_keep_their_promises(standing: Standing, evidence: Evidence) -> None:
    decision = decide(standing, evidence, LIMITS, RULES)
    rises = decision.tier is Tier.PROMOTED
    assert not (rises and not standing.eligible), "eligible is a condition of every promotion"
    if evidence.duplicates:
        assert decision.quota == quota_of(Tier.STANDARD, standing.own_quota, None, LIMITS), "a duplicate ends all of it"
    elif standing.escalated_quota is not None:
        assert decision.quota == standing.escalated_quota, "nothing else ends a person's escalation"
    again = decide(
        replace(
            standing, tier=decision.tier, quota=decision.quota, rule_code=decision.reason,
            escalated_quota=None if decision.ends_escalation else standing.escalated_quota,
        ),
        Evidence(),
        LIMITS,
        RULES,
    )  # fmt: skip
    assert again.tier is decision.tier, "an answer does not change by itself"


def samples(
    minutes: int, *, until: datetime = NOW, change: Callable[[int], dict[str, Any]] = lambda _: {}
) -> list[WorkspaceSample]:
    """Good samples of the last so many minutes; `change` gets the place of each, 1 for the latest."""
    good = {"oldest_due_age_seconds": 1.0, "finished": 10, "sessions": 10}
    return [WorkspaceSample(until - timedelta(minutes=n), **{**good, **change(n)}) for n in range(1, minutes + 1)]


@pytest.mark.parametrize(
    ("minutes", "since", "healthy"),
    [(120, 120, 4), (119, 120, 4), (118, 120, 3), (120, 119, 3), (240, 240, 4), (0, 240, 0)],
)
def test_exactly_four_windows_are_needed_and_each_of_them_whole(minutes: int, since: int, healthy: int) -> None:
    evidence = evidence_of(samples(minutes), now=NOW, judged_since=NOON - timedelta(minutes=since), rules=RULES)
    assert evidence.healthy_windows == healthy
    decision = decide(ELIGIBLE, evidence, LIMITS, RULES)
    assert (decision.tier is Tier.PROMOTED) == (healthy == 4)


@pytest.mark.parametrize(
    ("bad_minutes", "change", "reason"),
    [
        ((5, 20), {"failed": 3}, Reason.DEMOTED_FAILURES),  # 3 of 150, 2.0 %, in each quarter
        ((5,), {"failed": 3}, Reason.PROMOTED),
        ((20, 35), {"failed": 9}, Reason.PROMOTED),
        ((5, 20), {"failed": 2}, Reason.PROMOTED),
        ((5, 6, 20, 21), {"lock_waiting": 2}, Reason.DEMOTED_CONTENTION),
        ((5, 6), {"lock_waiting": 2}, Reason.PROMOTED),
        ((5, 20), {"lock_waiting": 2}, Reason.PROMOTED),
        ((1,), {"duplicates": 1}, Reason.DEMOTED_DUPLICATE),
    ],
)  # fmt: skip
def test_a_demotion_takes_two_bad_quarters_of_an_hour_or_one_duplicate(
    bad_minutes: tuple[int, ...], change: dict[str, Any], reason: Reason
) -> None:
    measured = samples(60, change=lambda n: change if n in bad_minutes else {})
    evidence = evidence_of(measured, now=NOW, judged_since=PROMOTED.judged_since, rules=RULES)
    assert decide(PROMOTED, evidence, LIMITS, RULES).reason is reason


def test_what_was_measured_before_the_promotion_does_not_demote() -> None:
    measured = samples(60, change=lambda n: {"failed": 10})
    evidence = evidence_of(measured, now=NOW, judged_since=NOON - timedelta(minutes=29), rules=RULES)
    assert evidence.failure_breaches == 1


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: checked_workspace(""), "workspace: ''"),
        (lambda: checked_workspace("w" * 201), "Use 1 to 200 characters"),
        (lambda: checked_workspace("a\x00b"), "without NUL"),
        (lambda: checked_workspace("\ud800"), "valid Unicode"),
        (lambda: checked_weight(0), "weight: 0"),
        (lambda: checked_weight(1001), "Use 1 to 1000"),
        (lambda: checked_quota(0, LIMITS), "pause the workspace instead"),
        (lambda: checked_quota(1025, LIMITS), "quota: 1025"),
        (lambda: checked_escalation(64, 1.0, above=64, limits=LIMITS), "64 is in force without it"),
        (lambda: checked_escalation(1025, 1.0, above=64, limits=LIMITS), "Use 1 to 1024"),
        (lambda: checked_escalation(65, 0.0, above=64, limits=LIMITS), "hours: 0.0"),
        (lambda: checked_escalation(65, 72.1, above=64, limits=LIMITS), "at most 72 hours"),
        (lambda: checked_escalation(65, float("nan"), above=64, limits=LIMITS), "hours: nan"),
        (lambda: checked_words(who="ada", why=" "), "why: ' '"),
        (lambda: checked_words(who="a\x00", why="x"), "who:"),
    ],
)  # fmt: skip
def test_what_is_out_of_bounds_is_named_with_its_remedy(call: Callable[[], object], named: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        call()
    assert named in str(refused.value)


def test_what_is_just_within_bounds_is_taken() -> None:
    assert checked_escalation(65, 72.0, above=64, limits=LIMITS) == 72 * 3600
    assert (checked_quota(1, LIMITS), checked_quota(1024, LIMITS), checked_weight(1000)) == (1, 1024, 1000)
    assert checked_words(who=" ada ", why="x") == {"who": "ada", "why": "x"}
