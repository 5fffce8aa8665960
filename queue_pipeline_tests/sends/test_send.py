"""The first try of a message, under the claim of its job: reserved once, tried once, written down as it was."""

import logging
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from queue_pipeline.domain.drill import WORKSPACE as DRILL_WORKSPACE
from queue_pipeline.domain.errors import DatabaseUnavailable, InvalidInput
from queue_pipeline.domain.limits import Limits
from queue_pipeline.domain.outbound import SendOutcome
from queue_pipeline.engine.send_attempt import attempt
from queue_pipeline.engine.send_provider import ProviderReply
from queue_pipeline.store import outbound
from queue_pipeline.store.session import Database
from queue_pipeline_tests.races.staging import until_somebody_waits
from queue_pipeline_tests.sends.ledger import (
    ACCEPTED,
    ADDRESS,
    AMBIGUOUS,
    KEY,
    NOT_SENT,
    REJECTED,
    TEXT,
    Ledger,
)


@pytest.mark.parametrize(
    ("reply", "state", "outcome", "evidence"),
    [
        (ACCEPTED, "SENT", "accepted", ["response"]),
        (REJECTED, "REJECTED", "rejected", []),
        (NOT_SENT, "READY", "not_sent", []),
        (AMBIGUOUS, "UNKNOWN", "ambiguous", []),
        (RuntimeError(f"cannot deliver {TEXT!r} to {ADDRESS}"), "UNKNOWN", "ambiguous", []),
    ],
    ids=["accepted", "rejected", "not sent", "ambiguous", "the adapter raises"],
)
def test_an_answer_is_written_down_as_what_it_means(
    ledger: Ledger, reply: ProviderReply | Exception, state: str, outcome: str, evidence: list[str]
) -> None:
    ledger.provider.script = [reply]
    sent = ledger.sent()
    assert (sent.state, sent.repeated) == (state, False)
    assert ledger.outcomes(sent.outbound_message_id) == [outcome]
    assert ledger.evidence(sent.outbound_message_id) == evidence
    message = ledger.message(sent.outbound_message_id)
    assert (message.attempt, message.epoch, message.in_doubt) == (1, 1, state == "UNKNOWN")


def test_the_attempt_is_committed_before_the_provider_is_called(ledger: Ledger) -> None:
    seen: list[Any] = []
    question = (
        "SELECT m.state, a.outcome, a.sender FROM outbound_message m JOIN send_attempt a USING (outbound_message_id)"
    )
    ledger.provider.during = lambda _: seen.extend(ledger.run_sql(question))
    ledger.sent()
    ((state, outcome, sender),) = seen
    assert (state, outcome) == ("SENDING", None)
    assert sender


def test_the_same_message_again_is_the_same_message_and_leaves_once(ledger: Ledger) -> None:
    claim = ledger.claim()
    first = ledger.sent(claim)
    again = ledger.sent(claim)
    assert (again.outbound_message_id, again.state, again.repeated) == (first.outbound_message_id, "SENT", True)
    assert len(ledger.provider.parcels) == 1


@pytest.mark.parametrize("state", ["READY", "UNKNOWN"])
def test_a_repetition_leaves_what_waits_or_is_in_doubt_to_the_reconciliation(ledger: Ledger, state: str) -> None:
    ledger.provider.script = [NOT_SENT if state == "READY" else AMBIGUOUS]
    claim = ledger.claim()
    ledger.sent(claim)
    assert ledger.sent(claim).state == state
    assert len(ledger.provider.parcels) == 1


@pytest.mark.parametrize("change", [{"body": "Something else"}, {"to": "grace@customer.example"}, {"subject": "Other"}])
def test_another_content_under_the_same_key_is_refused_in_words_that_name_neither(
    ledger: Ledger, change: dict[str, str]
) -> None:
    claim = ledger.claim()
    ledger.sent(claim)
    with pytest.raises(InvalidInput, match=r"another content; build it in ctx\.step") as refused:
        ledger.sent(claim, **change)
    assert not any(value in str(refused.value) for value in (TEXT, ADDRESS, *change.values()))
    assert len(ledger.provider.parcels) == 1


