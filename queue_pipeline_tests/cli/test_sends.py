from collections.abc import Iterator

import pytest

from queue_pipeline.store.session import Database
from queue_pipeline_tests.cli.conftest import Command
from queue_pipeline_tests.sends.ledger import ADDRESS, LOOKUP, TEXT, Ledger, a_ledger


@pytest.fixture
def ledger(db: Database) -> Iterator[Ledger]:
    with a_ledger(db) as ledger:
        yield ledger


def test_an_empty_ledger_says_so(run: Command) -> None:
    listed = run("sends")
    assert (listed.code, listed.out) == (0, "")
    assert "No such message" in listed.err
    assert run("sends", "--json").data == []
    assert "No message was due, overdue or in doubt." in run("sends", "reconcile").err


def test_messages_are_listed_by_how_they_stand(run: Command, ledger: Ledger) -> None:
    sent, doubtful = ledger.sent().outbound_message_id, ledger.doubtful()
    assert [m["outbound_message_id"] for m in run("sends", "--json").data] == [doubtful, sent]
    assert [m["outbound_message_id"] for m in run("sends", "--open", "--json").data] == [doubtful]
    assert [m["outbound_message_id"] for m in run("sends", "--state", "sent", "--json").data] == [sent]
    assert run("sends", "--workspace", "globex", "--json").data == []
    assert len(run("sends", "--limit", "1", "--json").data) == 1
    shown = run("sends").out
    assert "UNKNOWN" in shown
    assert TEXT not in shown
    assert ADDRESS not in shown


def test_one_message_is_shown_with_every_attempt(run: Command, ledger: Ledger) -> None:
    number = ledger.doubtful()
    shown = run("sends", "show", number)
    assert f"Message {number} is UNKNOWN: ambiguous: ReadTimeout: no answer." in shown.err + shown.out
    assert "ReadTimeout" in shown.out
    (attempt,) = run("sends", "show", number, "--json").data["attempts"]
    assert (attempt["attempt"], attempt["outcome"]) == (1, "ambiguous")
    assert run("sends", "show", 404).code == 3


def test_a_person_ends_a_doubt_from_the_command_line(run: Command, ledger: Ledger) -> None:
    number = ledger.needing_a_person()
    said = ("--who", "Mina", "--why", "the customer has it")
    assert run("sends", "decide", number, "sent", *said).code == 0
    (message,) = run("sends", "--json").data
    assert (message["state"], message["decided_by"], message["reason"]) == ("SENT", "Mina", "the customer has it")
    again = run("sends", "decide", number, "retry", *said)
    assert again.code == 3
    assert "It is SENT, and a person cannot make that READY" in again.err


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("404", "sent", "--why", "x"), "There is no such message"),
        (("soon", "sent", "--why", "x"), "not a valid integer"),
        (("1", "lost", "--why", "x"), "'sent', 'retry', 'cancelled'"),
        (("1", "sent"), "--why"),
        (("1", "sent", "--why", " "), "Say who decides and why"),
    ],
)
def test_a_wrong_decision_is_a_sentence(run: Command, arguments: tuple[str, ...], named: str) -> None:
    refused = run("sends", "decide", *arguments)
    assert refused.code == 3
    assert named in refused.err
    assert "Traceback" not in refused.err


def test_a_reconciliation_says_what_it_did_and_fails_on_what_it_could_not_do(run: Command, ledger: Ledger) -> None:
    number = ledger.ready()
    ledger.pass_time(100)
    done = run("sends", "reconcile", "--seconds", "5", "--json")
    assert (done.code, done.data["errors"]) == (0, [])
    assert done.data["done"] == {"messages were tried and are SENT": 1}
    ledger.able(LOOKUP)
    doubtful = ledger.doubtful()
    ledger.provider.answer_to_lookup = ZeroDivisionError()
    ledger.pass_time(100)
    failed = run("sends", "reconcile", "--seconds", "5")
    assert failed.code == 2
    assert f"message {doubtful}: ZeroDivisionError" in failed.err + failed.out
    assert ledger.state(number) == "SENT"


@pytest.mark.parametrize("arguments", [("--state", "lost"), ("--limit", "0"), ("reconcile", "--seconds", "0")])
def test_a_wrong_question_is_a_sentence(run: Command, arguments: tuple[str, ...]) -> None:
    refused = run("sends", *arguments)
    assert refused.code == 3
    assert arguments[-2] in refused.err
