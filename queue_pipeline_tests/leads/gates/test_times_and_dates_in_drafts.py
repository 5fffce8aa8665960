"""Drafts in the voice of sales and service staff: what nothing justifies is found, what is justified is left alone."""

import pytest

from queue_pipeline_tests.leads.gates.drafts import codes, findings

CLEAN = [
    "Does Tuesday at 3 work? It takes 45 minutes and costs $15.30, i.e. 20% less; call 555-0143 or (212) 555-0187.",
    "We are open Monday to Friday from 9 to 5, and I could see you Tuesday at 3 pm.",
    "Our office hours are 8:30 am - 6 pm. Would Wednesday at 10 suit you?",
    "Let me know by 5 pm tomorrow and I'll hold Tuesday, Feb 17, 3:00 PM for you.",
    "Thanks for your message of 9:12 this morning! Tuesday at 3 pm or Wednesday at 10 am?",
    "Thanks for your email on Monday. How about Tuesday the 17th at 3?",
    "I'm out of the office tomorrow, but Wednesday, 18 February at 10:00 works.",
    "I'll send the contract on Friday. See you Tuesday at 3!",
    "Please arrive 10 minutes early, at 2:50, on Tuesday for your 3 pm appointment.",
    "3pm ET (noon PT) on Tuesday works; that's 8 pm in London (GMT).",
    "Tuesday 3:00-3:30 pm is free.",
    "You're booked for Tue, Feb 17, 3:00 PM until 3:30 PM.",
    "We had a great 2025 and 4.8 stars out of 5; Tuesday at 3 p.m. is yours.",
    "On Tuesday I have 3 pm; on Wednesday 10 am.",
    "Tuesday at 3pm, Wednesday at 10am. Which one works?",
    "The 2nd option (Wed 10 am) is on the 3rd floor, Suite 300, 221 Main St.",
    "Happy to help! 18/8 Fine Men's Salons, 24/7 hotline, 9-to-5 job, 1 of 3. Tuesday at 3?",
    "Meet at 5 Elm Street at 3 pm on Tuesday.",
    "Tuesday, the 17th of February 2026, 15:00 h",
    "17.02.2026 um 15 Uhr or 18.02.2026 um 10 Uhr",
    "Feb 17 @ 3, or Feb 18 @ 10?",
    "Sure. Any time after 2 pm on Tuesday? I have 3.",
    "A quarter of our clients come at noon-ish anyway. Tuesday at 3 o'clock?",
    "We may march on in the sun; he sat down. Tuesday at three it is.",
    "Sun, Sat and Mon are full. Tuesday at 3 pm or Wednesday at 10 am are left.",
    "Tuesday works. Would 3 pm suit you?",
    "We've got Tuesday 17 Feb (3pm) and Wednesday 18 Feb (10am).",
    "Next Tuesday at 3 PM Eastern, right? The link: https://calendly.com/acme-sales/intro",
    "Here you go: calendly.com/acme-sales/intro. Node.js 2.10, README.md, 4.pm, e.g. this. jane@acme.example",
    "Tomorrow I'm away. On Tuesday, 3 pm would be good.",
    "Today is crazy, so let's say Tuesday at 3.",
    "Only 2 left! 3:00 pm Tue or 10:00 am Wed",
    "Tue 2/17 3pm; Wed 2/18 10am",
    "2026-02-17 15:00 or 2026-02-18 10:00",
    "Tuesday, Feb 17:",
    "- 3:00 PM",
    "Wednesday, Feb 18:",
    "- 10:00 AM",
    "The session runs from 3 to 3:30 on Tuesday and you get 2 for 1.",
    "I can do Tuesday at 3pm (15:00) or Wednesday at 10am (10:00).",
    "See you at 3 on Tuesday then, 4th floor, door 5, code 1234.",
    "We've 3 slots in March and one in May, but next Tuesday at 3 is the earliest.",
    "It's 65 degrees today. Tuesday at 3 pm?",
    "Our sale ends on March 1st. Tuesday at 3 pm is free for a call.",
    "I was born on May 5, 1980, ha. Tuesday at 3 pm?",
    "Invoice 2026-0212 of 2/10 is paid. Tuesday at 3 pm?",
    "Flight 315 aside, Tuesday at 3:00pm your time works.",
    "The webinar last Thursday at 4 pm was recorded. Shall we meet Tuesday at 3 pm?",
    "We reply within 2 hours, usually before noon. Would Tuesday at 3 pm work?",
    "After 3 pm traffic is terrible. Wednesday at 10?",
    "The office closes at 6 pm on Fridays. Tuesday at 3 pm works.",
    "Let me know before Friday if Tuesday at 3 pm works.",
    "If Tuesday at 3 doesn't suit, Wednesday at 10 is also free.",
    "Tuesday 3 PM EST / 12 PM PST / 9 PM CET",
    "Would you prefer Tuesday afternoon (3 pm) or Wednesday morning (10 am)?",
    "I have Tuesday afternoon at 3 and Wednesday morning at 10.",
    "Tues at 3p or Weds at 10a?",
    "Tuesday at 3:00 PM, Wednesday at 10:00 AM - both are 30-minute calls.",
    "On 2/17 we have 3:00 PM and on 2/18 10:00 AM.",
    "Are mornings or afternoons better? I've Tue 3pm / Wed 10am.",
    "Great, Tuesday it is: 3 pm. I'll email you the day before.",
    "Great, Tuesday at 3 pm. You'll get a reminder on Monday.",
    "Great, Tuesday at 3 pm. A reminder goes out at 9 am that day.",
    "Tuesday at 3 pm is confirmed; if plans change, please tell us by Monday noon.",
    "We can't do Thursday or Friday, sorry. Tuesday at 3 pm?",
    "My colleague is back on Monday, so Tuesday at 3 pm is best.",
    "One of our 5 experts, 10 years in business, sees you at 3 on Tuesday.",
    "Half an hour is enough: Tuesday, 3 to half past 3.",
    "Tuesday at 3 pm and not a minute later. Version 3.11, chapter 4:12, ratio 16:9.",
    "At 3 locations we do it; for you Tuesday 3 pm at Elm St.",
    "We'll need you from 3 until 3:30 on Tuesday.",
    "I'd suggest the 17th at 3 or the 18th at 10.",
    "17th Feb 3pm? 18th Feb 10am?",
    "In five days, on Tuesday, at 3 pm?",
]

