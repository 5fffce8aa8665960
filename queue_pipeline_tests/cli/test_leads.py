"""`drafts` and `tasks`: people read, decide, and their decisions are kept and kept to."""

from pathlib import Path

import pytest

from queue_pipeline import wiring
from queue_pipeline.engine.drain import DrainOptions, drain
from queue_pipeline.engine.inbound import Delivery, accept
from queue_pipeline.settings import load_settings
from queue_pipeline.store.session import Database
from queue_pipeline_tests.cli.conftest import Command


def work_off(db: Database) -> None:
    registry = wiring.load_registry(load_settings())
    for n in range(4):
        drain(db, registry, DrainOptions(f"shard-{n:02d}", until_empty=True, hand_over=False))


@pytest.fixture
def with_leads(environment: None, db: Database) -> Database:
    """A draft that waits (1), and a task."""
    wiring.load_registry(load_settings())
    bodies = {"ada@example.com": "What does it cost?", "ben@example.com": "Please call me on +1 555 010 0199"}
    payloads = [{"provider": "test", "from_address": who, "body": body} for who, body in bodies.items()]
    accept(db, [Delivery("acme", "test", payload) for payload in payloads])
    work_off(db)
    return db


def test_a_draft_is_listed_without_its_text_and_shown_with_it(run: Command, with_leads: Database) -> None:
    for arguments in (["drafts"], ["drafts", "list"]):
        listed = run(*arguments)
        assert listed.code == 0
        assert "reply_needed" in listed.out
        assert "ada@example.com" not in listed.out
        assert "drafts show" in listed.err
    (draft,) = run("drafts", "--json").data
    shown = run("drafts", "show", draft["draft_id"])
    assert "What does it cost?" in shown.out
    assert "to ada@example.com" in shown.out
    assert "A colleague will read it" in shown.out
    assert "FOR_REVIEW" in shown.err
    assert run("drafts", "show", draft["draft_id"], "--json").data["message"]["body"] == "What does it cost?"
    assert run("drafts", "list", "--workspace", "birch", "--json").data == []


def test_an_approved_draft_is_sent_once(run: Command, with_leads: Database) -> None:
    (draft,) = run("drafts", "--json").data
    approved = run("drafts", "approve", draft["draft_id"], "--who", "Mina")
    assert approved.code == 0
    assert "sends it" in approved.err
    again = run("drafts", "approve", draft["draft_id"])
    assert again.code == 3
    assert "APPROVED already by Mina" in again.err
    work_off(with_leads)
    assert run("drafts").err.startswith("No draft waits for review.")
    (sent,) = run("drafts", "--state", "sent", "--json").data
    assert (sent["state"], sent["decided_by"], sent["outcome"]) == ("SENT", "Mina", "sent")
    assert [m["purpose"] for m in run("outbox", "--json").data].count("reply") == 1
    assert "SENT already by Mina" in run("drafts", "reject", draft["draft_id"], "--why", "late").err


def test_a_rejected_draft_says_why(run: Command, with_leads: Database) -> None:
    (draft,) = run("drafts", "--json").data
    assert run("drafts", "reject", draft["draft_id"]).code == 3
    assert (
        run("drafts", "reject", draft["draft_id"], "--why", "answered by phone", "--json").data["state"] == "REJECTED"
    )
    assert "answered by phone" in run("drafts", "show", draft["draft_id"]).err
    work_off(with_leads)
    assert [m["purpose"] for m in run("outbox", "--json").data].count("reply") == 0


def test_an_edited_draft_is_sent_as_it_was_edited(run: Command, with_leads: Database, tmp_path: Path) -> None:
    (draft,) = run("drafts", "--json").data
    text = tmp_path / "reply.txt"
    text.write_text("Hello Ada,\n\nthank you for asking. A colleague will send you the list.\n", encoding="utf-8")
    edited = run("drafts", "edit", draft["draft_id"], "--body", text, "--who", "Mina")
    assert "edited by Mina" in edited.err
    run("drafts", "approve", draft["draft_id"])
    work_off(with_leads)
    (reply,) = [m for m in run("outbox", "--json").data if m["purpose"] == "reply"]
    assert reply["body"].endswith("will send you the list.")
    text.write_bytes(b"\xff\xfe")
    assert run("drafts", "edit", draft["draft_id"], "--body", text).code == 3
    assert run("drafts", "edit", draft["draft_id"], "--body", tmp_path / "none").code == 3


def test_a_task_is_listed_with_the_number_to_call_and_is_done_once(run: Command, with_leads: Database) -> None:
    listed = run("tasks")
    assert "+15550100199" in listed.out
    (task,) = run("tasks", "list", "--json").data
    assert (task["kind"], task["address"], task["state"]) == ("call", "ben@example.com", "OPEN")
    assert run("tasks", "done", task["lead_task_id"], "--who", "Mina").code == 0
    again = run("tasks", "done", task["lead_task_id"])
    assert again.code == 3
    assert "done already, by Mina" in again.err
    assert "No task is open." in run("tasks").err
    assert "Mina" in run("tasks", "--all").out


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["drafts", "show", "404"], "no such draft"),
        (["drafts", "approve", "404"], "no such draft"),
        (["drafts", "approve", "one"], "DRAFT_ID"),
        (["drafts", "--state", "lost"], "--state"),
        (["tasks", "done", "404"], "no such task"),
    ],
)
def test_wrong_usage_is_named(run: Command, arguments: list[str], named: str) -> None:
    ran = run(*arguments)
    assert ran.code == 3
    assert named in ran.err
