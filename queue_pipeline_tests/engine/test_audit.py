"""The audit finds every kind of duplicate where nothing else would stop it: on a copy without unique indexes."""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from queue_pipeline.domain.audit import AuditFinding, AuditReport, CheckResult
from queue_pipeline.domain.errors import InvalidInput, NotFound
from queue_pipeline.engine.audit import audit_sends, review_finding
from queue_pipeline.store import audit as store
from queue_pipeline.store.session import Database
from queue_pipeline_tests.engine.planted import Planted, unguard

SHORT = "Yes, at ten."


@pytest.fixture
def planted(db: Database) -> Iterator[Planted]:
    with db.direct() as connection:
        unguard(connection)
        yield Planted(connection)


def check_of(report: AuditReport, code: str) -> CheckResult:
    return next(check for check in report.checks if check.code == code)


def found_by(db: Database, code: str, **period: Any) -> tuple[AuditFinding, ...]:
    return check_of(audit_sends(db, **period), code).findings


def at_providers(finding: AuditFinding) -> set[str]:
    return {message["provider_message_id"] for message in finding.provider_messages}


def in_ledger(finding: AuditFinding) -> set[int]:
    return {message["outbound_message_id"] for message in finding.outbound_messages}


# ------------------------------------------------------------------------------------- what is planted is found


def same_key_by_link(p: Planted) -> tuple[set[int], set[str]]:
    message = p.message(tries=2)
    return {message}, {p.evidence(message, text="one"), p.evidence(message, text="two")}


def same_key_by_echo(p: Planted) -> tuple[set[int], set[str]]:
    message = p.message(tries=2)
    key = p.key_of(message)
    echoes = {p.evidence(idempotency_key=key, text="one"), p.evidence(idempotency_key=key, text="two")}
    return {message}, echoes


def same_key_once_by_link_and_once_by_echo(p: Planted) -> tuple[set[int], set[str]]:
    message = p.message(tries=2)
    return {message}, {p.evidence(message, text="one"), p.evidence(idempotency_key=p.key_of(message), text="two")}


def same_key_in_two_rows_of_the_ledger(p: Planted) -> tuple[set[int], set[str]]:
    first = p.message()
    second = p.message(idempotency_key=p.key_of(first))
    return {first, second}, {p.evidence(first, text="one"), p.evidence(second, text="two")}


def same_key_echoed_that_the_ledger_does_not_have(p: Planted) -> tuple[set[int], set[str]]:
    return set(), {
        p.evidence(idempotency_key="another house", text="one"),
        p.evidence(idempotency_key="another house", text="two"),
    }


def same_draft_part(p: Planted) -> tuple[set[int], set[str]]:
    draft = p.draft()
    first, second = p.message(draft_id=draft), p.message(draft_id=draft)
    return {first, second}, {p.evidence(first, text="one"), p.evidence(second, text="two")}


def same_draft_part_once_by_echo(p: Planted) -> tuple[set[int], set[str]]:
    draft = p.draft()
    first, second = p.message(draft_id=draft), p.message("UNKNOWN", draft_id=draft)
    return {first, second}, {
        p.evidence(first, text="one"),
        p.evidence(idempotency_key=p.key_of(second), text="two"),
    }


def same_business_key(p: Planted) -> tuple[set[int], set[str]]:
    lead = p.lead()
    return {p.message(trigger_key="lead:7", lead_id=lead), p.message(trigger_key="lead:7", lead_id=lead)}, set()


def same_business_key_without_a_lead(p: Planted) -> tuple[set[int], set[str]]:
    return {p.message(trigger_key="job:7"), p.message(trigger_key="job:7")}, set()


def alike_to_one_address(p: Planted) -> tuple[set[int], set[str]]:
    first, second = p.message(), p.message()
    later = p.at + timedelta(minutes=50)
    evidence = {
        p.evidence(first, recipient="Ada@example.com"),
        p.evidence(second, recipient="ada@example.com", at=later),
    }
    return {first, second}, evidence


def alike_to_one_lead_at_two_addresses(p: Planted) -> tuple[set[int], set[str]]:
    lead = p.lead()
    first, second = p.message(lead_id=lead), p.message(lead_id=lead)
    return {first, second}, {p.evidence(first), p.evidence(second)}


def alike_in_one_thread(p: Planted) -> tuple[set[int], set[str]]:
    evidence = {
        p.evidence(thread_id="thread-1", recipient=None),
        p.evidence(thread_id="thread-1", recipient=None),
    }
    return set(), evidence


