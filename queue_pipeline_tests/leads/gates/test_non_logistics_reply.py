"""A lead who asked for nothing but a time gets one, or a question about one."""

import pytest

from queue_pipeline_tests.leads.gates.drafts import codes, findings

PITCH = (
    "Our award-winning platform is trusted by thousands of teams and boosts revenue. Our customers love the results!"
)


@pytest.mark.parametrize(
    "inbound",
    [
        "When can we talk?",
        "I'd like to book a demo. What times do you have?",
        "How do I book a slot?",
        "Are you free next week?",
    ],
)
def test_a_pitch_instead_of_a_time_is_found(inbound: str) -> None:
    assert codes(PITCH, inbound=inbound) == {"non_logistics_reply"}


@pytest.mark.parametrize(
    "addition",
    [
        "Tuesday at 3 pm?",
        "https://calendly.com/acme-sales/intro",
        "What time would suit you?",
        "Would a morning or an afternoon suit you better?",
        "Which day works for you?",
    ],
)
def test_a_pitch_with_logistics_is_left_to_the_judge(addition: str) -> None:
    assert findings(f"{PITCH} {addition}", inbound="When can we talk?") == []


@pytest.mark.parametrize(
    "inbound",
    [
        "How much does it cost?",
        "Can we talk? And what does it cost?",
        "Before we meet, tell me how the warranty works.",
        "Thanks!",
        "Not interested in a call.",
    ],
)
def test_a_lead_who_wants_to_know_something_else_gets_an_answer(inbound: str) -> None:
    assert findings(PITCH, inbound=inbound) == []


def test_without_a_slot_or_a_link_there_is_nothing_to_offer() -> None:
    assert findings(PITCH, inbound="When can we talk?", offered_slots=[], allowed_links=[]) == []


@pytest.mark.parametrize(
    "draft",
    [
        "Sorry, I am the wrong person for this; a colleague will help you.",
        "Noted, thank you for letting me know about it.",
        "Let me check with the team and come back.",
    ],
)
def test_a_reason_to_offer_no_time_is_no_pitch(draft: str) -> None:
    assert findings(draft, inbound="When can we talk?") == []
