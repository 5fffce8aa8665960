"""One attempt to hand a message to its provider: written down, committed, tried once, and written down how it ended."""

import hashlib
import logging
import os
import re
import socket
import threading
import time
import traceback

from queue_pipeline.domain.claim import Claim
from queue_pipeline.domain.errors import DatabaseUnavailable, InvalidInput
from queue_pipeline.domain.flag import SENDS_ENABLED
from queue_pipeline.domain.limits import Limits
from queue_pipeline.domain.outbound import OutboundState, SendOutcome, after_attempt, normalised_sha256, retry_after
from queue_pipeline.engine import flags
from queue_pipeline.engine.send_provider import Parcel, ProviderReply, SendProvider, send_providers
from queue_pipeline.store import evidence, outbound
from queue_pipeline.store.outbound import Message
from queue_pipeline.store.session import Database, Tx

log = logging.getLogger(__name__)

REPLY = "reply"
_TRIGGER_OF_LEAD = re.compile(r"lead:(\d{1,18})")
_SENDER = f"{socket.gethostname()}:{os.getpid()}"
_GATE = "send gate"
_ERROR_MAX = 500
_RECORD_AGAIN_SECONDS = 0.5


def attempt(
    database: Database, message: Message, *, limits: Limits, claim: Claim | None = None, by: str = _SENDER
) -> Message | None:
    """Try a READY message, or one in UNKNOWN again with the same key; gives it as it stands then.

    The attempt is committed before the provider is called. None when the message, the claim or the flag has moved.
    """
    local_deadline = time.monotonic() + limits.send_deadline_seconds - limits.send_margin_seconds
    provider = carrier(database, message)
    parcel = _parcel(message)
    with database.begin() as tx:
        if claim is not None and not outbound.hold_claim(tx, job_id=claim.job_id, fence=claim.fence):
            return None
        held_back = _held_back(tx, message)
        if held_back is not None:
            return held_back
        begun = outbound.begin(
            tx,
            message,
            seconds=limits.send_deadline_seconds,
            sender=by,
            request_sha256=hashlib.sha256(repr(parcel).encode("utf-8", "surrogatepass")).hexdigest(),
            job_id=message.job_id if claim is None else claim.job_id,
            job_fence=None if claim is None else claim.fence,
        )
    if begun is None:
        return None
    reply = _call(provider, parcel, local_deadline)
    return _finish(database, begun, provider, reply, limits)


def carrier(database: Database, message: Message) -> SendProvider:
    """The provider that the message was reserved for. Raises InvalidInput when this process does not have it.

    Another account of the same provider knows nothing of the message's key: it would send it a second time.
    """
    provider = send_providers.get(message.provider, database)
    if provider.account != message.account:
        raise InvalidInput(
            "account",
            provider.account,
            f"Message {message.outbound_message_id} was reserved for another account of provider {provider.name}; "
            "configure that one until the message has ended, or cancel the message.",
        )
    return provider


def _held_back(tx: Tx, message: Message) -> Message | None:
    """The message as it stands when it may not be tried now: switched off, unwanted, or out of date."""
    if not flags.is_on(tx, SENDS_ENABLED, hold=True):
        if message.state == OutboundState.READY:
            outbound.hold_back(tx, message, reason=f"sends are switched off (flag {SENDS_ENABLED})")
        return outbound.get(tx, message.outbound_message_id)
    why = _unwanted(tx, message)
    if why is None:
        return None
    if message.state == OutboundState.READY:
        outbound.decide(tx, message, state="CANCELLED", reason=why, decided_by=_GATE)
    else:
        reason = f"it may have left, and is not tried again: {why}"
        outbound.decide(tx, message, state="NEEDS_HUMAN", reason=reason, decided_by=_GATE)
    return outbound.get(tx, message.outbound_message_id)


def _unwanted(tx: Tx, message: Message) -> str | None:
    if message.lead_id is not None and outbound.lead_opted_out(tx, message.lead_id):
        return "the lead asked not to be contacted"
    lead_trigger = _TRIGGER_OF_LEAD.fullmatch(message.trigger_key)
    if message.purpose == REPLY and lead_trigger is not None:
        return outbound.overtaken(tx, trigger_job_id=int(lead_trigger[1]))
    return None