def alike_where_the_provider_tells_neither_workspace_nor_channel(p: Planted) -> tuple[set[int], set[str]]:
    message = p.message()
    untold: dict[str, Any] = {"workspace": None, "channel": None}
    return {message}, {p.evidence(message, recipient="ada@example.com"),
                       p.evidence(recipient="ada@example.com", **untold)}  # fmt: skip


def alike_by_campaign_and_automation(p: Planted) -> tuple[set[int], set[str]]:
    message = p.message()
    evidence = {
        p.evidence(message, recipient="ada@example.com"),
        p.evidence(recipient="ada@example.com", author="campaign", kind="campaign_scheduled"),
    }
    return {message}, evidence


def alike_and_short_within_seconds(p: Planted) -> tuple[set[int], set[str]]:
    evidence = {
        p.evidence(recipient="ada@example.com", text=SHORT),
        p.evidence(recipient="ada@example.com", text=SHORT, at=p.at + timedelta(seconds=15)),
    }
    return set(), evidence


def alike_known_by_the_text_of_the_ledger(p: Planted) -> tuple[set[int], set[str]]:
    first, second = p.message(body="Same words for you both"), p.message(body="same  WORDS for you both")
    untold: dict[str, Any] = {"recipient": "ada@example.com", "body_norm_sha256": None, "body_length": None}
    return {first, second}, {p.evidence(first, **untold), p.evidence(second, **untold)}


def unledgered(p: Planted) -> tuple[set[int], set[str]]:
    return set(), {p.evidence()}


def unledgered_with_a_dangling_link(p: Planted) -> tuple[set[int], set[str]]:
    return set(), {p.evidence(99_999)}


def sent_and_unknown_to_any_provider(p: Planted) -> tuple[set[int], set[str]]:
    return {p.message()}, set()


def sent_according_to_the_lead_alone(p: Planted) -> tuple[set[int], set[str]]:
    message = p.message()
    p.evidence(message, direction="inbound", author="lead")
    return {message}, set()


def told(state: str, by: str) -> Callable[[Planted], tuple[set[int], set[str]]]:
    def plant(p: Planted) -> tuple[set[int], set[str]]:
        message = p.message(state)
        link: dict[str, Any] = {"of": message} if by == "link" else {"idempotency_key": p.key_of(message)}
        return {message}, {p.evidence(**link)}

    plant.__name__ = f"{state.lower()}_in_the_ledger_but_sent_by_{by}"
    return plant


def unknown_for_31_minutes(p: Planted) -> tuple[set[int], set[str]]:
    return {p.message("UNKNOWN", unknown_since=p.at + timedelta(minutes=29))}, set()


PLANTED: list[tuple[str, Callable[[Planted], tuple[set[int], set[str]]]]] = [
    *(("D1", plant) for plant in (
        same_key_by_link, same_key_by_echo, same_key_once_by_link_and_once_by_echo, same_key_in_two_rows_of_the_ledger,
        same_key_echoed_that_the_ledger_does_not_have)),
    ("D2", same_draft_part), ("D2", same_draft_part_once_by_echo),
    ("D3", same_business_key), ("D3", same_business_key_without_a_lead),
    *(("D4", plant) for plant in (
        alike_to_one_address, alike_to_one_lead_at_two_addresses, alike_in_one_thread,
        alike_where_the_provider_tells_neither_workspace_nor_channel, alike_by_campaign_and_automation,
        alike_and_short_within_seconds, alike_known_by_the_text_of_the_ledger)),
    ("D5", unledgered), ("D5", unledgered_with_a_dangling_link),
    ("D6", sent_and_unknown_to_any_provider), ("D6", sent_according_to_the_lead_alone),
    *(("D6", told(state, by)) for state in ("REJECTED", "CANCELLED", "READY", "NEEDS_HUMAN") for by in ("link", "echo")),
    ("UNKNOWN", unknown_for_31_minutes),
]  # fmt: skip


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


# ------------------------------------------------------------------------------------------- near misses are not


def one_message_seen_by_response_and_echo(p: Planted) -> None:
    message = p.message()
    identity = p.evidence(message, observed_via="response")
    p.evidence(message, provider_message_id=identity, kind="reply", idempotency_key=p.key_of(message))


def two_parts_of_a_draft(p: Planted) -> None:
    draft = p.draft()
    for part in (0, 1):
        p.evidence(p.message(draft_id=draft, part_index=part), text=f"part {part}")