WRONG_TIME = [
    "Does Tuesday at 4 work?",
    "Does Wednesday at 3 work?",
    "Tuesday at 10 am or Wednesday at 3 pm?",
    "3pm PT on Tuesday",
    "You're booked for Tuesday, 3:00-4:30 pm",
    "Tuesday 2-3pm is yours",
    "We open at 9 and I have you down for 4 pm on Tuesday",
    "Is noon on Tuesday ok?",
    "I can do Tuesday at 3 or 5",
    "Tuesday, Feb 17:\n- 10:00 AM\n\nWednesday, Feb 18:\n- 3:00 PM",
    "Tuesday at 3 am",
    "Tuesday at 15:30",
    "how about six thirty on tuesday?",
    "Tuesday at fifteen hundred? No: 1600 hours",
    "See you Tue at half past 3",
    "17.02.2026, 16.00 Uhr",
    "Tuesday at 3pm CET",
    "Here is the plan: Wednesday 18 at 11",
    "How does Tue 2pm sound?",
    "Let's do Weds at 9.30am",
    "Your appointment: Feb 17, 2026 | 14:00",
    "It's at 14:00 h on 17 Feb",
    "Could you come at two on Tuesday?",
    "Tuesday afternoon at 4?",
    "We've got you in at 3.15pm Tuesday",
    "any time between 4 and 6 pm on Tuesday",
]

WRONG_DATE = [
    "I've booked Thursday at 3 pm.",
    "Tue, Feb 18 at 10 am?",
    "See you on Friday!",
    "tomorrow at 3 pm?",
    "March 3rd at 3 pm it is",
    "Confirmed for 2/19, 3 pm",
    "Confirmed for 19.2.2026",
    "Your visit is scheduled for the nineteenth of February",
    "I've put you in for next Monday",
    "the day after tomorrow at 3 pm works",
    "this Saturday, 10 am",
    "Friday week at 3 pm?",
    "in two days at 3pm",
    "Feb 17 & 19 at 3pm",
]


@pytest.mark.parametrize("draft", CLEAN)
def test_what_was_offered_may_be_said_in_any_words(draft: str) -> None:
    assert findings(draft) == []


@pytest.mark.parametrize("draft", WRONG_TIME)
def test_a_time_that_was_not_offered_is_found(draft: str) -> None:
    assert "slot_mismatch" in codes(draft)


@pytest.mark.parametrize("draft", WRONG_DATE)
def test_a_day_that_was_not_offered_is_found(draft: str) -> None:
    assert "date_mismatch" in codes(draft)


def test_a_finding_names_its_place_its_readings_and_what_was_allowed() -> None:
    draft = "Hi Ada, how about Tuesday at\u00a04\u202fp.m.?"
    (found,) = findings(draft)
    assert (draft[found.start : found.end], found.text) == ("4\u202fp.m.", "4\u202fp.m.")
    assert (found.code, found.severity, found.readings) == ("slot_mismatch", "critical", ("16:00",))
    assert "2026-02-17 15:00" in found.allowed
    assert found.rule_version


