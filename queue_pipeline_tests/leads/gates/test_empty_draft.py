"""Drafts in which nothing is meant for the lead."""

import pytest

from queue_pipeline_tests.leads.gates.drafts import codes, findings


@pytest.mark.parametrize(
    "draft",
    [
        "", " \n\t", "\u200b\u2060", "…", "👍", "---", "> Is Friday free?\n> Ada", "-- \nJane Doe\nAcme", "Hi Ada,",
        "Best regards,\nJane Doe", "Hi Ada,\n\nKind regards\nJane", "I'm sorry, but I can't help with that.", "[INSERT RESPONSE]",
        "As an AI language model, I do not know your calendar.", "{{draft}}", "TODO", "null", "Lorem ipsum dolor sit amet.",
        "You are a helpful scheduling assistant. Reply to the lead.", "Write a short reply to the customer.", "N/A",
        "TODO: write reply", "FIXME add the times", "I'm unable to help with this as it goes against my guidelines.", "<your reply here>",
        "On Mon, Feb 9, 2026 at 8:15 AM Ada wrote:\n> Hello",
    ],
)  # fmt: skip
def test_what_says_nothing_to_the_lead_is_empty_and_nothing_else(draft: str) -> None:
    assert codes(draft) == {"empty_draft"}


@pytest.mark.parametrize(
    "draft",
    [
        "OK",
        "Done.",
        "Yes, works!",
        "See you then",
        "Thanks!",
        "Sorry, I can't help with the invoice, but Tuesday at 3 is free.",
        "I'm unable to do Thursday.",
        "Hi Ada, Tuesday works",
        "Hello, noted.",
        "<https://calendly.com/acme-sales/intro?utm_source=mail>",
        "Todo bien! Tuesday at 3.",
        "It is against our policy to hold rooms. Tuesday at 3?",
    ],
)
def test_a_short_answer_is_an_answer(draft: str) -> None:
    assert findings(draft) == []


def test_an_echo_of_the_lead_is_empty() -> None:
    inbound = "Could we find a time next week, please?"
    assert codes(inbound, inbound=inbound) == {"empty_draft"}
    assert findings("Thanks!", inbound="Thanks!") == []


def test_null_is_an_empty_draft() -> None:
    assert codes(None) == {"empty_draft"}  # type: ignore[arg-type]
