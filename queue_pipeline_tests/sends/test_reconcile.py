"""Reconciliation takes every message to its end, outside the queue, and never ends a doubt by guessing."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from queue_pipeline.domain.limits import Limits
from queue_pipeline.domain.outbound import Capabilities, OutboundState
from queue_pipeline.engine.reconcile import ReconcileReport, decide, settle, waiting
from queue_pipeline.engine.send_provider import LookupReply, send_providers
from queue_pipeline_tests.sends.ledger import (
    AMBIGUOUS,
    KEY,
    LOOKUP,
    NOT_SENT,
    NOTHING,
    REJECTED,
    Ledger,
    Scripted,
)

FOUND, ABSENT = LookupReply(True, "m-found"), LookupReply(False)
NOT_ASKED = LookupReply(None, error="ConnectError")


def overdue(ledger: Ledger) -> int:
    """A message whose sender died in the middle of its call."""
    ledger.provider.script = [AMBIGUOUS]
    claim = ledger.claim()
    number = ledger.sent(claim).outbound_message_id
    ledger.end_job(claim.job_id)
    ledger.run_sql(
        "UPDATE outbound_message SET state = 'SENDING', deadline_at = clock_timestamp() + interval '20 s', unknown_since = NULL,"
        " in_doubt = false, epoch = 2, attempt = 2, reason = NULL"
    )
    ledger.run_sql(
        "INSERT INTO send_attempt (outbound_message_id, attempt, epoch, sender, deadline_at, request_sha256, idempotency_key)"
        " SELECT outbound_message_id, 2, 2, 'test', deadline_at, '', '' FROM outbound_message"
    )
    return number


def test_nobody_touches_an_attempt_before_its_deadline(ledger: Ledger) -> None:
    number = overdue(ledger)
    assert ledger.reconcile().sentence() == "No message was due, overdue or in doubt."
    assert ledger.state(number) == "SENDING"


def test_an_attempt_past_its_deadline_is_in_doubt_and_never_taken_for_either(ledger: Ledger) -> None:
    number = overdue(ledger)
    ledger.pass_time(21)
    assert waiting(ledger.db).overdue == 1
    settle(ledger.db, ReconcileReport(), by="test")
    message = ledger.message(number)
    assert (message.state, message.in_doubt) == ("UNKNOWN", True)
    assert ledger.outcomes(number) == ["ambiguous", "ambiguous"]
    assert "ran past its deadline" in str(message.reason)


def settled_meanwhile(ledger: Ledger) -> Any:
    """A reconciliation that comes past the deadline while the call still runs."""

    def pass_by(_: Any) -> None:
        ledger.pass_time(21)
        settle(ledger.db, ReconcileReport(), by="test")

    return pass_by


def test_an_answer_that_comes_after_the_deadline_is_believed(ledger: Ledger) -> None:
    ledger.provider.during = settled_meanwhile(ledger)
    sent = ledger.sent()
    assert (sent.state, sent.reason) == ("SENT", "the provider's answer came late")
    assert ledger.evidence(sent.outbound_message_id) == ["response"]
    assert ledger.outcomes(sent.outbound_message_id) == ["ambiguous"], "an attempt ends once"


@pytest.mark.parametrize("late", [REJECTED, NOT_SENT])
def test_a_refusal_that_comes_after_the_deadline_leaves_the_doubt(ledger: Ledger, late: Any) -> None:
    ledger.provider.during = settled_meanwhile(ledger)
    ledger.provider.script = [late]
    assert ledger.sent().state == "UNKNOWN"


def test_a_late_answer_of_an_old_attempt_reaches_a_message_that_waits_to_be_tried_again(ledger: Ledger) -> None:
    def found_absent(_: Any) -> None:
        settled_meanwhile(ledger)(_)
        ledger.run_sql("UPDATE outbound_message SET state = 'READY', in_doubt = false, unknown_since = NULL")

    ledger.provider.during = found_absent
    sent = ledger.sent()
    assert sent.state == "SENT"
    ledger.pass_time(3600)
    ledger.reconcile()
    assert len(ledger.provider.parcels) == 1


@pytest.mark.parametrize(
    ("later", "state"), [(AMBIGUOUS, "UNKNOWN"), (NOT_SENT, "UNKNOWN"), (REJECTED, "UNKNOWN"), (None, "SENT")]
)
def test_what_a_retry_came_to_never_ends_the_doubt_about_an_earlier_attempt(
    ledger: Ledger, later: Any, state: str
) -> None:
    number = ledger.doubtful()
    ledger.able(KEY)
    ledger.provider.script = [] if later is None else [later]
    ledger.pass_time(100)
    ledger.reconcile()
    assert len(ledger.provider.parcels) == 2
    assert len({parcel.idempotency_key for parcel in ledger.provider.parcels}) == 1
    message = ledger.message(number)
    assert (message.state, message.in_doubt) == (state, state == "UNKNOWN")


def test_a_retry_waits_until_no_sender_of_the_earlier_attempt_can_be_alive(ledger: Ledger) -> None:
    ledger.doubtful()
    ledger.able(KEY)
    ledger.run_sql("UPDATE outbound_message SET not_before = clock_timestamp()")
    assert ledger.reconcile().done == {"doubts wait for their time": 1}
    assert len(ledger.provider.parcels) == 1


def test_a_key_that_the_provider_may_have_forgotten_is_not_used_again(ledger: Ledger) -> None:
    number = ledger.doubtful()
    ledger.able(Capabilities(idempotency_seconds=600.0))
    ledger.pass_time(481)
    ledger.reconcile()
    assert (ledger.state(number), len(ledger.provider.parcels)) == ("NEEDS_HUMAN", 1)


@pytest.mark.parametrize(
    ("answer", "state", "copies"), [(FOUND, "SENT", 1), (ABSENT, "SENT", 2), (NOT_ASKED, "UNKNOWN", 1)]
)
def test_a_provider_that_can_be_asked_is_asked_and_believed(
    ledger: Ledger, answer: LookupReply, state: str, copies: int
) -> None:
    number = ledger.doubtful()
    ledger.able(LOOKUP)
    ledger.provider.answer_to_lookup = answer
    ledger.pass_time(100)
    ledger.reconcile()
    ledger.reconcile()
    assert (ledger.state(number), len(ledger.provider.parcels)) == (state, copies)
    assert ledger.evidence(number) == {"SENT": [["lookup"], ["response"]][copies - 1]}.get(state, [])


def test_absence_is_not_asked_for_while_a_request_may_be_in_transit(ledger: Ledger) -> None:
    ledger.doubtful()
    ledger.able(LOOKUP)
    ledger.provider.answer_to_lookup = ABSENT
    ledger.pass_time(20 + 30)  # the deadline, and half of what the provider needs to settle
    ledger.reconcile()
    assert (ledger.provider.lookups, len(ledger.provider.parcels)) == (0, 1)


def test_where_nobody_can_tell_a_person_is_asked(ledger: Ledger) -> None:
    number = ledger.doubtful()
    ledger.able(NOTHING)
    ledger.pass_time(21)
    ledger.reconcile()
    assert ledger.state(number) == "NEEDS_HUMAN"
    assert "can neither be asked nor recognise it" in str(ledger.message(number).reason)


def test_a_doubt_of_half_an_hour_is_a_persons(ledger: Ledger) -> None:
    number = ledger.doubtful()
    ledger.able(LOOKUP)
    ledger.provider.answer_to_lookup = NOT_ASKED
    ledger.pass_time(1801)
    ledger.reconcile()
    assert "in doubt for 30 minutes" in str(ledger.message(number).reason)


@pytest.mark.parametrize(("start", "outcome"), [("ready", NOT_SENT), ("doubtful", AMBIGUOUS)])
def test_what_was_tried_too_often_is_a_persons_and_a_persons_word_gives_new_tries(
    ledger: Ledger, start: str, outcome: Any
) -> None:
    limits = Limits(send_attempts_max=3)
    number = getattr(ledger, start)()
    ledger.able(KEY)
    ledger.provider.script = [outcome] * 2
    for _ in range(4):
        ledger.pass_time(400)
        ledger.reconcile(limits)
    assert (ledger.state(number), len(ledger.provider.parcels)) == ("NEEDS_HUMAN", 3)
    assert "tried 3 times" in str(ledger.message(number).reason)
    decide(ledger.db, number, to=OutboundState.READY, who="Mina", why="the provider is back")
    ledger.reconcile(limits)
    assert (ledger.state(number), len(ledger.provider.parcels)) == ("SENT", 4)


@pytest.mark.parametrize(("job_state", "state"), [("DEAD", "NEEDS_HUMAN"), ("CANCELLED", "CANCELLED")])
def test_a_message_whose_job_ended_before_the_first_try_does_not_leave_by_itself(
    ledger: Ledger, job_state: str, state: str
) -> None:
    claim = ledger.claim()
    with ledger.db.begin() as tx:
        number = ledger.reserve(tx, claim.job_id)
    ledger.end_job(claim.job_id, job_state)
    ledger.reconcile()
    assert (ledger.state(number), ledger.provider.parcels) == (state, [])


def test_a_message_that_was_never_tried_belongs_to_its_job_while_that_lives(ledger: Ledger) -> None:
    claim = ledger.claim()
    with ledger.db.begin() as tx:
        number = ledger.reserve(tx, claim.job_id)
    assert ledger.reconcile().done == {}
    ledger.end_job(claim.job_id)
    ledger.reconcile()
    assert ledger.state(number) == "SENT"


@pytest.mark.parametrize("missing", ["provider", "account"])
def test_a_message_whose_provider_is_not_configured_waits_then_asks_a_person(ledger: Ledger, missing: str) -> None:
    number = ledger.ready()
    ledger.pass_time(10)
    other = Scripted()
    other.account = "another account"
    if missing == "account":
        other.name = ledger.provider.name
        send_providers.register(other)
    else:
        del send_providers._providers[ledger.provider.name]
    report = ledger.reconcile()
    assert f"message {number}" in report.errors[0]
    assert ("reserved for another account" if missing == "account" else "Known providers") in report.errors[0]
    assert ledger.state(number) == "READY"
    ledger.pass_time(1801)
    ledger.reconcile()
    assert ledger.state(number) == "NEEDS_HUMAN"
    assert (len(ledger.provider.parcels), other.parcels) == (1, [])


def test_one_message_that_cannot_be_settled_does_not_hold_up_the_others(ledger: Ledger) -> None:
    ledger.able(LOOKUP)
    doubtful, ready = ledger.doubtful(), ledger.ready()
    ledger.provider.answer_to_lookup = ZeroDivisionError("in the adapter")
    ledger.pass_time(100)
    report = ledger.reconcile()
    assert report.errors == [f"message {doubtful}: ZeroDivisionError"]
    assert (ledger.state(doubtful), ledger.state(ready)) == ("UNKNOWN", "SENT")


def test_four_reconciliations_at_once_try_each_message_once(ledger: Ledger, pool: ThreadPoolExecutor) -> None:
    claim = ledger.claim()
    with ledger.db.begin() as tx:
        numbers = [ledger.reserve(tx, claim.job_id, f"order:{n}") for n in range(100)]
    ledger.end_job(claim.job_id)
    for ended in [pool.submit(ledger.reconcile) for _ in range(4)]:
        assert ended.result(60).errors == []
    assert {ledger.state(number) for number in numbers} == {"SENT"}
    assert len(ledger.provider.parcels) == len({parcel.idempotency_key for parcel in ledger.provider.parcels}) == 100
    assert ledger.run_sql("SELECT count(*) FROM send_attempt") == [(100,)]