def test_two_jobs_that_name_the_same_trigger_send_one_message(ledger: Ledger) -> None:
    first = ledger.sent(trigger="order:7")
    second = ledger.sent(trigger="order:7")
    assert (second.outbound_message_id, second.repeated) == (first.outbound_message_id, True)
    assert len(ledger.provider.parcels) == 1


def test_two_that_reserve_at_the_same_time_agree_on_one_message(ledger: Ledger, pool: ThreadPoolExecutor) -> None:
    ours, theirs = ledger.claim(), ledger.claim()
    with ledger.db.begin() as tx:
        number = ledger.reserve(tx, ours.job_id)
        waiting = pool.submit(ledger.sent, theirs, trigger="order:7")
        until_somebody_waits(ledger.db, waiting)
    sent = waiting.result(10)
    assert (sent.outbound_message_id, sent.repeated) == (number, True)
    assert len(ledger.provider.parcels) <= 1


def test_a_draft_leaves_once_whatever_triggers_name_it(ledger: Ledger) -> None:
    ((draft,),) = ledger.run_sql(
        "INSERT INTO draft (workspace, job_id, channel, subject, body, drafter)"
        " VALUES ('acme', 1, 'email', '', 'b', 'template') RETURNING draft_id"
    )
    ledger.sent(draft_id=draft, trigger="lead:1")
    with pytest.raises(InvalidInput, match="Another message of this draft and part exists already"):
        ledger.sent(draft_id=draft, trigger="review:1")
    assert len(ledger.provider.parcels) == 1


def test_without_its_claim_a_job_sends_nothing(ledger: Ledger) -> None:
    claim = ledger.claim()
    ledger.end_job(claim.job_id)
    assert ledger.send(claim) is None
    assert ledger.run_sql("SELECT 1 FROM outbound_message") == []
    assert ledger.provider.parcels == []


def test_a_claim_that_is_lost_between_reservation_and_try_tries_nothing(ledger: Ledger) -> None:
    claim = ledger.claim()
    with ledger.db.begin() as tx:
        number = ledger.reserve(tx, claim.job_id)
    ledger.end_job(claim.job_id, "DEAD")
    assert attempt(ledger.db, ledger.message(number), limits=Limits(), claim=claim) is None
    assert (ledger.state(number), ledger.provider.parcels) == ("READY", [])


def test_a_recovery_waits_for_the_transaction_that_begins_a_try(ledger: Ledger, pool: ThreadPoolExecutor) -> None:
    """Whoever takes the claim away does so before the attempt is written, or after, and never in between."""
    claim = ledger.claim()
    with ledger.db.begin() as tx:
        assert outbound.hold_claim(tx, job_id=claim.job_id, fence=claim.fence)
        taking = pool.submit(ledger.end_job, claim.job_id)
        until_somebody_waits(ledger.db, taking)
    taking.result(10)


def test_of_two_that_try_one_message_only_one_calls_the_provider(ledger: Ledger, pool: ThreadPoolExecutor) -> None:
    message = ledger.message(ledger.ready())
    ledger.provider.parcels.clear()
    ended = [pool.submit(attempt, ledger.db, message, limits=Limits()) for _ in range(4)]
    stand = [found.state for one in ended if (found := one.result(10)) is not None]
    assert stand == ["SENT"]
    assert len(ledger.provider.parcels) == 1


def test_whoever_stood_still_past_the_deadline_does_not_call_the_provider(ledger: Ledger) -> None:
    limits = Limits(send_deadline_seconds=0.5, send_margin_seconds=0.5)
    sent = ledger.sent(limits=limits)
    assert (sent.state, ledger.provider.parcels) == ("READY", [])
    assert sent.reason == "not_sent: late: the deadline had passed before the call"


class Flaky(Database):
    """A database that is away for so many transactions, from the moment it is told."""

    away = 0

    def begin(self) -> Any:
        if self.away:
            self.away -= 1
            raise DatabaseUnavailable("away")
        return super().begin()


