"""EmailBison, and instances of it under other names: replies of leads, mail that people or campaigns sent.

Shapes: docs.emailbison.com/webhooks/when-are-webhooks-triggered and the sample payloads that an instance shows under
Settings, Webhooks: `{event: {type, workspace_id, …}, data: {reply, lead, campaign, scheduled_email, sender_email}}`.
"""

from collections.abc import Callable
from typing import Any

from queue_pipeline.integrations.webhook_fields import Fields
from queue_pipeline.integrations.webhook_mapping import (
    Ignored,
    LeadPaths,
    SentPaths,
    WebhookEvent,
    lead_message,
    required_event,
    required_workspace,
    sent_message,
)

NAME = "emailbison"
REPLIES = frozenset({"LEAD_REPLIED", "UNTRACKED_REPLY_RECEIVED"})
MANUAL, CAMPAIGN = "MANUAL_EMAIL_SENT", "EMAIL_SENT"

_REPLY = LeadPaths(
    event_id=("reply.id", "reply.uuid"),
    address=("reply.from_email_address", "lead.email"),
    name=("reply.from_name",),
    given_name=("lead.first_name",),
    family_name=("lead.last_name",),
    subject=("reply.email_subject",),
    text=("reply.text_body",),
    html=("reply.html_body",),
    received_at=("reply.date_received", "reply.created_at"),
    thread_id=("reply.raw_message_id", "reply.parent_id"),
    campaign=("campaign.name",),
    automatic=("reply.automated_reply",),
)
_MANUAL = SentPaths(
    message_id=("reply.id", "reply.uuid"),
    recipient=("reply.primary_to_email_address", "reply.to.0.address", "lead.email"),
    text=("reply.text_body",),
    html=("reply.html_body",),
    sent_at=("reply.date_received", "reply.created_at"),
    thread_id=("reply.raw_message_id", "reply.parent_id"),
)
_CAMPAIGN = SentPaths(
    message_id=("scheduled_email.id",),
    recipient=("lead.email",),
    text=(),
    html=("scheduled_email.email_body",),
    sent_at=("scheduled_email.sent_at", "campaign_event.created_at"),
    thread_id=("scheduled_email.raw_message_id",),
)


def reader(provider: str) -> Callable[[dict[str, Any], str | None], WebhookEvent]:
    """The mapping under an instance's own name."""

    def read(body: dict[str, Any], workspace: str | None) -> WebhookEvent:
        """The body as an event. Raises InvalidInput naming the field."""
        chosen = required_workspace(workspace)
        # Automation tools between the instance and us wrap what they pass on.
        outer = Fields(body) if "event" in body else Fields(body).within("data.payload", "payload", "data")
        event = required_event(outer, "event.type", "event", provider=provider).upper().replace(" ", "_")
        account, fields = outer.line("event.workspace_id"), outer.within("data")
        if event in REPLIES:
            return lead_message(fields, _REPLY, provider=provider, workspace=chosen, account=account, channel="email")
        if event not in (MANUAL, CAMPAIGN):
            return Ignored(f"{event} is neither a reply nor a message that was sent")
        manual = event == MANUAL
        return sent_message(
            fields,
            _MANUAL if manual else _CAMPAIGN,
            provider=provider,
            workspace=chosen,
            account=account,
            channel="email",
            kind="reply" if manual else "campaign_scheduled",
            author="person" if manual else "campaign",
        )

    return read


read = reader(NAME)
