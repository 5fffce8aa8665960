"""The words around a time or a date decide whether it is one, which belongs to which, and what the lead meant."""

import pytest

from queue_pipeline.leads.gates.check import check_draft
from queue_pipeline_tests.leads.gates.drafts import codes, draft_case, findings


@pytest.mark.parametrize(
    "draft",
    [
        "See you on Tuesday at 5 with Dr. Han.",
        "See you on Tuesday at 5 in San Jose.",
        "Your visit is on Feb 17 at 5 at Dr. Han, 4 Mint Plaza.",
        "See you on Tuesday at 5 to sign the papers.",
        "Come at 8ish on Tuesday.",
        "You want an alarm called Music practice to go off at 4:50 pm?",
        "So 2/17 at eight thirty pm with Carter Michele?",
        "Could you do seven thirty on Tuesday?",
        "We have half five on Tuesday free.",
        "Tuesday at 3 or the day after at 2?",
        "We'd love to have you over on Tuesday. Doors open at 11:30 am sharp.",
        "I can book you for an arrival time by 2:50 pm on Tuesday.",
        "We moved you from Wednesday to Tuesday at 10.",
    ],
)
def test_a_wrong_time_is_found_whatever_stands_around_it(draft: str) -> None:
    assert "slot_mismatch" in codes(draft)


@pytest.mark.parametrize(
    "draft",
    [
        "You are booked at 3 pm and the date is the 5th.",
        "A reservation for 3:00 pm the 2nd, for a party of 1.",
        "Booked for 3 pm. On the 19th.",
        "Ok, I think I have it. 10 am. Friday next week?",
        "So 2/19 at eight thirty pm with Carter Michele?",
        "Please let me know if next Friday will work for visiting us.",
        "They are all avaliable for March 17.",
        "How does Mon at 3 pm sound?",
    ],
)
def test_a_wrong_day_is_found_whatever_stands_around_it(draft: str) -> None:
    assert "date_mismatch" in codes(draft)


@pytest.mark.parametrize(
    "draft",
    [
        "The 2nd suits more people than the 1st. Tuesday at 3?",
        "Does the 2nd option work, Wednesday at 10?",
        "Meet at 5 Elm Dr. on Tuesday at 3.",
        "We were at 5 in a row. Tuesday at 3?",
        "Half of the team is out; Tuesday at 3 it is.",
        "You called me at 9:40 about this. Tuesday at 3?",
        "I have a hard stop at 3:30 on Tuesday, so 3 sharp please.",
        "Tuesday at 3, or the day after at 10.",
        "Great: 3 pm. On the 17th.",
        "It is 3 pm in the afternoon in Boston, on Tuesday.",
    ],
)
def test_what_only_resembles_a_wrong_time_or_day_is_left_alone(draft: str) -> None:
    assert findings(draft) == []


@pytest.mark.parametrize(
    ("inbound", "draft"),
    [
        ("I need the van from the 9th of March to March 14th, pick-up at 10:40 am.", "on March 9th at 10:40 am"),
        ("I need the van from March 9th to March 14th at 10:40 am.", "on March 9th at 10:40 am, back on March 14th"),
        ("I need it from March 9th until March 14th. I'll come at 10:40 am.", "on the 9th at 10:40 am"),
        ("Please move me from Tuesday at 3 to Wednesday at 4.", "for Wednesday at 4 instead of Tuesday at 3"),
    ],
)
def test_both_ends_of_what_the_lead_spans_may_be_said(inbound: str, draft: str) -> None:
    assert findings(f"You are booked {draft}.", inbound=inbound, offered_slots=[]) == []


def test_what_the_lead_moves_away_from_is_not_proposed() -> None:
    inbound = "Please move me from Friday at 3 to Wednesday at 4."
    assert "slot_mismatch" in codes("You are booked for Friday at 3.", inbound=inbound, offered_slots=[])


@pytest.mark.parametrize(
    "draft",
    [
        "I have purchased the ticket, enjoy! The game starts at 8:50 am.",
        "I've added the event to your calendar on February 13th at 10:50 am.",
        "Kindly note that, later today, 2 tickets have been booked for the show at 1:40 pm.",
    ],
)
def test_what_was_bought_or_put_into_a_calendar_is_promised(draft: str) -> None:
    inbound = "Please get me tickets for the 13th at 8:20 am."
    assert "slot_mismatch" in codes(draft, inbound=inbound, offered_slots=[])


def test_half_four_is_before_the_hour_only_where_people_may_say_so() -> None:
    slot = {"start": "2026-02-17T15:30:00Z", "label": "Tue 17 Feb, 15:30"}
    draft = "Would half four on Tuesday suit you?"
    assert codes(draft, offered_slots=[slot], timezone="Europe/London") == {"slot_mismatch"}
    berlin = {**slot, "start": "2026-02-17T15:30:00+01:00"}
    assert findings(draft, offered_slots=[berlin], timezone="Europe/Berlin") == []


def test_a_yes_to_a_time_in_the_thread_asks_for_no_time() -> None:
    draft = "Found 1 show at the cinema on Main Street, with two good seats."
    said = draft_case(draft, inbound="Yes, please book it.", thread=["I want to see it on Tuesday at 3 pm."])
    assert check_draft(said) == []
    assert codes(draft, inbound="Yes, please book it.") == {"non_logistics_reply"}
