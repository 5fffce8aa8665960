from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from queue_pipeline.domain.audit import (
    AuditFinding,
    AuditLimits,
    CheckResult,
    Period,
    Review,
    answered,
    fingerprint,
    legacy_key,
    period_of,
    reported,
)
from queue_pipeline.domain.audit_check import CHECKS, CHECKS_BY_CODE, LEGACY_KEYS

NOW = datetime(2031, 3, 4, 12, tzinfo=UTC)
A_DAY = Period(NOW - timedelta(days=1), NOW)


def a_finding(*, reviewed: bool = False) -> AuditFinding:
    review = Review("d4-0", "Grace", "meant so", NOW) if reviewed else None
    return AuditFinding("D4", "d4-0", "said", review=review)


def an_answer(code: str, *, rows: int = 10, found: int = 0) -> CheckResult:
    return answered(CHECKS_BY_CODE[code], rows_examined=rows, findings=[a_finding()] * found, found=found)


def verdict_with(**answers: CheckResult) -> str:
    checks = [answers.get(check.code) or an_answer(check.code) for check in CHECKS]
    return reported(A_DAY, audited_at=NOW, checks=checks, legacy_keys=[]).verdict


@pytest.mark.parametrize("code", ["D1", "D2", "D3", "D4", "D5", "UNKNOWN"])
def test_one_finding_of_a_check_that_gates_is_a_breach(code: str) -> None:
    assert verdict_with(**{code: an_answer(code, found=1)}) == "breach"


@pytest.mark.parametrize("code", ["D6", "D7"])
def test_a_finding_beside_the_gate_is_told_and_decides_nothing(code: str) -> None:
    assert verdict_with(**{code: an_answer(code, found=1)}) == "pass"


@pytest.mark.parametrize("code", ["D1", "D3", "D4", "D5", "UNKNOWN"])
def test_a_gate_with_nothing_to_examine_is_inconclusive(code: str) -> None:
    assert verdict_with(**{code: an_answer(code, rows=0)}) == "inconclusive"


def test_a_day_without_drafts_may_pass() -> None:
    assert verdict_with(D2=an_answer("D2", rows=0)) == "pass"


def test_a_breach_outranks_a_gap() -> None:
    assert verdict_with(D1=an_answer("D1", found=1), D3=an_answer("D3", rows=0)) == "breach"


def test_no_gate_asked_is_no_pass() -> None:
    assert reported(A_DAY, audited_at=NOW, checks=[an_answer("D6")], legacy_keys=[]).verdict == "inconclusive"


def test_reviewed_findings_do_not_count_and_unlisted_ones_do() -> None:
    reviewed = [a_finding(reviewed=True)]
    check = CHECKS_BY_CODE["D4"]
    assert answered(check, rows_examined=5, findings=reviewed, found=1).verdict == "pass"
    beyond = answered(check, rows_examined=5, findings=reviewed, found=2)
    assert (beyond.verdict, beyond.open) == ("breach", 1)


def test_a_fingerprint_names_the_check_and_the_subject() -> None:
    assert fingerprint("D4", "a") == fingerprint("D4", "a")
    assert len({fingerprint(code, subject) for code in CHECKS_BY_CODE for subject in ("a", "b")}) == 2 * len(CHECKS)
    assert fingerprint("D4", "a").startswith("d4-")


@pytest.mark.parametrize("name", list(LEGACY_KEYS))
def test_a_legacy_key_says_that_it_cannot_fail(name: str) -> None:
    row = legacy_key(name, rows_examined=7, repeated=0)
    assert row.verdict == "structural"
    assert "cannot fail by construction" in row.said
    assert LEGACY_KEYS[name] in row.said


@pytest.mark.parametrize(
    ("asked", "period"),
    [
        ({}, A_DAY),
        ({"day": date(2031, 3, 3)}, Period(datetime(2031, 3, 3, tzinfo=UTC), datetime(2031, 3, 4, tzinfo=UTC))),
        ({"day": date(2031, 3, 4)}, Period(datetime(2031, 3, 4, tzinfo=UTC), NOW)),
        ({"since": NOW - timedelta(hours=3)}, Period(NOW - timedelta(hours=3), NOW)),
        ({"until": NOW - timedelta(hours=3)}, Period(NOW - timedelta(hours=27), NOW - timedelta(hours=3))),
        ({"until": NOW + timedelta(hours=3)}, A_DAY),
    ],
)
def test_a_period_ends_now_at_the_latest(asked: dict[str, Any], period: Period) -> None:
    wanted = {"day": None, "since": None, "until": None, **asked}
    assert period_of(NOW, **wanted, limits=AuditLimits()) == period
