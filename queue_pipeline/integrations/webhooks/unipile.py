"""Unipile: messages of LinkedIn, WhatsApp and other chats, received and sent by the linked account.

Shapes: developer.unipile.com/docs/new-messages-webhook. What the account's own user sends comes as `message_received`
too: `is_sender` says so, or `sender.attendee_provider_id` is `account_info.user_id`.
"""

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
)

NAME = "unipile"
RECEIVED = "message_received"
#: A WhatsApp id is no number any more; the number stands beside it.
_IDENTITY = ("attendee_specifics.phone_number", "attendee_provider_id", "attendee_id")

_MESSAGE = LeadPaths(
    event_id=("message_id",),
    address=tuple(f"sender.{path}" for path in _IDENTITY),
    name=("sender.attendee_name",),
    text=("message",),
    subject=("subject",),
    received_at=("timestamp",),
    thread_id=("chat_id",),
    phone=("sender.attendee_specifics.phone_number",),
)
_SENT = SentPaths(
    message_id=("message_id",),
    recipient=tuple(f"recipient.{path}" for path in _IDENTITY),
    text=("message",),
    sent_at=("timestamp",),
    thread_id=("chat_id",),
)


def read(body: dict[str, Any], workspace: str | None) -> WebhookEvent:
    """The body as an event. Raises InvalidInput naming the field."""
    chosen = required_workspace(workspace)
    fields = Fields(body)
    event = required_event(fields, "event", provider="Unipile")
    if event != RECEIVED:
        return Ignored(f"{event} is not {RECEIVED}")
    account, channel = fields.line("account_id"), channel_name(fields.line("account_type"), "chat")
    own = fields.identifier("account_info.user_id")
    if fields.flag("is_sender") or (own is not None and fields.identifier("sender.attendee_provider_id") == own):
        return sent_message(
            fields.changed(recipient=_recipient(fields, own)),
            _SENT,
            provider=NAME,
            workspace=chosen,
            account=account,
            channel=channel,
            kind="message",
            author="person",
        )
    return lead_message(fields, _MESSAGE, provider=NAME, workspace=chosen, account=account, channel=channel)


def _recipient(fields: Fields, own: str | None) -> dict[str, Any] | None:
    """The other person of a chat of two; nobody in particular in a group."""
    sender = fields.identifier("sender.attendee_provider_id")
    others = [
        attendee
        for attendee in fields.each("attendees")
        if attendee.identifier("attendee_provider_id") not in (None, own, sender)
    ]
    return others[0].all() if len(others) == 1 else None
