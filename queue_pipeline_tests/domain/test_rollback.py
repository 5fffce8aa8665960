"""Each rule fires on its own evidence, and on nothing less."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queue_pipeline.domain.canary import CohortSample
from queue_pipeline.domain.limits import Limits
from queue_pipeline.domain.rollback import (
    RULES,
    RULES_BY_CODE,
    ContentionSample,
    RollbackFacts,
    RollbackRules,
    breaches,
    mode_of,
)

SAMPLE = CohortSample("canary", datetime(2026, 1, 5, tzinfo=UTC), "WATCHING", 3, 0, 0.0, 10, 10, 0, 1.0, 0, 0, 0)
OLD = replace(SAMPLE, oldest_due_age_seconds=301.0)
AT_LIMIT = replace(SAMPLE, oldest_due_age_seconds=300.0)
CALM = ContentionSample(20, 2, 7)
WAITING = ContentionSample(20, 3, 7)
NOTHING_WRONG = RollbackFacts(
    samples=[SAMPLE, SAMPLE], finished_jobs=500, failed_jobs=2, contention=[CALM, CALM], deadlocks_before=7
)


def fired(facts: RollbackFacts) -> list[str]:
    return [breach.rule for breach in breaches(facts, Limits(), RollbackRules())]


@pytest.mark.parametrize(
    ("rule", "facts"),
    [
        ("duplicate", {"duplicate_sends": 1}),
        ("stale_run", {"stale_function_runs": 1}),
        ("queue_age", {"samples": [OLD, OLD]}),
        ("queue_age", {"samples": [OLD, OLD, SAMPLE]}),
        ("queue_age", {"samples": [OLD, None]}),
        ("queue_age", {"samples": [None, None]}),
        ("failure_rate", {"finished_jobs": 30, "failed_jobs": 3}),
        ("failure_rate", {"finished_jobs": 40, "failed_jobs": 20}),
        ("failure_rate", {"finished_jobs": 1000, "failed_jobs": 29}),
        ("contention", {"contention": [WAITING, WAITING]}),
        ("contention", {"contention": [replace(CALM, deadlocks=8), CALM]}),
    ],
)
def test_a_rule_fires_on_its_evidence(rule: str, facts: dict[str, object]) -> None:
    assert fired(replace(NOTHING_WRONG, **facts)) == [rule]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "facts",
    [
        {},
        {"samples": []},
        {"samples": [OLD]},
        {"samples": [OLD, SAMPLE]},
        {"samples": [SAMPLE, OLD, OLD]},
        {"samples": [SAMPLE, None]},
        {"samples": [AT_LIMIT, AT_LIMIT]},
        {"finished_jobs": 29, "failed_jobs": 29},
        {"finished_jobs": 30, "failed_jobs": 2},
        {"finished_jobs": 1000, "failed_jobs": 28},
        {"contention": [WAITING, CALM]},
        {"contention": [CALM, WAITING, WAITING]},
        {"contention": [WAITING]},
        {"contention": [ContentionSample(0, 0, 7)] * 2},
        {"contention": [replace(CALM, deadlocks=6), CALM]},
        {"contention": [replace(CALM, deadlocks=99), CALM], "deadlocks_before": None},
        {"contention": []},
    ],
)
def test_less_evidence_fires_no_rule(facts: dict[str, object]) -> None:
    assert fired(replace(NOTHING_WRONG, **facts)) == []  # type: ignore[arg-type]


def test_of_several_the_gravest_comes_first_and_each_says_its_numbers() -> None:
    facts = replace(NOTHING_WRONG, duplicate_sends=2, samples=[OLD, None], failed_jobs=250)
    found = breaches(facts, Limits(), RollbackRules())
    assert [breach.rule for breach in found] == ["duplicate", "queue_age", "failure_rate"]
    assert found[0].why == "2 idempotency keys have more than one message at a provider"
    assert "waited 301 s and no sample in consecutive samples; the limit is 300 s" in found[1].why
    assert found[1].numbers == {"oldest_due_age_seconds": [301.0, None], "limit": 300.0}
    assert found[2].why == "250 of the canary's 500 attempts failed, certainly more than 45.6%; the bound is 2%"


@given(st.integers(30, 2000), st.floats(0, 0.02))
def test_a_rate_within_the_bound_is_never_certainly_above_it(finished: int, share: float) -> None:
    facts = replace(NOTHING_WRONG, finished_jobs=finished, failed_jobs=int(finished * share))
    assert fired(facts) == []


@given(st.integers(30, 2000), st.integers(0, 2000))
def test_more_failures_never_unfire_the_rule(finished: int, failed: int) -> None:
    fewer, more = min(failed, finished), min(failed + 1, finished)
    if fired(replace(NOTHING_WRONG, finished_jobs=finished, failed_jobs=fewer)):
        assert fired(replace(NOTHING_WRONG, finished_jobs=finished, failed_jobs=more))


@pytest.mark.parametrize(
    ("rule", "warming", "configured", "mode"),
    [
        ("queue_age", False, "enforce", "enforce"),
        ("queue_age", True, "enforce", "observe"),
        ("duplicate", True, "enforce", "enforce"),
        ("duplicate", False, "observe", "observe"),
        ("duplicate", True, "observe", "observe"),
        ("stale_run", False, "observe", "observe"),
        ("duplicate", True, "off", None),
        ("contention", False, "off", None),
    ],
)
def test_only_a_duplicate_acts_during_the_warm_up(rule: str, warming: bool, configured: str, mode: str | None) -> None:
    assert mode_of(rule, warming=warming, configured=configured) == mode


def test_every_rule_names_knobs_that_address_it() -> None:
    assert list(RULES_BY_CODE) == ["duplicate", "stale_run", "queue_age", "failure_rate", "contention"]
    assert all(rule.knobs and rule.question.endswith("?") for rule in RULES)
