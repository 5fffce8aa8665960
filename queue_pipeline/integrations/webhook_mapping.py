"""What a mapping of a provider's webhook is made of: paths into its JSON, and a few rules for reading what is there.

A mapping turns a body into a lead's message, an observation of a message that was sent, or the reason why it is
neither. It is lenient about what a reply can do without, such as a name or a time zone, and never guesses the rest.
"""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any
from zoneinfo import available_timezones

from queue_pipeline.domain.errors import InvalidInput
from queue_pipeline.domain.outbound import normalised
from queue_pipeline.engine.evidence import Observation
from queue_pipeline.engine.inbound import Delivery
from queue_pipeline.integrations.mail import SUBJECT_MAX, storable
from queue_pipeline.integrations.webhook_fields import Fields, Paths

_CHANNEL = re.compile(r"[a-z][a-z0-9_]{0,39}")
_SPACES = re.compile(r"\s+")


@dataclass(frozen=True)
class Ignored:
    """A webhook that is neither a lead's message nor about one of ours, and why."""

    why: str


WebhookEvent = Delivery | Observation | Ignored


@dataclass(frozen=True)
class LeadPaths:
    """Where a provider keeps what a lead wrote. `text` outranks `html`."""

    event_id: Paths
    address: Paths
    text: Paths
    received_at: Paths
    html: Paths = ()
    name: Paths = ()
    given_name: Paths = ()
    family_name: Paths = ()
    subject: Paths = ()
    thread_id: Paths = ()
    phone: Paths = ()
    timezone: Paths = ()
    campaign: Paths = ()
    automatic: Paths = ()


@dataclass(frozen=True)
class SentPaths:
    """Where a provider keeps a message that it sent to a lead."""

    message_id: Paths
    recipient: Paths
    text: Paths
    sent_at: Paths
    html: Paths = ()
    thread_id: Paths = ()


#: Gives the key of a delivery without an event id: the fields, the workspace, the sender and the text.
SyntheticKey = Callable[[Fields, str, str | None, str], str]


def lead_message(
    fields: Fields,
    paths: LeadPaths,
    *,
    provider: str,
    workspace: str,
    account: str | None,
    channel: str,
    key: SyntheticKey | None = None,
) -> Delivery:
    """A lead's message. Raises InvalidInput when there is nothing that could be one."""
    address, body = fields.address(*paths.address), fields.body(paths.text, paths.html)
    event_id = fields.identifier(*paths.event_id)
    if event_id is None and address is None and not body:
        raise InvalidInput(
            paths.text[0], None, f"There is neither an id, a sender nor a text. Send {provider}'s own webhook body."
        )
    received_at = fields.moment(*paths.received_at)
    named = [part for part in (fields.line(*paths.given_name), fields.line(*paths.family_name)) if part]
    subject = _SPACES.sub(" ", fields.text(*paths.subject) or "")
    payload: dict[str, Any] = {
        "provider": provider,
        "provider_event_id": event_id,
        "channel": channel,
        "from_address": _fitting(address, channel),
        "from_name": fields.line(*paths.name) or " ".join(named) or None,
        "subject": subject[:SUBJECT_MAX],
        "body": body,
        "received_at": received_at.isoformat() if received_at else None,
        "automatic": fields.flag(*paths.automatic),
        "thread_id": fields.identifier(*paths.thread_id),
        "phone": (fields.line(*paths.phone) or "")[:50] or None,
        "timezone": _time_zone(fields.line(*paths.timezone)),
        "campaign": fields.line(*paths.campaign),
    }
    return Delivery(
        workspace=workspace,
        provider=provider,
        account=account_name(account),
        payload={name: value for name, value in payload.items() if value not in (None, "") or name == "body"},
        dedupe_key=event_id or (key or _plain_key(provider, received_at))(fields, workspace, address, body),
    )


def sent_message(
    fields: Fields,
    paths: SentPaths,
    *,
    provider: str,
    workspace: str,
    account: str | None,
    channel: str,
    kind: str,
    author: str,
) -> Observation | Ignored:
    """A message that the provider says it sent. One without an id is no evidence, since it cannot be told apart."""
    message_id = fields.identifier(*paths.message_id)
    if message_id is None:
        return Ignored("it names no id of the message, so it is no evidence of one")
    return Observation(
        provider=provider,
        account=account_name(account),
        provider_message_id=message_id,
        kind=kind,
        author=author,
        workspace=workspace,
        channel=channel,
        recipient=fields.address(*paths.recipient),
        body=fields.body(paths.text, paths.html),
        thread_id=fields.identifier(*paths.thread_id),
        sent_at=fields.moment(*paths.sent_at),
    )


def required_workspace(workspace: str | None) -> str:
    """The workspace that the URL names. Raises InvalidInput."""
    if workspace is None or not workspace.strip():
        raise InvalidInput("workspace", workspace, "Add it to the webhook's address: …?workspace=acme.")
    if len(workspace) > 200 or storable(workspace) != workspace:
        raise InvalidInput("workspace", workspace, "Use 1 to 200 characters of valid Unicode without NUL.")
    return workspace


def required_event(fields: Fields, *paths: str, provider: str) -> str:
    """What the body says has happened. Raises InvalidInput."""
    found = fields.line(*paths)
    if found is None:
        raise InvalidInput(paths[0], None, f"It says what has happened. Send {provider}'s own webhook body.")
    return found


def channel_name(name: str | None, default: str) -> str:
    """A provider's name of a channel as one of ours."""
    found = re.sub(r"[^a-z0-9]+", "_", (name or "").lower()).strip("_")[:40]
    return found if _CHANNEL.fullmatch(found) else default


def account_name(account: str | None) -> str:
    """The provider's account; `default` when it names none."""
    if account is None:
        return "default"
    return account if len(account.encode()) <= 200 else f"sha256:{hashlib.sha256(account.encode()).hexdigest()}"


def synthetic_key(prefix: str, *parts: str | None, body: str) -> str:
    """A key for a delivery without an id: the prefix and 32 digits of the SHA-256 over the parts and the text.

    The text is compared normalised, so that a second delivery with other white space is the same one.
    """
    text = "\x1f".join([*(part or "" for part in parts), normalised(body)])
    return f"{prefix}:{hashlib.sha256(text.encode()).hexdigest()[:32]}"


def _plain_key(provider: str, received_at: datetime | None) -> SyntheticKey:
    when = received_at.isoformat() if received_at else None

    def key(_: Fields, workspace: str, address: str | None, body: str) -> str:
        return synthetic_key(provider, workspace, address, when, body=body)

    return key


def _fitting(address: str | None, channel: str) -> str | None:
    """An e-mail channel's address has an @; anything else there is no address to answer."""
    return None if address is not None and channel == "email" and "@" not in address.strip("@") else address


def _time_zone(name: str | None) -> str | None:
    return name if name in _time_zones() else None


@cache
def _time_zones() -> frozenset[str]:
    return frozenset(available_timezones())