@pytest.mark.parametrize(("away", "state"), [(1, "SENT"), (1000, "SENDING")])
def test_a_database_that_is_away_after_the_call_does_not_cost_the_answer_if_it_comes_back(
    ledger: Ledger, away: int, state: str
) -> None:
    flaky = Flaky(ledger.db.url)
    ledger.db, claim = flaky, ledger.claim()
    ledger.provider.during = lambda _: setattr(flaky, "away", away)
    limits = Limits(send_record_seconds=1.0)
    if state == "SENT":
        assert ledger.sent(claim, limits=limits).state == "SENT"
    else:
        with pytest.raises(DatabaseUnavailable):
            ledger.send(claim, limits=limits)
    flaky.away, ledger.provider.during = 0, lambda _: None
    ((number, found),) = ledger.run_sql("SELECT outbound_message_id, state FROM outbound_message")
    assert found == state
    ledger.able(KEY)
    ledger.pass_time(30)
    ledger.reconcile()
    assert ledger.state(number) == "SENT"
    assert {parcel.idempotency_key for parcel in ledger.provider.parcels} == {ledger.message(number).idempotency_key}
    flaky.dispose()


def test_connections_that_the_server_ends_during_the_call_cost_nothing(ledger: Ledger) -> None:
    ledger.provider.during = lambda _: ledger.run_sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        " AND application_name = 'queue_pipeline'"
    )
    assert ledger.sent().state == "SENT"


def test_what_a_drill_sends_reaches_nobody(ledger: Ledger) -> None:
    sent = ledger.sent(ledger.claim(DRILL_WORKSPACE))
    assert (sent.state, ledger.provider.parcels) == ("SENT", [])
    assert ledger.message(sent.outbound_message_id).provider == "outbox"


BAD: list[tuple[str, dict[str, Any]]] = [
    ("channel", {"channel": ""}), ("to", {"to": "   "}), ("body", {"body": None}), ("purpose", {"purpose": ""}),
    ("to", {"to": f"{ADDRESS}\r\nBcc: all@customer.example"}), ("subject", {"subject": "Hello\nBcc: x@y.example"}),
    ("in_reply_to", {"in_reply_to": "<1@x.example>\r\nX: y"}), ("body", {"body": f"{TEXT}\x00"}),
    ("body", {"body": f"{TEXT}\ud800"}), ("part", {"part": -1}), ("provider", {"provider": "pigeon"}),
    ("trigger", {"trigger": "a\x00"}),
]  # fmt: skip


@pytest.mark.parametrize(("field", "fields"), BAD)
def test_bad_input_is_refused_by_its_field_before_anything_is_written(
    ledger: Ledger, field: str, fields: dict[str, Any]
) -> None:
    with pytest.raises(InvalidInput, match=rf"\b{field}\b") as refused:
        ledger.send(**fields)
    assert TEXT not in str(refused.value)
    assert ADDRESS not in str(refused.value)
    assert ledger.run_sql("SELECT 1 FROM outbound_message") == []


def test_neither_reasons_nor_errors_nor_log_lines_hold_a_recipient_or_a_text(
    ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    ledger.provider.script = [ValueError(f"{ADDRESS}: {TEXT}"), REJECTED, NOT_SENT, AMBIGUOUS]
    for _ in range(4):
        ledger.sent()
    ledger.provider.answer_to_lookup = ValueError(f"{ADDRESS}: {TEXT}")
    report = ledger.reconcile()
    told = ledger.run_sql(
        "SELECT m.reason, a.error_class, a.error FROM outbound_message m JOIN send_attempt a USING (outbound_message_id)"
    )
    assert "unforeseen" in caplog.text
    for words in (caplog.text, str(told), report.sentence()):
        assert ADDRESS not in words
        assert TEXT not in words


def test_an_attempt_says_who_made_it_under_which_claim_and_of_what(ledger: Ledger) -> None:
    claim = ledger.claim()
    sent = ledger.sent(claim)
    ((fence, run, request, key),) = ledger.run_sql(
        "SELECT job_fence, function_run_id, request_sha256, idempotency_key FROM send_attempt"
    )
    assert (fence, run) == (claim.fence, ledger.run.run_id)
    assert len(request) == 64
    assert key == ledger.message(sent.outbound_message_id).idempotency_key == ledger.provider.parcels[0].idempotency_key


def test_the_first_answer_of_an_outcome_is_what_the_handler_gets(ledger: Ledger) -> None:
    ledger.provider.script = [ProviderReply(SendOutcome.REJECTED, http_status=422, error="no such mailbox")]
    assert ledger.sent().reason == "rejected: HTTP 422: no such mailbox"
