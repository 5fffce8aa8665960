"""A person's word about a message: only where a person is asked, with a name and a reason, and only once."""

import pytest

from queue_pipeline.domain.errors import InvalidInput
from queue_pipeline.domain.outbound import MOVES, OutboundState
from queue_pipeline.engine.reconcile import decide
from queue_pipeline_tests.sends.ledger import Ledger
from queue_pipeline_tests.store.messages import message_fields

VERDICTS = (OutboundState.SENT, OutboundState.READY, OutboundState.CANCELLED)
DECIDABLE = {("NEEDS_HUMAN", "SENT"), ("NEEDS_HUMAN", "READY"), ("NEEDS_HUMAN", "CANCELLED"), ("READY", "CANCELLED")}


def test_what_a_person_may_decide_are_moves_of_the_machine() -> None:
    assert all(OutboundState(after) in MOVES[OutboundState(before)] for before, after in DECIDABLE)


def a_message(ledger: Ledger, state: OutboundState) -> int:
    number = ledger.sent().outbound_message_id
    fields = message_fields(state)
    assignments = ", ".join(
        f"{column} = {'now()' if value == 'now()' else f':{column}'}" for column, value in fields.items()
    )
    with ledger.db.begin() as tx:
        tx.exec_driver_sql("ALTER TABLE outbound_message DISABLE TRIGGER outbound_message_moves")
    ledger.run_sql(
        f"UPDATE outbound_message SET {assignments} WHERE outbound_message_id = :number",
        number=number,
        **{column: value for column, value in fields.items() if value != "now()"},
    )
    with ledger.db.begin() as tx:
        tx.exec_driver_sql("ALTER TABLE outbound_message ENABLE TRIGGER outbound_message_moves")
    return number


@pytest.mark.parametrize("verdict", VERDICTS)
def test_a_person_decides_about_what_needs_one_and_may_cancel_what_waits(
    ledger: Ledger, verdict: OutboundState
) -> None:
    for state in OutboundState:
        number = a_message(ledger, state)
        if (state, verdict) in DECIDABLE:
            assert decide(ledger.db, number, to=verdict, who=" Mina ", why=" asked them ") == verdict
            ((decided_by, reason),) = ledger.run_sql(
                "SELECT decided_by, reason FROM outbound_message WHERE outbound_message_id = :number", number=number
            )
            assert (ledger.state(number), decided_by, reason) == (verdict, "Mina", "asked them")
        else:
            with pytest.raises(InvalidInput, match=f"It is {state}, and a person cannot make that {verdict}"):
                decide(ledger.db, number, to=verdict, who="Mina", why="asked them")
            assert ledger.state(number) == state


@pytest.mark.parametrize("to", [state for state in OutboundState if state not in VERDICTS])
def test_a_person_cannot_make_it_anything_else(ledger: Ledger, to: OutboundState) -> None:
    number = a_message(ledger, OutboundState.NEEDS_HUMAN)
    with pytest.raises(InvalidInput, match="a person cannot"):
        decide(ledger.db, number, to=to, who="Mina", why="asked them")


@pytest.mark.parametrize(("who", "why", "named"), [("", "x", "who"), (" ", "x", "who"), ("Mina", "\t", "why")])
def test_a_word_without_a_name_or_a_reason_is_refused(ledger: Ledger, who: str, why: str, named: str) -> None:
    with pytest.raises(InvalidInput, match=named):
        decide(ledger.db, 1, to=OutboundState.SENT, who=who, why=why)


def test_a_word_about_no_message_is_refused(ledger: Ledger) -> None:
    with pytest.raises(InvalidInput, match="There is no such message"):
        decide(ledger.db, 404, to=OutboundState.SENT, who="Mina", why="asked them")


def test_a_message_that_a_person_cancelled_is_not_sent_again_under_its_key(ledger: Ledger) -> None:
    claim = ledger.claim()
    with ledger.db.begin() as tx:
        number = ledger.reserve(tx, claim.job_id, f"job:{claim.job_id}")
    decide(ledger.db, number, to=OutboundState.CANCELLED, who="Mina", why="sent by hand")
    again = ledger.sent(claim)
    assert (again.outbound_message_id, again.state, again.reason) == (number, "CANCELLED", "sent by hand")
    assert ledger.provider.parcels == []
