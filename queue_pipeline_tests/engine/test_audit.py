"""The audit finds every kind of duplicate where nothing else would stop it: on a copy without unique indexes."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from queue_pipeline.domain.audit import AuditFinding, AuditReport, CheckResult
from queue_pipeline.domain.errors import InvalidInput, NotFound
from queue_pipeline.engine.audit import audit_sends, review_finding
from queue_pipeline.store import audit as store
from queue_pipeline.store.session import Database
from queue_pipeline_tests.engine.audit_plants import NEAR_MISSES, PLANTED, alike_to_one_address, same_key_by_link
from queue_pipeline_tests.engine.planted import Planted


def check_of(report: AuditReport, code: str) -> CheckResult:
    return next(check for check in report.checks if check.code == code)


def found_by(db: Database, code: str, **period: Any) -> tuple[AuditFinding, ...]:
    return check_of(audit_sends(db, **period), code).findings


def at_providers(finding: AuditFinding) -> set[str]:
    return {message["provider_message_id"] for message in finding.provider_messages}


def in_ledger(finding: AuditFinding) -> set[int]:
    return {message["outbound_message_id"] for message in finding.outbound_messages}


@pytest.mark.parametrize(("code", "plant"), PLANTED, ids=[f"{code}-{plant.__name__}" for code, plant in PLANTED])
def test_what_is_planted_is_found_with_its_messages_attempts_and_runs(
    db: Database, planted: Planted, code: str, plant: Callable[[Planted], tuple[set[int], set[str]]]
) -> None:
    for _ in range(3):
        planted.sent()
    messages, evidence = plant(planted)
    report = audit_sends(db)
    (finding,) = check_of(report, code).findings
    assert (in_ledger(finding), at_providers(finding)) == (messages, evidence)
    assert check_of(report, code).verdict == "breach"
    assert report.verdict == "breach" or code == "D6"
    assert {attempt["outbound_message_id"] for attempt in finding.attempts} == messages
    for attempt in finding.attempts:
        assert attempt["function_run_id"] == 70 + attempt["attempt"] == 70 + attempt["epoch"]
        assert attempt["dagster_run_id"] == f"dagster-run-{attempt['attempt']}"
        assert attempt["sender"] == f"drain {attempt['attempt']}"
        assert attempt["started_at"] == planted.at
    assert all(message["first_seen_at"] for message in finding.provider_messages)


@pytest.mark.parametrize(("code", "plant"), PLANTED, ids=[f"{code}-{plant.__name__}" for code, plant in PLANTED])
def test_it_is_the_check_s_own_statement_that_finds_it(
    db: Database,
    planted: Planted,
    monkeypatch: pytest.MonkeyPatch,
    code: str,
    plant: Callable[[Planted], tuple[set[int], set[str]]],
) -> None:
    """The tests above can fail: the same statement, made to find nothing, finds nothing."""
    plant(planted)
    blind = f"SELECT * FROM ({store.FINDINGS_SQL[code]}) f WHERE false"
    monkeypatch.setattr(store, "FINDINGS_SQL", {**store.FINDINGS_SQL, code: blind})
    assert found_by(db, code) == ()


@pytest.mark.parametrize("plant", NEAR_MISSES, ids=lambda plant: plant.__name__)
def test_a_near_miss_is_not_found(db: Database, planted: Planted, plant: Callable[[Planted], None]) -> None:
    planted.sent()
    plant(planted)
    report = audit_sends(db)
    assert [finding for check in report.checks for finding in check.findings] == []
    assert report.verdict == "pass"


# ------------------------------------------------------------------------------------------------------ deliveries


def test_a_delivery_with_two_bodies_is_found_and_does_not_gate(db: Database, planted: Planted) -> None:
    planted.sent()
    delivery = planted.delivery()
    planted.conflict(delivery)
    report = audit_sends(db)
    (finding,) = check_of(report, "D7").findings
    assert [event["inbound_event_id"] for event in finding.inbound_events] == [delivery]
    assert finding.inbound_events[0]["other_payloads"] == ["f" * 12]
    assert "two bodies" in finding.said
    assert (report.verdict, check_of(report, "D7").verdict) == ("pass", "breach")
    assert "Beside the gate, D7" in report.said


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        ({"dedupe_key": "k"}, {"dedupe_key": "k"}, "two bodies"),
        ({"dedupe_key": "k", "payload_sha256": "a" * 64}, {"dedupe_key": "k", "payload_sha256": "a" * 64}, "twice"),
        ({"provider_event_id": "e"}, {"provider_event_id": "e"}, "twice"),
    ],
)
def test_a_delivery_that_was_accepted_twice_is_found(
    db: Database, planted: Planted, first: dict[str, Any], second: dict[str, Any], said: str
) -> None:
    events = {planted.delivery(at=planted.at - timedelta(days=9), **first), planted.delivery(**second)}
    (finding,) = found_by(db, "D7")
    assert {event["inbound_event_id"] for event in finding.inbound_events} == events
    assert said in finding.said


@pytest.mark.parametrize("other", [{"workspace": "globex"}, {"provider": "unipile"}, {"account": "second"}])
def test_the_same_delivery_elsewhere_is_another_delivery(db: Database, planted: Planted, other: dict[str, Any]) -> None:
    same: dict[str, Any] = {"dedupe_key": "k", "provider_event_id": "k", "payload_sha256": "a" * 64}
    planted.delivery(**same)
    planted.delivery(**{**same, **other})
    assert found_by(db, "D7") == ()
    assert check_of(audit_sends(db), "D7").rows_examined == 2


# --------------------------------------------------------------------------------------------------------- periods

MIDNIGHT = datetime(2026, 11, 10, tzinfo=UTC)
DAYS = (date(2026, 11, 9), date(2026, 11, 10))


@pytest.mark.parametrize("day", DAYS)
@pytest.mark.parametrize("code", ["D1", "D2", "D3", "D4"])
def test_a_duplicate_across_midnight_is_found_by_both_days(
    db: Database, planted: Planted, code: str, day: date
) -> None:
    before, after = MIDNIGHT - timedelta(seconds=5), MIDNIGHT + timedelta(seconds=5)
    draft = planted.draft()
    first = planted.message(at=before, trigger_key="job:7", draft_id=draft)
    second = planted.message(at=after, trigger_key="job:7", draft_id=draft, idempotency_key=planted.key_of(first))
    planted.evidence(first, at=before, recipient="ada@example.com")
    planted.evidence(second, at=after, recipient="ada@example.com")
    (finding,) = found_by(db, code, day=day)
    assert in_ledger(finding) == {first, second}
    (same,) = found_by(db, code, since=MIDNIGHT - timedelta(days=2), until=MIDNIGHT + timedelta(days=2))
    assert same.fingerprint == finding.fingerprint


def test_a_day_ends_at_midnight_and_knows_nothing_of_the_next(db: Database, planted: Planted) -> None:
    message = planted.message(at=MIDNIGHT)
    planted.evidence(message, at=MIDNIGHT)
    examined = {day: check_of(audit_sends(db, day=day), "D1").rows_examined for day in DAYS}
    assert examined == {DAYS[0]: 0, DAYS[1]: 1}


def test_a_message_that_was_reported_days_later_is_found_on_both_days(db: Database, planted: Planted) -> None:
    message = planted.message(at=MIDNIGHT)
    planted.evidence(message, at=MIDNIGHT, text="one")
    planted.evidence(message, at=MIDNIGHT, first_seen_at=MIDNIGHT + timedelta(days=5), text="two", observed_via="poll")
    for day in (date(2026, 11, 10), date(2026, 11, 15)):
        assert len(found_by(db, "D1", day=day)) == 1


def test_a_provider_s_wrong_clock_hides_nothing(db: Database, planted: Planted) -> None:
    planted.evidence(sent_at=datetime(1970, 1, 1, tzinfo=UTC))
    planted.evidence(sent_at=datetime(2199, 1, 1, tzinfo=UTC))
    assert len(found_by(db, "D5")) == 2


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        ({"day": date(2199, 1, 1)}, "not begun"),
        ({"day": DAYS[0], "since": MIDNIGHT}, "either"),
        ({"since": datetime(2026, 11, 9)}, "offset"),  # noqa: DTZ001 - that is the point
        ({"since": MIDNIGHT, "until": MIDNIGHT}, "before until"),
        ({"since": MIDNIGHT - timedelta(days=200), "until": MIDNIGHT}, "at most 92 days"),
        ({"only": ["D9"]}, "D1, D2"),
    ],
)
def test_a_period_that_cannot_be_audited_is_refused(db: Database, asked: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidInput, match=named):
        audit_sends(db, **asked)


# ---------------------------------------------------------------------------------------------------------- verdict


def test_nothing_examined_is_inconclusive_and_never_a_pass(db: Database) -> None:
    report = audit_sends(db)
    assert report.verdict == "inconclusive"
    assert {check.verdict for check in report.checks} == {"inconclusive"}
    assert all("0 " in check.said for check in report.checks)


def test_a_ledger_without_evidence_is_inconclusive(db: Database, planted: Planted) -> None:
    planted.message(at=planted.at + timedelta(minutes=59))
    report = audit_sends(db)
    assert (report.verdict, check_of(report, "D3").verdict) == ("inconclusive", "pass")


def test_a_day_on_which_no_draft_was_sent_can_pass(db: Database, planted: Planted) -> None:
    planted.sent()
    report = audit_sends(db)
    assert (report.verdict, check_of(report, "D2").verdict) == ("pass", "inconclusive")


def test_the_legacy_keys_are_counted_and_say_that_they_prove_nothing(db: Database, planted: Planted) -> None:
    planted.delivery()
    planted.delivery(provider_event_id=None)
    planted.evidence(provider="emailbison", kind="reply")
    planted.evidence(provider="inboxxia", kind="campaign_scheduled", author="campaign")
    planted.evidence(provider="unipile")
    keys = audit_sends(db).legacy_keys
    assert [(key.legacy_key, key.rows_examined, key.repeated) for key in keys] == [
        ("ghlId", 1, 0), ("webhookDedupeKey", 1, 0), ("emailBisonReplyId", 1, 0), ("inboxxiaScheduledEmailId", 1, 0),
        ("unipileMessageId", 1, 0),
    ]  # fmt: skip
    assert {key.verdict for key in keys} == {"structural"}
    assert all("cannot fail by construction" in key.said for key in keys)


def test_without_unique_columns_a_repeated_legacy_key_is_counted(db: Database, planted: Planted) -> None:
    planted.evidence(provider="unipile", provider_message_id="u-1")
    planted.evidence(provider="unipile", provider_message_id="u-1")
    report = audit_sends(db)
    assert {key.legacy_key: key.repeated for key in report.legacy_keys if key.repeated} == {"unipileMessageId": 1}


def test_beyond_the_list_findings_are_counted_and_stay_open(db: Database, planted: Planted) -> None:
    for _ in range(205):
        planted.evidence()
    check = check_of(audit_sends(db), "D5")
    assert (check.found, check.open, len(check.findings)) == (205, 205, 200)


def test_no_recipient_and_no_text_is_in_a_report(db: Database, planted: Planted) -> None:
    for _, plant in PLANTED:
        plant(planted)
    told = repr(audit_sends(db))
    assert "@" not in told
    assert "Good morning" not in told


# ---------------------------------------------------------------------------------------------------------- reviews


def test_a_reviewed_suspect_no_longer_counts(db: Database, planted: Planted) -> None:
    alike_to_one_address(planted)
    (suspect,) = found_by(db, "D4")
    reviewed = review_finding(db, suspect.fingerprint, who="Grace", why="a reminder that the lead asked for")
    assert reviewed.review is not None
    report = audit_sends(db)
    check = check_of(report, "D4")
    assert (check.found, check.open, check.verdict, report.verdict) == (1, 0, "pass", "pass")
    assert check.findings[0].review == reviewed.review
    again = review_finding(db, suspect.fingerprint, who="Ada", why="me too")
    assert again.review == reviewed.review, "the first review stands"


def test_a_third_copy_is_a_new_suspect(db: Database, planted: Planted) -> None:
    alike_to_one_address(planted)
    (suspect,) = found_by(db, "D4")
    review_finding(db, suspect.fingerprint, who="Grace", why="meant so")
    planted.evidence(planted.message(), recipient="ada@example.com", at=planted.at + timedelta(minutes=55))
    check = check_of(audit_sends(db), "D4")
    assert (check.found, check.open) == (2, 1)


def test_what_is_no_suspect_cannot_be_reviewed_away(db: Database, planted: Planted) -> None:
    same_key_by_link(planted)
    (proved,) = found_by(db, "D1")
    for name in (proved.fingerprint, "d4-0000000000000000", "nonsense"):
        with pytest.raises(NotFound, match="fingerprint"):
            review_finding(db, name, who="Grace", why="please")
    with pytest.raises(InvalidInput, match="why"):
        review_finding(db, proved.fingerprint, who="Grace", why=" ")


def test_an_audit_changes_nothing(db: Database, planted: Planted) -> None:
    with db.begin() as tx:
        store.read_one_instant(tx)
        with pytest.raises(Exception, match="read-only"):
            tx.exec_driver_sql("DELETE FROM provider_message")