@pytest.mark.parametrize(
    ("draft", "inbound"),
    [
        ("Thursday at 2 is booked for you.", "Can I come on Thursday at 2?"),
        ("5:45 on Thursday is taken, would Tuesday at 3 suit you?", "How about Thursday 5:45?"),
        ("What time between 1 and 4 suits you best?", "Any time between 1 and 4 would do"),
        ("Tomorrow at noon it is, see you then!", "tomorrow noon?"),
        ("Yes, 3/4 at 9:30 works for us.", "Is the 4th of March at half past nine ok?"),
        ('You wrote "can we do tomorrow at 8?" and yes, we can: tomorrow at 8.', "Hi. Can we do tomorrow at 8?"),
        ("We moved you from Thursday 2 pm to Friday 4 pm.", "Please move my Thursday 2 pm to Friday 4 pm."),
    ],
)
def test_what_the_lead_proposed_may_be_said(draft: str, inbound: str) -> None:
    assert findings(draft, inbound=inbound) == []


def test_a_time_that_the_draft_refuses_must_come_from_the_lead() -> None:
    assert codes("5:45 is taken, Tuesday at 3 instead?") == {"slot_mismatch"}


def test_what_the_lead_refused_may_be_refused_but_not_booked() -> None:
    inbound = "I can't make Friday at 2, sorry."
    assert findings("Sorry that Friday at 2 isn't possible. Tuesday at 3?", inbound=inbound) == []
    assert "slot_mismatch" in codes("You are booked for Friday at 2.", inbound=inbound)


def test_our_own_earlier_offer_may_be_booked_once_the_lead_accepted_it() -> None:
    thread = [{"author": "us", "body": "Would Monday at 9 am suit you?", "sent_at": "2026-02-11T09:00:00-05:00"}]
    draft = "Great, Monday at 9 am is booked."
    assert findings(draft, thread=thread, inbound="Yes, perfect!") == []
    assert "slot_mismatch" in codes(draft, thread=thread, inbound="Anything later in the week?")


def test_words_of_the_lead_are_read_on_the_day_they_were_sent() -> None:
    thread = [{"role": "user", "text": "I could do tomorrow at 4 pm", "sent_at": "2026-02-14T09:00:00-05:00"}]
    assert findings("Sunday at 4 pm is confirmed.", thread=thread) == []
    assert "date_mismatch" in codes("Friday at 4 pm is confirmed.", thread=thread)


def test_without_slots_only_a_promise_is_judged() -> None:
    inbound = "I'd like an appointment."
    assert findings("Would Friday at 3 pm suit you?", inbound=inbound, offered_slots=[]) == []
    assert codes("I've booked you for Friday at 3 pm.", inbound=inbound, offered_slots=[]) >= {"slot_mismatch"}


def test_a_yes_to_the_lead_must_repeat_what_the_lead_proposed() -> None:
    inbound = "Does 3:45 pm on the 31st of March work for you?"
    assert findings("Yes, 3:45 pm on the 31st works.", inbound=inbound, offered_slots=[]) == []
    assert codes("Yes, 4:30 pm on the 31st works.", inbound=inbound, offered_slots=[]) == {"slot_mismatch"}


@pytest.mark.parametrize(
    "draft", ["Tuesday at 3", "Tuesday at 9 pm", "Tuesday at 9 pm CET", "Tuesday 8 pm GMT", "3 pm ET"]
)
def test_a_time_may_be_said_in_the_zone_of_the_lead_or_of_the_host_or_with_its_zone(draft: str) -> None:
    assert findings(f"How about {draft}?", host_timezone="Europe/Berlin") == []


def test_a_time_in_another_zone_is_found() -> None:
    assert codes("How about Tuesday at 3 pm PT?") == {"slot_mismatch"}
    assert codes("How about Tuesday at 9 pm?") == {"slot_mismatch"}


def test_summer_time_is_that_of_the_day() -> None:
    slots = [{"start": "2026-03-10T15:00:00Z", "label": "Tue 10 March"}]
    assert findings("Tuesday 10 March at 11 am?", offered_slots=slots) == []
    assert "slot_mismatch" in codes("Tuesday 10 March at 10 am?", offered_slots=slots)


@pytest.mark.parametrize(
    "draft", ["Tue, Feb 18 at 10?", "Nice that we met on Monday, March 3.", "Friday 18.02.2026?", "tomorrow (Monday)"]
)
def test_a_weekday_that_contradicts_its_date_is_found_in_any_sentence(draft: str) -> None:
    assert "date_mismatch" in codes(draft)


def test_a_day_without_a_promise_or_a_time_is_no_matter_of_the_gates() -> None:
    assert findings("Thanks for your call last Friday. I will read your e-mail of 3 February on Monday.") == []


def test_a_date_holds_for_the_sentence_after_it() -> None:
    assert findings("I can book you for the 17th. It starts at 3 pm.") == []
    assert codes("I can book you for the 18th. It starts at 3 pm.") == {"slot_mismatch"}


def test_quoted_history_is_not_what_the_draft_says() -> None:
    assert findings("Tuesday at 3 pm?\n\nOn Mon, Feb 9, 2026 at 8:15 AM Ada wrote:\n> Is Friday at 4 pm free?") == []
