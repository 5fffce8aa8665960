"""A message to a customer: its states, what an answer of a provider means for it, and what to do about doubt.

The rule behind all of it: a message whose attempt may have been accepted is never simply tried again.
"""

import hashlib
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from queue_pipeline.domain.limits import Limits


class OutboundState(StrEnum):
    """Where a message stands. SENT, REJECTED and CANCELLED are final."""

    READY = "READY"
    SENDING = "SENDING"
    SENT = "SENT"
    REJECTED = "REJECTED"
    UNKNOWN = "UNKNOWN"
    NEEDS_HUMAN = "NEEDS_HUMAN"
    CANCELLED = "CANCELLED"


_S = OutboundState

MOVES: Mapping[OutboundState, frozenset[OutboundState]] = {
    _S.READY: frozenset({_S.SENDING, _S.SENT, _S.NEEDS_HUMAN, _S.CANCELLED}),
    _S.SENDING: frozenset({_S.SENT, _S.REJECTED, _S.READY, _S.UNKNOWN}),
    _S.UNKNOWN: frozenset({_S.SENT, _S.READY, _S.SENDING, _S.NEEDS_HUMAN}),
    _S.NEEDS_HUMAN: frozenset({_S.SENT, _S.READY, _S.CANCELLED}),
    _S.SENT: frozenset(),
    _S.REJECTED: frozenset(),
    _S.CANCELLED: frozenset(),
}


class SendOutcome(StrEnum):
    """What one attempt came to, as far as the sender can know."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    NOT_SENT = "not_sent"
    AMBIGUOUS = "ambiguous"


class LookupBy(StrEnum):
    """How a provider can be asked whether it has a message."""

    NONE = "none"
    KEY = "by_key"


@dataclass(frozen=True)
class Capabilities:
    """What a provider declares. Nothing is assumed that is not declared.

    `idempotency_seconds`: how long it remembers an idempotency key (0: it has none).
    `lookup`: whether its answer "there is no such message" can be relied on, once `settle_seconds` have passed since
    the last attempt's deadline.
    `echo`: whether it reports messages by webhook, so that waiting may bring evidence.
    """

    idempotency_seconds: float = 0.0
    lookup: LookupBy = LookupBy.NONE
    settle_seconds: float = 120.0
    echo: bool = False


class Step(StrEnum):
    """What reconciliation does next with a message in doubt."""

    WAIT = "wait"
    LOOK_UP = "look_up"
    RETRY_SAME_KEY = "retry_same_key"
    ASK_HUMAN = "ask_human"


@dataclass(frozen=True)
class Doubt:
    """A message in UNKNOWN, in seconds by the database's clock.

    `since_deadline`: since the deadline of its last attempt (negative while a sender may still be alive).
    `unknown_for`: since it became UNKNOWN. `key_age`: since its first attempt.
    """

    since_deadline: float
    unknown_for: float
    key_age: float


#: An idempotency key is trusted for this part of its declared life; clocks and clean-ups are not exact.
KEY_LIFE_USED = 0.8
#: While sends are switched off, a doubt that only a retry could end is looked at again after this time.
_SWITCHED_OFF_WAIT_SECONDS = 60.0


def resolve(doubt: Doubt, capabilities: Capabilities, limits: Limits, *, may_send: bool = True) -> tuple[Step, float]:
    """What to do now, and in how many seconds to look again. Without `may_send` nothing is tried, only asked.

    A retry waits until no sender of the earlier attempt can be alive; a lookup until the provider's transit has
    settled, because "absent" said too early is the way to a duplicate.
    """
    if doubt.since_deadline < 0:
        return Step.WAIT, -doubt.since_deadline
    if doubt.unknown_for >= limits.send_human_seconds:
        return Step.ASK_HUMAN, 0.0
    knows_key = doubt.key_age < KEY_LIFE_USED * capabilities.idempotency_seconds
    if knows_key and may_send:
        return Step.RETRY_SAME_KEY, 0.0
    unsettled = capabilities.settle_seconds - doubt.since_deadline
    if unsettled > 0 and (capabilities.lookup is LookupBy.KEY or (capabilities.echo and not knows_key)):
        return Step.WAIT, unsettled
    if capabilities.lookup is LookupBy.KEY:
        return Step.LOOK_UP, 0.0
    return (Step.WAIT, _SWITCHED_OFF_WAIT_SECONDS) if knows_key else (Step.ASK_HUMAN, 0.0)


def after_attempt(outcome: SendOutcome, *, in_doubt: bool) -> OutboundState:
    """The state that an attempt's outcome leads to.

    With an earlier attempt still in doubt, "not sent" and "rejected" speak for this attempt alone: the doubt stays.
    """
    if outcome is SendOutcome.ACCEPTED:
        return _S.SENT
    if outcome is SendOutcome.AMBIGUOUS or in_doubt:
        return _S.UNKNOWN
    return _S.REJECTED if outcome is SendOutcome.REJECTED else _S.READY


def retry_after(tries: int, asked_for: float | None, limits: Limits) -> float:
    """Seconds until a message that was not sent is tried again: doubling, or later if the provider asked for it."""
    doubling = limits.send_backoff_base_seconds * 2.0 ** min(max(1, tries) - 1, 20)
    return min(
        max(min(doubling, limits.send_backoff_max_seconds), asked_for or 0.0), limits.send_retry_after_max_seconds
    )


def normalised(text: str) -> str:
    """The text as the audit compares it: NFKC, lower case, every run of white space one blank."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def normalised_sha256(text: str) -> str:
    """SHA-256 of the normalised text, hexadecimal."""
    return hashlib.sha256(normalised(text).encode("utf-8", "surrogatepass")).hexdigest()


def idempotency_key(*, workspace: str, channel: str, account: str, trigger: str, purpose: str, part: int) -> str:
    """SHA-256 over the business key. Never over attempt, worker, clock or body, which differ between attempts."""
    business = "\x1f".join(("v1", workspace, channel, account, trigger, purpose, str(part)))
    return hashlib.sha256(business.encode()).hexdigest()
