"""What a provider says exists ends the doubt that it ends, whenever it is said, and no other."""

from datetime import UTC, datetime
from typing import Any

import pytest

from queue_pipeline.domain.errors import InvalidInput
from queue_pipeline.domain.limits import Limits
from queue_pipeline.engine.evidence import Observation, observe
from queue_pipeline.engine.send_attempt import attempt
from queue_pipeline_tests.sends.ledger import ACCEPTED, ADDRESS, AMBIGUOUS, KEY, NOT_SENT, REJECTED, TEXT, Ledger


def seen(ledger: Ledger, **fields: Any) -> str:
    base: dict[str, Any] = {
        "provider": ledger.provider.name, "account": ledger.provider.account, "provider_message_id": "p-1",
        "recipient": ADDRESS, "body": TEXT,
    }  # fmt: skip
    return observe(ledger.db, Observation(**{**base, **fields}), via="webhook")


def test_an_echo_with_the_key_ends_the_doubt(ledger: Ledger) -> None:
    number = ledger.doubtful()
    key = ledger.message(number).idempotency_key
    assert seen(ledger, idempotency_key=key, recipient=None, body=None) == f"message {number} was in doubt, and is sent"
    message = ledger.message(number)
    assert (message.state, message.in_doubt) == ("SENT", False)
    assert ledger.evidence(number) == ["webhook"]


def test_an_echo_without_a_key_ends_the_doubt_about_the_only_message_that_it_can_be(ledger: Ledger) -> None:
    number = ledger.doubtful()
    seen(ledger, recipient=ADDRESS.upper(), body=f"  {TEXT.upper()}\r\n")
    assert ledger.state(number) == "SENT"


def test_the_same_echo_again_changes_nothing(ledger: Ledger) -> None:
    number = ledger.doubtful()
    seen(ledger)
    assert seen(ledger) == "known already"
    assert ledger.evidence(number) == ["webhook"]


def test_an_echo_that_can_be_two_messages_is_kept_and_ends_no_doubt(ledger: Ledger) -> None:
    numbers = [ledger.doubtful(), ledger.doubtful()]
    assert seen(ledger) == "kept as evidence"
    assert [ledger.state(number) for number in numbers] == ["UNKNOWN", "UNKNOWN"]


OTHERS: dict[str, dict[str, Any]] = {
    "a person's": {"author": "person"},
    "another text": {"body": "Something else"},
    "another recipient": {"recipient": "grace@customer.example"},
    "another account's": {"account": "other"},
    "of a key that is not ours": {"idempotency_key": "0" * 64},
    "one that came in": {"direction": "inbound", "author": "lead"},
    "one that is only scheduled": {"kind": "campaign_scheduled"},
    "one of long before": {"sent_at": datetime(2020, 1, 1, tzinfo=UTC)},
    "without a text": {"body": None},
}


@pytest.mark.parametrize("what", list(OTHERS))
def test_an_echo_of_another_message_ends_no_doubt(ledger: Ledger, what: str) -> None:
    number = ledger.doubtful()
    seen(ledger, **OTHERS[what])
    assert ledger.state(number) == "UNKNOWN"
    assert ledger.evidence(number) == []


def test_an_echo_does_not_touch_what_is_not_in_doubt(ledger: Ledger) -> None:
    ledger.provider.script = [REJECTED]
    number = ledger.sent().outbound_message_id
    assert seen(ledger) == "kept as evidence"
    assert ledger.state(number) == "REJECTED"


def test_an_observation_without_the_providers_id_is_refused(ledger: Ledger) -> None:
    with pytest.raises(InvalidInput, match="provider_message_id"):
        seen(ledger, provider_message_id=" ")


def test_an_echo_that_is_faster_than_the_answer_is_the_same_evidence(ledger: Ledger) -> None:
    def echoes(parcel: Any) -> None:
        assert seen(
            ledger, provider_message_id=ACCEPTED.provider_message_id, idempotency_key=parcel.idempotency_key
        ).startswith("evidence")

    ledger.provider.during = echoes
    ledger.provider.script = [ACCEPTED]
    sent = ledger.sent()
    assert sent.state == "SENT"
    assert ledger.evidence(sent.outbound_message_id) == ["webhook"]


@pytest.mark.parametrize("answer", [AMBIGUOUS, NOT_SENT])
def test_an_echo_during_the_call_is_remembered_when_the_answer_is_lost(ledger: Ledger, answer: Any) -> None:
    ledger.provider.during = lambda parcel: seen(ledger, idempotency_key=parcel.idempotency_key)
    ledger.provider.script = [answer]
    number = ledger.sent().outbound_message_id
    assert ledger.state(number) in ("UNKNOWN", "READY")
    ledger.reconcile()
    assert ledger.state(number) == "SENT"
    assert len(ledger.provider.parcels) == 1


def test_evidence_ends_a_doubt_even_while_another_try_is_about_to_begin(ledger: Ledger) -> None:
    """A retry asks for evidence in the statement that begins it; it need not wait for the next reconciliation."""
    number = ledger.doubtful()
    ledger.able(KEY)
    ledger.run_sql(
        "INSERT INTO provider_message (provider, account, provider_message_id, outbound_message_id, observed_via)"
        " VALUES (:provider, 'test', 'p-1', :number, 'webhook')",
        provider=ledger.provider.name,
        number=number,
    )
    assert attempt(ledger.db, ledger.message(number), limits=Limits()) is None
    assert len(ledger.provider.parcels) == 1


def test_an_echo_ends_the_doubt_that_a_person_was_asked_about(ledger: Ledger) -> None:
    number = ledger.needing_a_person()
    seen(ledger)
    assert ledger.state(number) == "SENT"