def a_person_repeats_our_words(p: Planted) -> None:
    p.evidence(p.message(), recipient="ada@example.com")
    p.evidence(recipient="ada@example.com", author="person")


def the_lead_quotes_our_words(p: Planted) -> None:
    p.evidence(p.message(), recipient="ada@example.com")
    p.evidence(recipient="ada@example.com", author="lead", direction="inbound")


def a_person_under_our_key(p: Planted) -> None:
    message = p.message()
    p.evidence(message, text="one")
    p.evidence(message, text="two", author="person")


def an_inbound_message_under_our_key(p: Planted) -> None:
    message = p.message()
    p.evidence(message, text="one")
    p.evidence(message, text="two", direction="inbound")


def alike_25_hours_apart(p: Planted) -> None:
    for at in (p.at, p.at - timedelta(hours=25)):
        p.evidence(p.message(at=at), at=at, recipient="ada@example.com")


def alike_and_short_16_seconds_apart(p: Planted) -> None:
    for at in (p.at, p.at - timedelta(seconds=16)):
        p.evidence(p.message(at=at), at=at, recipient="ada@example.com", text=SHORT)


def alike_to_two_people(p: Planted) -> None:
    for recipient in ("ada@example.com", "grace@example.com"):
        p.evidence(p.message(), recipient=recipient)


def alike_on_two_channels(p: Planted) -> None:
    lead = p.lead()
    for channel, recipient in (("email", "ada@example.com"), ("sms", "+1 555 0100")):
        p.evidence(p.message(lead_id=lead, channel=channel), channel=channel, recipient=recipient)


def alike_from_two_workspaces(p: Planted) -> None:
    for workspace in ("acme", "globex"):
        p.evidence(p.message(workspace=workspace), workspace=workspace, recipient="ada@example.com")


def other_words_to_one_person(p: Planted) -> None:
    for text in ("Shall we say Tuesday at ten?", "Shall we say Tuesday at nine?"):
        p.evidence(p.message(), recipient="ada@example.com", text=text)


def a_campaign_that_repeats_itself(p: Planted) -> None:
    for _ in range(2):
        p.evidence(recipient="ada@example.com", author="campaign", kind="campaign_scheduled")


def one_business_key_sent_once_and_cancelled_once(p: Planted) -> None:
    p.evidence(p.message(trigger_key="job:7"))
    p.message("CANCELLED", trigger_key="job:7")


def one_trigger_for_two_leads(p: Planted) -> None:
    for text in ("one", "two"):
        p.evidence(p.message(trigger_key="job:7", lead_id=p.lead()), text=text)


def one_trigger_on_two_channels_for_two_purposes_in_two_parts(p: Planted) -> None:
    others: list[dict[str, Any]] = [{}, {"channel": "sms"}, {"purpose": "followup"}, {"part_index": 1}]
    for number, changes in enumerate(others):
        p.evidence(p.message(trigger_key="job:7", **changes), text=f"text {number}")


def sent_by_a_person(p: Planted) -> None:
    p.evidence(author="person")


def sent_by_a_campaign_or_nobody_knows_whom(p: Planted) -> None:
    p.evidence(author="campaign", kind="campaign_scheduled", text="one")
    p.evidence(author="unknown", text="two")


def evidence_that_may_still_be_linked(p: Planted) -> None:
    p.evidence(at=p.at + timedelta(minutes=59))


def sent_a_minute_ago(p: Planted) -> None:
    p.message(at=p.at + timedelta(minutes=59))


def unknown_for_29_minutes(p: Planted) -> None:
    p.message("UNKNOWN", unknown_since=p.at + timedelta(minutes=31))


NEAR_MISSES = [
    one_message_seen_by_response_and_echo, two_parts_of_a_draft, a_person_repeats_our_words, the_lead_quotes_our_words,
    a_person_under_our_key, an_inbound_message_under_our_key, alike_25_hours_apart, alike_and_short_16_seconds_apart,
    alike_to_two_people, alike_on_two_channels, alike_from_two_workspaces, other_words_to_one_person,
    a_campaign_that_repeats_itself, one_business_key_sent_once_and_cancelled_once, one_trigger_for_two_leads,
    one_trigger_on_two_channels_for_two_purposes_in_two_parts, sent_by_a_person, sent_by_a_campaign_or_nobody_knows_whom,
    evidence_that_may_still_be_linked, sent_a_minute_ago, unknown_for_29_minutes,
]  # fmt: skip


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
