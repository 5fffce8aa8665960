"""What a customer saw of it all, in one sentence."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from queue_pipeline.domain.duration import duration
from queue_pipeline.domain.lead_wait import MessageFacts


@dataclass(frozen=True)
class VisibleFacts:
    """What is on record about one inbound message. `waiting` names what waits for a person, and since when.

    `wrote_at` is when the message was accepted; None for jobs that nobody outside wrote for. `code` says why without
    naming anybody, `reason` in words.
    """

    now: datetime
    job_state: str
    wrote_at: datetime | None = None
    outcome: str | None = None
    code: str | None = None
    reason: str | None = None
    messages: Sequence[MessageFacts] = ()
    waiting: Sequence[tuple[str, datetime]] = ()
    answered_by_people: int = 0


@dataclass(frozen=True)
class VisibleResult:
    """The sentence, with ids and codes only; `said` is the reason in words."""

    sentence: str
    said: str = ""


def visible_result(facts: VisibleFacts) -> VisibleResult:
    """The customer-visible result; empty for a job that has nothing to do with a customer."""
    if facts.wrote_at is None and not facts.messages:
        return VisibleResult("")
    parts = [
        part for part in (_got(facts), *_on_their_way(facts), _by_people(facts), *_open(facts), _why(facts)) if part
    ]
    return VisibleResult("; ".join(parts), facts.reason or "")


def _got(facts: VisibleFacts) -> str:
    sent = [message for message in facts.messages if message.sent_at is not None]
    unsure = any(message.state in ("SENDING", "UNKNOWN", "NEEDS_HUMAN") for message in facts.messages)
    if not sent:
        return "" if unsure else "the customer has got nothing"
    what = "one message" if len(sent) == 1 else f"{len(sent)} messages"
    purposes = ", ".join(sorted({message.purpose for message in sent}))
    first = min(message.sent_at for message in sent if message.sent_at is not None)
    after = f" {duration((first - facts.wrote_at).total_seconds())} after writing" if facts.wrote_at else ""
    return f"the customer got {what} ({purposes}){after}"


def _on_their_way(facts: VisibleFacts) -> list[str]:
    said = {
        "READY": "message {} waits to be sent",
        "SENDING": "message {} is with its provider",
        "UNKNOWN": "whether message {} reached the customer is not known yet",
        "NEEDS_HUMAN": "whether message {} reached the customer must be found out by a person",
        "REJECTED": "message {} was refused by its provider",
        "CANCELLED": "message {} was not sent on purpose",
    }
    return [said[m.state].format(m.outbound_message_id) for m in facts.messages if m.state in said]


def _by_people(facts: VisibleFacts) -> str:
    count = facts.answered_by_people
    return f"people sent the customer {count} message{'' if count == 1 else 's'} themselves" if count else ""


def _open(facts: VisibleFacts) -> list[str]:
    return [
        f"{what} has waited for a person for {duration((facts.now - since).total_seconds())}"
        for what, since in facts.waiting
    ]


def _why(facts: VisibleFacts) -> str:
    code = f" ({facts.code})" if facts.code and facts.code != "unspecified" else ""
    match facts.outcome:
        case "skipped":
            return f"skipped on purpose{code}"
        case "failed":
            return f"failed{code}"
        case None if facts.wrote_at is not None:
            return f"its job is {facts.job_state}, without an outcome so far"
    return ""
