"""GoHighLevel: the app webhooks InboundMessage and OutboundMessage, and a workflow's webhook action.

Shapes: marketplace.gohighlevel.com/docs/webhook/InboundMessage and …/OutboundMessage, whose own examples of an SMS
have no message id. A workflow sends the contact, `location`, `workflow`, `message` and the action's `customData`.
"""

from dataclasses import replace
from typing import Any

from queue_pipeline.integrations.webhook_fields import Fields
from queue_pipeline.integrations.webhook_mapping import (
    Ignored,
    LeadPaths,
    SentPaths,
    WebhookEvent,
    channel_name,
    lead_message,
    required_event,
    required_workspace,
    sent_message,
    synthetic_key,
)

NAME = "gohighlevel"
INBOUND, OUTBOUND = "InboundMessage", "OutboundMessage"
_CHANNELS = {
    "2": "sms", "type_sms": "sms", "sms": "sms", "3": "email", "type_email": "email", "email": "email",
    "19": "whatsapp", "type_whatsapp": "whatsapp", "fb": "facebook", "ig": "instagram", "gmb": "google_business",
}  # fmt: skip
_WITHOUT_TEXT = frozenset({"1", "call", "type_call", "voicemail", "type_voicemail"})
_CAMPAIGN_SOURCES = frozenset({"workflow", "campaign", "campaigns", "bulk_actions"})
_NOT_DELIVERED = frozenset({"failed", "undelivered"})
_CHANNEL = ("messageType", "messageTypeString", "customData.messageType", "message.type", "messageTypeId")
_ACCOUNT = ("locationId", "location.id", "customData.locationId")

_MESSAGE = LeadPaths(
    event_id=("messageId",),
    address=("from", "phone", "customData.phone"),
    text=("body", "message", "message.body", "customData.body"),
    html=("html",),
    subject=("subject",),
    received_at=("dateAdded", "timestamp"),
    thread_id=("conversationId",),
)
_WORKFLOW = LeadPaths(
    event_id=("customData.messageId", "message.id"),
    address=("phone", "contact.phone", "customData.phone"),
    text=("message.body", "customData.body", "customData.messageBody", "customData.message"),
    name=("full_name", "contact.name"),
    given_name=("first_name",),
    family_name=("last_name",),
    received_at=("customData.dateAdded", "customData.receivedAt"),
    thread_id=("customData.conversationId",),
    phone=("phone", "contact.phone"),
    timezone=("timezone",),
    campaign=("workflow.name",),
)
_SENT = SentPaths(
    message_id=("messageId",),
    recipient=("to", "emailTo", "email", "phone"),
    text=("body", "message"),
    html=("html",),
    sent_at=("dateAdded",),
    thread_id=("conversationId",),
)


def read(body: dict[str, Any], workspace: str | None) -> WebhookEvent:
    """The body as an event. Raises InvalidInput naming the field."""
    chosen = required_workspace(workspace)
    fields = Fields(body).within("data") if "body" not in body else Fields(body)
    event = Fields(body).line("type", "customData.type")
    if event == OUTBOUND:
        return _sent(_as_html(fields), chosen)
    if event == INBOUND and fields.text("workflow.id") is None:
        return _received(_as_html(fields), _MESSAGE, chosen)
    if event is None or event == INBOUND:
        required_event(fields, "type", "contact_id", "customData.contactId", "customData.type", provider="GoHighLevel")
        return _received(fields, _WORKFLOW, chosen)
    return Ignored(f"{event} is neither {INBOUND} nor {OUTBOUND}")


def _received(fields: Fields, paths: LeadPaths, workspace: str) -> WebhookEvent:
    kind = (fields.line(*_CHANNEL) or "sms").lower()
    if kind in _WITHOUT_TEXT and not fields.body(paths.text, paths.html):
        return Ignored("a call has no text to answer")
    channel = _CHANNELS.get(kind) or channel_name(kind.removeprefix("type_"), "sms")
    if channel == "email":
        paths = replace(paths, address=("emailFrom", "from", "email", "contact.email"))
    return lead_message(
        fields,
        paths,
        provider=NAME,
        workspace=workspace,
        account=fields.line(*_ACCOUNT),
        channel=channel,
        key=_synthetic,
    )


def _sent(fields: Fields, workspace: str) -> WebhookEvent:
    kind = (fields.line(*_CHANNEL) or "sms").lower()
    if kind in _WITHOUT_TEXT:
        return Ignored("a call is no message")
    if (fields.line("status") or "").lower() in _NOT_DELIVERED:
        return Ignored("the message did not leave")
    return sent_message(
        fields,
        _SENT,
        provider=NAME,
        workspace=workspace,
        account=fields.line(*_ACCOUNT),
        channel=_CHANNELS.get(kind) or channel_name(kind.removeprefix("type_"), "sms"),
        kind="message",
        author=_author(fields),
    )


def _author(fields: Fields) -> str:
    source = (fields.line("source") or "").lower()
    if source in _CAMPAIGN_SOURCES:
        return "campaign"
    return "person" if source == "app" or (fields.text("userId") is not None and source != "api") else "unknown"


def _synthetic(fields: Fields, workspace: str, _: str | None, body: str) -> str:
    """Times keep two equal texts apart: a workflow must send the message's date and time as custom data."""
    return synthetic_key(
        "ghl_sms",
        workspace,
        fields.text("contactId", "contact_id", "customData.contactId"),
        fields.text("workflow.id", "conversationId"),
        fields.text("dateAdded", "date_created"),
        fields.text("customData.customDate", "customData.date"),
        fields.text("customData.customTime", "customData.time"),
        body=body,
    )


def _as_html(fields: Fields) -> Fields:
    """An e-mail's `body` may be HTML; `contentType` says so."""
    body = fields.text("body")
    if body is None or "html" not in (fields.line("contentType") or "").lower():
        return fields
    return fields.changed(body=None, html=body)