def _call(provider: SendProvider, parcel: Parcel, local_deadline: float) -> ProviderReply:
    seconds = local_deadline - time.monotonic()
    if seconds <= 0:
        # This process stood still since the attempt was written; by now somebody may have drawn conclusions.
        return ProviderReply(SendOutcome.NOT_SENT, error_class="late", error="the deadline had passed before the call")
    try:
        return provider.send(parcel, seconds=seconds)
    except Exception as error:  # noqa: BLE001 - whatever an adapter raises, the message may have left
        log.error("provider %s failed in an unforeseen way: %s", provider.name, where_it_failed(error))  # noqa: TRY400
        return ProviderReply(SendOutcome.AMBIGUOUS, error_class=type(error).__name__, error="the adapter raised")


def where_it_failed(error: BaseException) -> str:
    """An error's class and its places in the code, without its words, which may hold a recipient or a text."""
    return f"{type(error).__name__}\n{''.join(traceback.format_tb(error.__traceback__))}"


def _finish(
    database: Database, message: Message, provider: SendProvider, reply: ProviderReply, limits: Limits
) -> Message | None:
    """Write down how the attempt ended. A database that is away for a moment must not cost the provider's answer."""
    until = time.monotonic() + limits.send_record_seconds
    while True:
        try:
            with database.begin() as tx:
                return _record(tx, message, provider, reply, limits)
        except DatabaseUnavailable:
            if time.monotonic() >= until:
                raise
            threading.Event().wait(_RECORD_AGAIN_SECONDS)


def _record(tx: Tx, message: Message, provider: SendProvider, reply: ProviderReply, limits: Limits) -> Message | None:
    state = after_attempt(reply.outcome, in_doubt=message.in_doubt)
    number, epoch = message.outbound_message_id, message.epoch
    # The message is locked first, as everybody does who moves it; reconciliation may be at it in this moment.
    held = outbound.finish(
        tx,
        outbound_message_id=number,
        epoch=epoch,
        state=state,
        reason=None if state is OutboundState.SENT else _reason(reply),
        wait=_wait(message, provider, reply, state, limits),
    )
    outbound.end_attempt(
        tx,
        outbound_message_id=number,
        epoch=epoch,
        outcome=reply.outcome,
        error_class=reply.error_class,
        error=None if reply.error is None else reply.error[:_ERROR_MAX],
        http_status=reply.http_status,
        provider_message_id=reply.provider_message_id,
    )
    if reply.outcome is SendOutcome.ACCEPTED:
        keep_acceptance(tx, message, reply.provider_message_id or message.idempotency_key, via="response")
        if not held:
            # Too late for this epoch, but true: whoever holds the message now must know that it is out.
            reason = "the provider's answer came late"
            evidence.adopt(tx, number, sent_at=None, reason=reason, decided_by="late answer")
    return outbound.get(tx, number)


def keep_acceptance(tx: Tx, message: Message, provider_message_id: str, *, via: str) -> None:
    """Write down that the provider has the message."""
    evidence.keep_evidence(
        tx,
        provider=message.provider,
        account=message.account,
        kind="message",
        provider_message_id=provider_message_id,
        outbound_message_id=message.outbound_message_id,
        direction="outbound",
        author="automation",
        workspace=message.workspace,
        channel=message.channel,
        recipient=message.recipient,
        thread_id=None,
        idempotency_key=message.idempotency_key,
        body_norm_sha256=normalised_sha256(message.body),
        body_length=len(message.body),
        epoch=message.epoch or None,
        observed_via=via,
        sent_at=None,
    )


def _reason(reply: ProviderReply) -> str:
    status = f"HTTP {reply.http_status}" if reply.http_status else reply.error_class or "no reason given"
    return f"{reply.outcome}: {status}{f': {reply.error}' if reply.error else ''}"[:_ERROR_MAX]


def _wait(
    message: Message, provider: SendProvider, reply: ProviderReply, state: OutboundState, limits: Limits
) -> float:
    """Seconds until reconciliation looks at the message again."""
    if state is OutboundState.READY:
        return retry_after(message.tries, reply.retry_after_seconds, limits)
    if state is OutboundState.UNKNOWN and provider.capabilities.idempotency_seconds:
        return retry_after(message.tries, reply.retry_after_seconds, limits)
    return 0.0


def _parcel(message: Message) -> Parcel:
    return Parcel(
        idempotency_key=message.idempotency_key,
        workspace=message.workspace,
        channel=message.channel,
        recipient=message.recipient,
        subject=message.subject,
        body=message.body,
        in_reply_to=message.in_reply_to,
    )
