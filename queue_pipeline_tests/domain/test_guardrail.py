"""Guardrails: each at its bound and just beyond it, and silent where too little was measured to tell."""

from dataclasses import replace

import pytest

from queue_pipeline.domain.guardrail import CapacitySample, GuardrailBounds, Scope, breached

FINE = CapacitySample(
    finished=200, sessions=20, claims=100, connections_used=50, connections_max=100, provider_answers=100
)
BOUNDS = GuardrailBounds()


def names(*samples: CapacitySample | None) -> list[str]:
    return [guardrail.name for guardrail in breached(samples, BOUNDS)]


def test_a_good_sample_and_a_missing_one_breach_none() -> None:
    assert (names(FINE), names(None, FINE), names()) == ([], [], [])


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("deadlocks", {"deadlocks": 0}, {"deadlocks": 1}),
        ("claim_conflicts", {"claim_conflicts": 27}, {"claim_conflicts": 28}),
        ("claim_conflicts", {"claims": 49, "claim_conflicts": 49}, {"claims": 50, "claim_conflicts": 17}),
        ("connect_wait", {"connect_wait_p95_seconds": 0.25}, {"connect_wait_p95_seconds": 0.251}),
        ("connections", {"connections_used": 85}, {"connections_used": 86}),
        ("failure_rate", {"failed": 7}, {"failed": 8}),
        ("failure_rate", {"finished": 29, "failed": 29}, {"finished": 30, "failed": 3}),
        ("throttled", {"provider_throttled": 5}, {"provider_throttled": 6}),
        ("throttled", {"provider_answers": 19, "provider_throttled": 19}, {"provider_answers": 20, "provider_throttled": 2}),
    ],
)  # fmt: skip
def test_a_guardrail_is_breached_beyond_its_bound(name: str, good: dict[str, float], bad: dict[str, float]) -> None:
    assert names(replace(FINE, **good)) == []  # type: ignore[arg-type]
    assert names(replace(FINE, **bad)) == [name]  # type: ignore[arg-type]


def test_what_one_kind_or_provider_breaches_alone_is_about_outcomes() -> None:
    bad = replace(
        FINE, deadlocks=1, claim_conflicts=90, connect_wait_p95_seconds=1.0, connections_used=99, lock_waiting=9,
        failed=90, retried=90, provider_throttled=90,
    )  # fmt: skip
    scopes = {guardrail.name: guardrail.scope for guardrail in breached([bad, *[replace(bad, retried=1)] * 5], BOUNDS)}
    database = ["lock_waits", "deadlocks", "claim_conflicts", "connect_wait", "connections"]
    outcomes = ["failure_rate", "retries", "throttled"]
    assert scopes == {**dict.fromkeys(database, Scope.DATABASE), **dict.fromkeys(outcomes, Scope.OUTCOMES)}


def test_lock_waits_count_in_two_consecutive_samples() -> None:
    bad, good = replace(FINE, lock_waiting=3), replace(FINE, lock_waiting=2)
    assert (names(bad, bad), names(bad), names(bad, good), names(bad, None, bad)) == (["lock_waits"], [], [], [])
    alone = replace(FINE, sessions=2, lock_waiting=1)
    assert names(alone, alone) == [], "one session that waits is no storm"


def test_retries_are_judged_by_what_is_usual() -> None:
    def retried(count: int) -> CapacitySample:
        return replace(FINE, retried=count)

    usual = [retried(40)] * 5
    assert names(retried(120), *usual) == ["retries"]
    assert names(retried(60), *usual) == []
    assert names(retried(120), *usual[:4]) == [], "five samples make a usual"
    assert names(retried(30), *[retried(0)] * 5) == ["retries"], "a usual of none counts as 5 %"
    assert names(retried(15), *[retried(0)] * 5) == []
