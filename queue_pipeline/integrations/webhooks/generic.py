"""Our own shape, for whoever can choose theirs: a lead's message, or word that a message was sent.

{workspace, event_id, channel, from_address, from_name, subject, body, received_at, thread_id, offered_slots,
allowed_links, phone, timezone, campaign, automatic}; with `event: message_sent` instead {workspace, provider, account,
message_id, idempotency_key, channel, to, body, sent_at, thread_id, author}.
"""

import re
from typing import Any

from queue_pipeline.domain.errors import InvalidInput
from queue_pipeline.engine.evidence import Observation
from queue_pipeline.engine.inbound import Delivery
from queue_pipeline.integrations.mail import storable
from queue_pipeline.integrations.webhook_fields import Fields
from queue_pipeline.integrations.webhook_mapping import (
    WebhookEvent,
    account_name,
    channel_name,
    required_workspace,
)

NAME = "generic"
RECEIVED, SENT = "message_received", "message_sent"
_SENT_FIELDS = frozenset({
    "provider", "account", "message_id", "idempotency_key", "channel", "to", "body", "sent_at", "thread_id", "author",
})  # fmt: skip
_AUTHORS = ("automation", "person", "campaign", "unknown")
_KEY = re.compile(r"[0-9a-f]{64}")


def read(body: dict[str, Any], workspace: str | None) -> WebhookEvent:
    """The body as an event. Raises InvalidInput naming the field."""
    content = _storable(body)
    event = content.pop("event", RECEIVED)
    if event not in (RECEIVED, SENT):
        raise InvalidInput("event", event, f"Use {RECEIVED} (or leave it out) or {SENT}.")
    chosen = _workspace(content.pop("workspace", None), workspace)
    return _received(content, chosen) if event == RECEIVED else _sent(content, chosen)


def _received(content: dict[str, Any], workspace: str) -> Delivery:
    for name in ("provider", "provider_event_id"):
        if name in content:
            raise InvalidInput(name, content[name], "Leave it out; `event_id` is your own id of this event.")
    event_id = Fields(content).text("event_id")
    content.pop("event_id", None)
    payload = {"provider": NAME, **content}
    if event_id is not None:
        payload["provider_event_id"] = event_id
    return Delivery(workspace=workspace, provider=NAME, payload=payload, dedupe_key=event_id)


def _sent(content: dict[str, Any], workspace: str) -> Observation:
    unknown = sorted(set(content) - _SENT_FIELDS)
    if unknown:
        raise InvalidInput(unknown[0], content[unknown[0]], f"A {SENT} has {', '.join(sorted(_SENT_FIELDS))}.")
    fields = Fields(content)
    message_id = fields.identifier("message_id")
    if message_id is None:
        raise InvalidInput("message_id", content.get("message_id"), "Give the id under which the provider knows it.")
    key = fields.text("idempotency_key")
    if key is not None and not _KEY.fullmatch(key):
        raise InvalidInput("idempotency_key", key, "Give the Idempotency-Key that the message was sent with.")
    author = content.get("author", "automation")
    if author not in _AUTHORS:
        raise InvalidInput("author", author, f"Use {', '.join(_AUTHORS)}.")
    sent_at = fields.moment("sent_at")
    if sent_at is None and content.get("sent_at") is not None:
        raise InvalidInput("sent_at", content["sent_at"], "Give a time such as 2031-03-04T10:00:00Z.")
    return Observation(
        provider=(fields.line("provider") or "http")[:100],
        account=account_name(fields.line("account")),
        provider_message_id=message_id,
        author=author,
        workspace=workspace,
        channel=channel_name(fields.text("channel"), "email"),
        recipient=fields.address("to"),
        body=fields.body(("body",), ()) or None,
        thread_id=fields.identifier("thread_id"),
        idempotency_key=key,
        sent_at=sent_at,
    )


def _workspace(in_body: Any, in_address: str | None) -> str:
    if in_body is None:
        if in_address is None:
            raise InvalidInput("workspace", None, "Name it in the body.")
        return required_workspace(in_address)
    if not isinstance(in_body, str):
        raise InvalidInput("workspace", in_body, "Use 1 to 200 characters of text.")
    if in_address is not None and in_address != in_body:
        raise InvalidInput("workspace", in_body, f"The address names another one, {in_address!r}; name it once.")
    return required_workspace(in_body)


def _storable(value: Any) -> Any:
    """The same value with NUL and lone surrogates replaced: half an emoji must not cost a lead."""
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, list):
        return [_storable(inner) for inner in value]
    if isinstance(value, dict):
        return {storable(name): _storable(inner) for name, inner in value.items()}
    return value
