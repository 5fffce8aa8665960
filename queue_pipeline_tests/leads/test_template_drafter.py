"""The template claims nothing, says that it is one, and never trips our own gates."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from queue_pipeline.leads.classification import MessageClass
from queue_pipeline.leads.inbound_lead import InboundLead
from queue_pipeline.leads.ports import DraftRequest, LeadServices
from queue_pipeline.leads.reply import Circumstances, codes_of, findings_in
from queue_pipeline.leads.samples import SAMPLES
from queue_pipeline.leads.template_drafter import (
    NAME,
    TemplateDrafter,
    acknowledgement,
    greeting,
    reply_subject,
    subject_of_reply,
)

SLOT = {"start": "2031-03-04T10:00:00+01:00", "end": "2031-03-04T10:30:00+01:00"}
NOW = datetime(2031, 3, 1, 9, tzinfo=UTC)


def lead(**fields: object) -> InboundLead:
    return InboundLead.model_validate({"provider": "test", "body": "Hello", **fields})


def request(message: InboundLead, kind: MessageClass = MessageClass.REPLY_NEEDED, **fields: object) -> DraftRequest:
    return DraftRequest(
        message=message,
        message_class=kind,
        now=NOW,
        timezone="Europe/Berlin",
        slots=[slot for slot in message.offered_slots if slot.start > NOW],
        **fields,  # type: ignore[arg-type]
    )


def draft(message: InboundLead, kind: MessageClass = MessageClass.REPLY_NEEDED, **fields: object) -> str:
    return TemplateDrafter().draft(request(message, kind, **fields)).body


def test_a_draft_proposes_offered_slots_and_says_that_a_template_wrote_it() -> None:
    message = lead(from_name="Ada Okafor", offered_slots=[SLOT, {"start": SLOT["start"], "label": "Friday"}])
    drafted = TemplateDrafter().draft(request(message))
    assert "Tuesday 04 March 2031, 10:00 to 10:30 (UTC+1)" in drafted.body
    assert "- Friday" in drafted.body
    assert drafted.body.startswith("Hello Ada,")
    assert drafted.is_template
    assert "no language model" in drafted.drafter == NAME


def test_a_draft_without_offered_slots_names_no_time() -> None:
    for kind in MessageClass:
        assert not re.search(r"\d", draft(lead(), kind))


def test_a_draft_asks_for_what_is_missing() -> None:
    assert "Which number" in draft(lead(), ask_for_phone=True)
    assert "Which days and times" in draft(lead(), MessageClass.SCHEDULING)


def test_the_same_lead_gives_the_same_draft() -> None:
    assert draft(lead(subject="Price")) == draft(lead(subject="Price"))


@pytest.mark.parametrize(
    "name", ["ada@example.com", "", "www.example.com", "R2-D2", "http://example.com", "x" * 31, "[name]", "Noon"]
)
def test_what_is_no_first_name_is_not_used_as_a_greeting(name: str) -> None:
    assert greeting(lead(from_name=name)) == "Hello,"
    assert acknowledgement(lead(from_name=name)).startswith("Hello,")


@pytest.mark.parametrize("name", ["Ada", "Jean-Luc", "O'Neil", "Zoë", "Łukasz"])
def test_a_first_name_is(name: str) -> None:
    assert greeting(lead(from_name=f"{name} Okafor")) == f"Hello {name},"


def test_a_reply_has_one_re_and_one_line() -> None:
    assert reply_subject("Re: Price") == "Re: Price"
    assert reply_subject(" Price\r\nBcc: x ") == "Re: Price Bcc: x"
    assert reply_subject("") == "Re:"
    assert subject_of_reply(lead(channel="sms", from_address="+15550100", subject="")) == ""
    assert subject_of_reply(lead(channel="linkedin", subject="Hello")) == "Re: Hello"


TEXTS = st.one_of(
    st.sampled_from(
        [
            "Can we meet on Friday at 3pm?", "See https://example.com/book or call +15550100", "What does it cost?",
            "Please book me for 10:30 tomorrow", "Stop.", "When are you free next week? I can do Tue 9-11.",
        ]
    ),
    st.text(max_size=200),
)  # fmt: skip
NAMES = st.one_of(
    st.sampled_from(
        ["Ada", "May", "April", "June", "Noon", "Friday", "Sunday", "Second", "evil.com", "Dr. Who", "Mark"]
    ),
    st.text(max_size=20),
)
STARTS = st.builds(
    lambda days, minutes, zone: (NOW + timedelta(days=days, minutes=minutes)).astimezone(zone),
    st.integers(-60, 600), st.integers(0, 1439), st.timezones(),
)  # fmt: skip


@st.composite
def slots(draw: st.DrawFn) -> dict[str, object]:
    start = draw(STARTS).replace(second=0, microsecond=0)
    end = draw(st.none() | st.integers(5, 240).map(lambda minutes: start + timedelta(minutes=minutes)))
    return {"start": start.isoformat(), "end": None if end is None else end.isoformat()}


@settings(max_examples=150, deadline=None)
@given(TEXTS, TEXTS, NAMES, st.lists(slots(), max_size=4), st.sampled_from(list(MessageClass)), st.booleans())
def test_no_draft_of_the_template_and_no_acknowledgement_trips_a_gate(
    body: str, subject: str, name: str, offered: list[dict[str, object]], kind: MessageClass, ask: bool
) -> None:
    message = lead(body=body, subject=subject, from_name=name, offered_slots=offered)
    use = LeadServices(book=None, notifier=None, drafter=TemplateDrafter(), timezone="America/New_York")  # type: ignore[arg-type]
    around = Circumstances(message, NOW, NOW, [], "Europe/Berlin", [])
    assert findings_in(draft(message, kind, ask_for_phone=ask), around, use, drafted_at=NOW) == []
    # An acknowledgement is no answer, and does not pretend to be one.
    codes = codes_of(findings_in(acknowledgement(message), around, use, drafted_at=NOW))
    assert set(codes) <= {"non_logistics_reply"}


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"from_address": "two words@example.com"}, "from_address"),
        ({"from_address": "nobody"}, "from_address"),
        ({"offered_slots": [{"start": "2031-03-04T10:00:00"}]}, "start"),
        ({"offered_slots": [{"start": SLOT["end"], "end": SLOT["start"]}]}, "offered_slots"),
        ({"channel": "Carrier Pigeon"}, "channel"),
        ({"timezone": "Mars/Olympus"}, "timezone"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_lead_that_makes_no_sense_is_refused_and_the_field_named(fields: dict[str, object], named: str) -> None:
    with pytest.raises(ValidationError) as refused:
        lead(**fields)
    assert named in str(refused.value)


def test_every_sample_is_a_valid_lead_of_an_invented_person() -> None:
    for _workspace, payload in SAMPLES:
        sample = InboundLead.model_validate({"provider": "sample", **payload})
        address = sample.from_address or ""
        assert not address or re.search(r"@example\.(com|org|net)$|^\+1555", address)
