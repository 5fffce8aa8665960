"""Every recorded body of every provider becomes what it should: a lead's job, evidence of a send, or nothing, said why."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from queue_pipeline.http.app import create_app
from queue_pipeline.settings import Settings
from queue_pipeline.store.session import Database
from queue_pipeline_tests.http.conftest import served
from queue_pipeline_tests.http.webhook_calls import PAYLOADS, count, deliver, payload_of, rows

#: What the payload of the lead's job must hold; None: the field is absent or empty.
LEADS: dict[str, dict[str, Any]] = {
    "generic/normal": {
        "provider": "generic", "provider_event_id": "evt-1001", "channel": "email",
        "from_address": "ada.okafor@example.com", "from_name": "Ada Okafor", "thread_id": "thread-77",
        "body": "Thursday at 10:00 works for me.\nCan you send the link?", "phone": "+1 202 555 0134",
        "timezone": "Europe/Berlin", "allowed_links": ["https://calendar.example.com/acme/intro"],
        "received_at": "2031-03-04T10:15:00+01:00",
    },
    "generic/without_id": {"provider_event_id": None, "subject": "Re: a short call"},
    "generic/emoji": {"from_name": "Zoë Müller-Ñandú", "body": "Super 👍🏽 \u2013 bis Donnerstag! 日本語もOKです"},
    "generic/minimal": {"body": "Please call me back.", "from_address": None, "channel": "email"},
    "gohighlevel/inbound_sms": {
        "provider": "gohighlevel", "provider_event_id": "MSGada000000000000001", "channel": "sms",
        "from_address": "+12025550134", "body": "Yes, what times do you have on Friday?",
        "received_at": "2031-03-04T09:31:45.750000Z", "thread_id": "CNVada000000000000001", "automatic": False,
    },
    "gohighlevel/inbound_sms_without_id": {"provider_event_id": None, "from_address": "+12025550134"},
    "gohighlevel/inbound_sms_emoji": {"body": "Friday 👍 ¿a las 10? Ça me va ✅"},
    "gohighlevel/inbound_email_html": {
        "channel": "email", "from_address": "ada.okafor@example.com", "subject": "Re: your offer",
        "body": "Dear team,\ndoes 10\u00a0am & Friday suit?",
    },
    "gohighlevel/inbound_minimal": {"channel": "sms", "from_address": None, "received_at": None},
    "gohighlevel/workflow": {
        "channel": "sms", "from_address": "+12025550134", "from_name": "Ada Okafor", "phone": "+12025550134",
        "timezone": "America/New_York", "campaign": "Reply to the queue", "body": "Can someone ring me after 3?",
    },
    "gohighlevel/workflow_minimal": {"channel": "sms", "from_address": "+12025550134", "timezone": None},
    "emailbison/lead_replied": {
        "provider": "emailbison", "provider_event_id": "90210", "channel": "email", "from_name": "Ada Okafor",
        "from_address": "ada.okafor@example.com", "subject": "Re: Quick question", "campaign": "Spring outreach",
        "thread_id": "<CAF1@mail.example.com>", "automatic": False,
        "body": "Sounds good, Thursday works.\n\nOn Mon, 3 Mar 2031 Ben Carter wrote:\n> Quick question",
    },
    "emailbison/lead_replied_html": {"body": "Hi Ben,\nno budget until next quarter — sorry!"},
    "emailbison/lead_replied_automatic": {"automatic": True, "subject": "Automatic reply: Quick question"},
    "emailbison/lead_replied_emoji": {"from_name": "Zoë Müller", "body": "Klingt gut 🚀 \u2013 passt „Donnerstag“?"},
    "emailbison/lead_replied_without_id": {"provider_event_id": None, "from_address": "ada.okafor@example.com"},
    "emailbison/untracked_reply_minimal": {"from_address": "cleo@example.com", "body": "Who is this?", "campaign": None},
    "inboxxia/lead_replied": {"provider": "inboxxia", "provider_event_id": "90210", "campaign": "Spring outreach"},
    "inboxxia/lead_replied_html": {"body": "Please\nunsubscribe me 🙏"},
    "inboxxia/lead_replied_without_id": {"provider_event_id": None},
    "inboxxia/lead_replied_minimal": {"from_address": "cleo@example.com", "body": "Yes.", "subject": None},
    "unipile/message_received": {
        "provider": "unipile", "provider_event_id": "UMSGada0000000000001", "channel": "linkedin",
        "from_address": "acoaaadaokafor01", "from_name": "Ada Okafor", "thread_id": "CHTada00000000000001",
        "body": "Thanks for reaching out! Tuesday afternoon?", "phone": None,
    },
    "unipile/message_without_id": {"provider_event_id": None, "channel": "linkedin"},
    "unipile/message_emoji": {"body": "Perfekt 🎉 — «à mardi» 😀"},
    "unipile/message_whatsapp": {"channel": "whatsapp", "from_address": "+12025550134", "phone": "+12025550134"},
    "unipile/message_minimal": {"channel": "chat", "from_address": None, "body": "Hello?"},
}  # fmt: skip

#: provider, account, id, kind, author, channel, recipient of the evidence.
SENT: dict[str, tuple[str, ...]] = {
    "generic/sent": ("http", "default", "prov-9", "message", "automation", "email", "ada.okafor@example.com"),
    "gohighlevel/outbound_person": (
        "gohighlevel", "LOCacme00000000000001", "MSGout000000000000001", "message", "person", "sms", "+12025550134",
    ),
    "gohighlevel/outbound_workflow": (
        "gohighlevel", "LOCacme00000000000001", "MSGout000000000000002", "message", "campaign", "sms", "+12025550134",
    ),
    "emailbison/manual_email_sent": ("emailbison", "7", "90300", "reply", "person", "email", "ada.okafor@example.com"),
    "inboxxia/email_sent": (
        "inboxxia", "9", "88002", "campaign_scheduled", "campaign", "email", "ada.okafor@example.com",
    ),
    "unipile/own_message": (
        "unipile", "ACCacme0000000000001", "UMSGben0000000000001", "message", "person", "linkedin", "acoaaadaokafor01",
    ),
    "unipile/own_message_by_identity": (
        "unipile", "ACCacme0000000000001", "UMSGben0000000000002", "message", "person", "linkedin", "acoaaadaokafor01",
    ),
}  # fmt: skip

IGNORED = {
    "gohighlevel/call": "a call has no text",
    "gohighlevel/outbound_failed": "did not leave",
    "emailbison/email_opened": "EMAIL_OPENED is neither",
    "inboxxia/email_account_added": "EMAIL_ACCOUNT_ADDED is neither",
    "unipile/message_read": "message_read is not message_received",
}


@pytest.fixture
def ingress(settings: Settings, db: Database) -> Iterator[httpx.Client]:
    with served(create_app(settings, db)) as client:
        yield client


def test_every_recorded_body_is_expected_to_become_something() -> None:
    recorded = {str(path.relative_to(PAYLOADS).with_suffix("")) for path in PAYLOADS.rglob("*.json")}
    assert recorded == set(LEADS) | set(SENT) | set(IGNORED)


def test_a_leads_message_becomes_a_job_once(ingress: httpx.Client, db: Database) -> None:
    for place, (name, expected) in enumerate(LEADS.items(), 1):
        first, again = deliver(ingress, name), deliver(ingress, name)
        assert first.status_code == 202, f"{name}: {first.text}"
        told = first.json()
        assert told["accepted"], name
        payload = payload_of(db, told["job_id"])
        assert {field: payload.get(field) or None for field in expected if expected[field] is None} == {
            field: None for field in expected if expected[field] is None
        }, name
        assert {field: payload[field] for field in expected if expected[field] is not None} == {
            field: value for field, value in expected.items() if value is not None
        }, name
        assert again.status_code == 200, name
        assert again.json() == {
            "duplicate": True, "job_id": told["job_id"], "inbound_event_id": told["inbound_event_id"],
        }, name  # fmt: skip
        assert (count(db, "job"), count(db, "inbound_event"), count(db, "inbound_conflict")) == (place, place, 0), name


def test_offered_slots_reach_the_job(ingress: httpx.Client, db: Database) -> None:
    payload = payload_of(db, deliver(ingress, "generic/normal").json()["job_id"])
    assert payload["offered_slots"] == [
        {
            "start": "2031-03-06T10:00:00+01:00",
            "end": "2031-03-06T10:30:00+01:00",
            "label": "Thursday 6 March, 10:00",
        }
    ]


def test_an_event_records_the_channel_the_thread_and_the_account(ingress: httpx.Client, db: Database) -> None:
    deliver(ingress, "unipile/message_received")
    (event,) = rows(db, "SELECT * FROM inbound_event")
    assert (event.workspace, event.provider, event.account) == ("acme", "unipile", "ACCacme0000000000001")
    assert (event.channel, event.thread_id, event.lead_address) == (
        "linkedin", "CHTada00000000000001", "acoaaadaokafor01",
    )  # fmt: skip
    assert event.provider_event_id == event.dedupe_key == "UMSGada0000000000001"


@pytest.mark.parametrize("name", SENT)
def test_a_message_that_was_sent_is_kept_as_evidence(ingress: httpx.Client, db: Database, name: str) -> None:
    first, again = deliver(ingress, name), deliver(ingress, name)
    assert (first.status_code, again.status_code) == (200, 200), first.text
    assert again.json() == {"observed": "known already"}
    (seen,) = rows(db, "SELECT * FROM provider_message")
    found = (
        seen.provider,
        seen.account,
        seen.provider_message_id,
        seen.kind,
        seen.author,
        seen.channel,
        seen.recipient,
    )
    assert found == SENT[name]
    assert (seen.direction, seen.observed_via, seen.workspace, seen.body) == ("outbound", "webhook", "acme", None)
    assert seen.body_norm_sha256
    assert count(db, "job") == 0


def test_what_is_neither_is_answered_with_the_reason(ingress: httpx.Client, db: Database) -> None:
    for name, why in IGNORED.items():
        answer = deliver(ingress, name)
        assert answer.status_code == 200, name
        assert why in answer.json()["ignored"]
    assert (count(db, "job"), count(db, "provider_message")) == (0, 0)
