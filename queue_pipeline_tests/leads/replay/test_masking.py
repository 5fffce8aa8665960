"""Frozen leads hold no person: not in subject, body, thread, draft, links or handles, and the same one each time."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from queue_pipeline.leads.classification import classify
from queue_pipeline.leads.phone import phone_in
from queue_pipeline.leads.replay.freezing import RecordedLead, Team, freeze
from queue_pipeline.leads.replay.manifest import Manifest
from queue_pipeline.leads.replay.masking import Masker
from queue_pipeline.leads.replay.selection import as_json

AT = datetime(2031, 3, 3, 8, 0, tzinfo=UTC)
#: Invented, and planted so that a search can look for them.
PLANTED = [
    "Zelinda", "Quarrowby", "zelinda.quarrowby", "quarrowby-works", "zquarrow", "Okonjo", "Balthasar", "Ferdinanda", "Wimpole",
    "4471", "0171", "9988776", "020 7946", "Sesamweg", "W1G 8YS", "s3cret", "brackenfield",
]  # fmt: skip
BODY = """Hi Balthasar Okonjo,

my name is Zelinda Quarrowby. Call me on +49 171 9988776 or 020 7946 0018, or (212) 555-4471, any time on 2031-03-04 at 10:30.
Write to zelinda.quarrowby@quarrowby-works.test or to my colleague Ferdinanda, f.brackenfield@example.test.
We are at 12 Wimpole Street, W1G 8YS, or Sesamweg 7. I am @zquarrow, see https://linkedin.com/in/zelinda-quarrowby and
https://zquarrow:s3cret@files.example.test/x?name=Zelinda and https://github.com/zquarrow/tool.

Best regards,
Zelinda
"""


def a_lead(number: int = 1, **changes: Any) -> RecordedLead:
    payload = {
        "provider": "generic", "channel": "email", "from_address": "zelinda.quarrowby@quarrowby-works.test",
        "from_name": "Zelinda Quarrowby", "subject": "Zelinda here: a call?", "body": BODY,
        "offered_slots": [{"start": "2031-03-04T10:30:00Z", "label": "Tuesday 10:30 with Zelinda"}],
        "allowed_links": ["https://book.example.test/zelinda-quarrowby"], "phone": "+49 171 9988776",
        **changes.pop("payload", {}),
    }  # fmt: skip
    thread = [
        {"author": "us", "body": "Dear Ms Quarrowby, hello from Balthasar", "at": datetime(2031, 3, 1, tzinfo=UTC)}
    ]
    made: dict[str, Any] = {
        "job_id": number, "workspace": "acme", "payload": payload, "accepted_at": AT, "thread": thread,
        "outcome": "drafted_for_review", "code": "scheduling", "draft": "Hello Zelinda,\n\nTuesday 10:30 it is.\n\nKind regards",
        "drafted_at": AT, **changes,
    }  # fmt: skip
    return RecordedLead(**made)


def frozen(*leads: RecordedLead) -> tuple[Manifest, list[str]]:
    return freeze(
        leads, manifest_id="m", client_id="acme", team=Team("Europe/Berlin", ["https://acme.example/book"]), at=AT
    )


def test_nothing_of_a_person_is_left_anywhere_in_the_manifest() -> None:
    manifest, warnings = frozen(a_lead())
    text = json.dumps(as_json(manifest), ensure_ascii=False).lower()
    assert [planted for planted in PLANTED if planted.lower() in text] == []
    assert warnings == []
    case = manifest.cases[0]
    assert (case.inbound.from_name, case.inbound.from_address) == ("Lead 1", "lead1@example.com")
    assert case.reference_draft is not None
    assert case.reference_draft.startswith("Hello Lead 1,")
    assert case.allowed_links[0] == "https://acme.example/book"


def test_dates_times_and_what_the_message_asks_for_stay() -> None:
    case = frozen(a_lead())[0].cases[0]
    assert "2031-03-04 at 10:30" in case.inbound.body
    assert case.offered_slots[0].label == "Tuesday 10:30 with Lead 1"
    assert phone_in(case.inbound.body) is not None, "a masked number is still a number"
    assert classify(case.message()).message_class == classify(a_message()).message_class


@pytest.mark.parametrize(
    "text",
    [
        "See you on 12.02.2031 10:30, or 2031-02-12, or 2/12/2031.",
        "Twelve seats cost 1200 EUR, that is 100 per seat.",
        "Will you be there on Monday, May 5th? Hello there, thank you all.",
        "I am interested. This is great. Best, and talk to you on Tuesday at 3 pm.",
        "Thank you\n\nTuesday works.",
    ],
)
def test_ordinary_words_stay(text: str) -> None:
    masker = Masker()
    masker.lead("x", name="Will May", address="w.may@example.test")
    assert masker.text(text) == text


def test_the_same_person_has_one_name_and_two_have_two() -> None:
    manifest, _ = frozen(
        a_lead(1),
        a_lead(2),
        a_lead(
            3,
            payload={
                "from_address": "anton.brackenfield@example.test",
                "from_name": "Anton Brackenfield",
                "body": "Hi",
            },
        ),
        a_lead(
            4,
            payload={"from_address": "+491719988776", "from_name": None, "channel": "sms", "body": "hi", "subject": ""},
        ),
    )
    named = [(case.inbound.from_name, case.inbound.from_address) for case in manifest.cases]
    assert named[0] == named[1]
    assert len(set(named)) == 3
    assert named[3][1] is not None
    assert named[3][1].startswith("+1555")
    assert frozen(a_lead(1), a_lead(2))[0] == frozen(a_lead(1), a_lead(2))[0]


@pytest.mark.parametrize(
    ("outcome", "draft", "action"),
    [
        ("drafted_for_review", "Hello", "draft"),
        ("sent", "Hello", "draft"),
        ("skipped", None, "skip"),
        ("skipped", "Hello", "draft"),
        ("needs_action", None, "skip"),
        ("failed", None, "draft"),
        (None, None, "draft"),
    ],
)
def test_what_was_done_then_is_expected_now(outcome: str | None, draft: str | None, action: str) -> None:
    lead = a_lead(outcome=outcome, draft=draft, payload={"body": "What does it cost?", "phone": None})
    assert frozen(lead)[0].cases[0].expected.action == action


def test_a_case_is_as_of_its_draft_and_holds_nothing_later() -> None:
    later = [{"author": "us", "body": "later", "at": datetime(2031, 3, 9, tzinfo=UTC)}]
    case = frozen(a_lead(thread=later, drafted_at=datetime(2031, 3, 3, 8, 5, tzinfo=UTC)))[0].cases[0]
    assert case.thread == []
    assert case.reference_now == datetime(2031, 3, 3, 8, 5, tzinfo=UTC)
    assert case.inbound.sent_at == AT


def test_a_message_that_cannot_be_read_is_left_out_and_named() -> None:
    manifest, warnings = frozen(a_lead(payload={"channel": "NO CHANNEL"}), a_lead(2))
    assert [case.case_id for case in manifest.cases] == ["job-2"]
    assert "job 1" in warnings[0]


def a_message() -> Any:
    from queue_pipeline.leads.inbound_lead import InboundLead

    return InboundLead.model_validate(a_lead().payload)
