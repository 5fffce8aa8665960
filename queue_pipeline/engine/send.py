"""Send a message to a customer: reserved under the job's claim, tried at most once at a time, never blindly again."""

import hashlib
import json
import re
from dataclasses import dataclass

from queue_pipeline.domain.claim import Claim
from queue_pipeline.domain.drill import WORKSPACE as DRILL_WORKSPACE
from queue_pipeline.domain.errors import InvalidInput
from queue_pipeline.domain.limits import Limits
from queue_pipeline.domain.outbound import OutboundState, idempotency_key, normalised_sha256
from queue_pipeline.engine.send_attempt import attempt
from queue_pipeline.engine.send_provider import OUTBOX, SendProvider, send_providers
from queue_pipeline.store import outbound
from queue_pipeline.store.outbound import Message
from queue_pipeline.store.session import Database


@dataclass(frozen=True)
class Sent:
    """A message in the outbound ledger as it stands.

    SENT: the provider has it. REJECTED: it refused for good. READY: it certainly has not left, and will be tried again.
    SENDING, UNKNOWN: it may have left; reconciliation finds out. NEEDS_HUMAN, CANCELLED: see `reason`. `repeated` is
    True when the message existed before this call.
    """

    outbound_message_id: int
    state: str
    repeated: bool
    reason: str | None = None


@dataclass(frozen=True)
class NewMessage:
    """A message to be sent. Its business key is (workspace, trigger, channel, purpose, part)."""

    channel: str
    to: str
    body: str
    purpose: str
    provider: str | None = None
    part: int = 0
    subject: str = ""
    trigger: str | None = None
    lead_id: int | None = None
    draft_id: int | None = None
    in_reply_to: str | None = None


def send_message(database: Database, claim: Claim, new: NewMessage, limits: Limits) -> Sent | None:
    """Reserve the message and try it once, both under the claim; None when the claim is gone.

    A message that exists is tried only if it is READY and its time has come. Raises InvalidInput, and
    DatabaseUnavailable when the reservation could not be written; then nothing was sent.
    """
    _check(new)
    staged = claim.workspace == DRILL_WORKSPACE  # what a drill sends reaches nobody
    provider = send_providers.get(OUTBOX if staged else new.provider, database)
    digest = payload_sha256(new)
    reserved = _reserve(database, claim, new, provider, digest)
    if reserved is None:
        return None
    message, repeated = reserved
    if message.payload_sha256 != digest:
        raise InvalidInput(
            "body",
            f"{len(new.body)} characters",
            f"Message {message.outbound_message_id} has this key with another content; build it in ctx.step.",
        )
    if message.state == OutboundState.READY and (message.attempt == 0 or not repeated):
        message = attempt(database, message, limits=limits, claim=claim) or _now(database, message)
    return Sent(message.outbound_message_id, message.state, repeated, message.reason)


def payload_sha256(new: NewMessage) -> str:
    """SHA-256 of all that the customer would see; frozen when the message is reserved."""
    shown = json.dumps([new.channel, new.to, new.subject, new.body, new.in_reply_to])
    return hashlib.sha256(shown.encode()).hexdigest()


def _reserve(
    database: Database, claim: Claim, new: NewMessage, provider: SendProvider, digest: str
) -> tuple[Message, bool] | None:
    trigger = new.trigger or f"job:{claim.job_id}"
    business = {"workspace": claim.workspace, "channel": new.channel, "purpose": new.purpose}
    key = idempotency_key(**business, account=provider.account, trigger=trigger, part=new.part)
    with database.begin() as tx:
        if not outbound.hold_claim(tx, job_id=claim.job_id, fence=claim.fence):
            return None
        created = outbound.reserve(
            tx,
            **business,
            job_id=claim.job_id,
            trigger_key=trigger,
            part_index=new.part,
            recipient=new.to,
            subject=new.subject,
            body=new.body,
            in_reply_to=new.in_reply_to,
            lead_id=new.lead_id,
            draft_id=new.draft_id,
            provider=provider.name,
            account=provider.account,
            idempotency_key=key,
            payload_sha256=digest,
            body_norm_sha256=normalised_sha256(new.body),
        )
        if created is not None:
            return created, False
        existing = outbound.find(tx, **business, trigger_key=trigger, part_index=new.part, idempotency_key=key)
    if existing is None:
        raise InvalidInput("draft_id", new.draft_id, "Another message of this draft and part exists already.")
    return existing, True


def _now(database: Database, message: Message) -> Message:
    with database.begin() as tx:
        return outbound.get(tx, message.outbound_message_id) or message


def _check(new: NewMessage) -> None:
    for field in ("channel", "to", "body", "purpose"):
        text = getattr(new, field)
        if not isinstance(text, str) or not text.strip():
            given = f"{len(text)} blanks" if isinstance(text, str) else type(text).__name__
            raise InvalidInput(field, given, "Give a text that is not empty.")
    for field in ("channel", "to", "body", "purpose", "subject", "trigger", "in_reply_to"):
        text = getattr(new, field) or ""
        if "\x00" in text or any("\ud800" <= letter <= "\udfff" for letter in text):
            raise InvalidInput(field, f"{len(text)} characters", "Remove NUL and lone surrogate characters.")
    for field in ("to", "subject", "in_reply_to"):
        if re.search(r"[\r\n]", getattr(new, field) or ""):
            raise InvalidInput(field, "a line break", "Give one line.")
    if new.part < 0:
        raise InvalidInput("part", new.part, "Count parts from 0.")
