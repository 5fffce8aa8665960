"""From a draft to a reply: what justifies it, what the gates say of it, and the one send that it may lead to."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from queue_pipeline import JobContext
from queue_pipeline.leads import phrases
from queue_pipeline.leads.gates.case import DraftCase, Inbound, Slot, Turn
from queue_pipeline.leads.gates.check import check_draft
from queue_pipeline.leads.inbound_lead import InboundLead, OfferedSlot
from queue_pipeline.leads.ports import LeadServices

#: A slot that the draft proposes was still to come when it was written, and is not any more.
SLOT_PASSED = "slot_passed"


@dataclass(frozen=True)
class Circumstances:
    """What a draft may rest on: the message, when it came, the instant of the judgement, and the earlier turns."""

    message: InboundLead
    came_at: datetime
    now: datetime
    thread: Sequence[Mapping[str, Any]]
    timezone: str
    allowed_links: Sequence[str]

    @property
    def open_slots(self) -> list[OfferedSlot]:
        """The offered slots that are still to come."""
        return [slot for slot in self.message.offered_slots if slot.start > self.now]


def circumstances(
    use: LeadServices, message: InboundLead, *, lead_id: int | None, job_id: int, came_at: datetime, now: datetime
) -> Circumstances:
    """What the drafter and the gates may know of a message and its lead."""
    return Circumstances(
        message=message,
        came_at=message.received_at or came_at,
        now=now,
        thread=[] if lead_id is None else use.book.thread(lead_id=lead_id, before_job_id=job_id),
        timezone=message.timezone or use.timezone,
        allowed_links=[*use.allowed_links, *message.allowed_links],
    )


def findings_in(draft: str, of: Circumstances, use: LeadServices, *, drafted_at: datetime) -> list[dict[str, Any]]:
    """What is wrong with a draft at `of.now`, as JSON values. An empty list means that nothing was found."""
    case = DraftCase(
        case_id="draft",
        draft=draft,
        reference_now=of.now,
        timezone=of.timezone,
        host_timezone=use.timezone,
        channel=of.message.channel,
        inbound=Inbound(body=of.message.body, sent_at=of.came_at),
        thread=[Turn(author=turn["author"], body=turn["body"], sent_at=turn["at"]) for turn in of.thread],
        offered_slots=[Slot(start=slot.start, end=slot.end, label=slot.label) for slot in of.open_slots],
        allowed_links=list(of.allowed_links),
    )
    found = [asdict(finding) for finding in check_draft(case)]
    return [*({**f, "readings": list(f["readings"]), "allowed": list(f["allowed"])} for f in found),
            *_passed_slots(draft, of, drafted_at)]  # fmt: skip


def _passed_slots(draft: str, of: Circumstances, drafted_at: datetime) -> list[dict[str, Any]]:
    passed = [slot for slot in of.message.offered_slots if drafted_at < slot.start <= of.now]
    text = " ".join(draft.split())
    if not passed or not (phrases.TIME.search(text.lower()) or any(_named(slot, text) for slot in passed)):
        return []
    why = "a time that was offered when the draft was written has passed since"
    return [{"code": SLOT_PASSED, "severity": "critical", "start": 0, "end": 0, "text": "", "why": why}]


def _named(slot: OfferedSlot, text: str) -> bool:
    return " ".join(slot.words().split()) in text


def codes_of(findings: Sequence[Mapping[str, Any]]) -> list[str]:
    """The codes of findings, each once, in order."""
    return list(dict.fromkeys(str(finding["code"]) for finding in findings))


def who(lead_id: int | None) -> str:
    """A lead as notices name it: they go to logs and to chat, and hold no names or addresses."""
    return f"lead {lead_id}" if lead_id is not None else "an unknown sender"


def send_reply(ctx: JobContext, use: LeadServices, draft: Mapping[str, Any], message: InboundLead) -> None:
    """Send a draft's text as the reply to its message, once whichever job gets here, and note how it stands.

    Raises InvalidInput when it cannot be sent as it is.
    """
    sent = ctx.send(
        channel=draft["channel"],
        to=draft["address"],
        subject=draft["subject"],
        body=draft["body"],
        purpose="reply",
        trigger=f"lead:{draft['job_id']}",
        lead_id=draft["lead_id"],
        draft_id=draft["draft_id"],
        in_reply_to=_handle(message),
    )
    state = _IN_WORDS[sent.state]
    because = f": {sent.reason}" if sent.reason and sent.state != "SENT" else ""
    use.book.settle(
        workspace=ctx.workspace,
        job_id=draft["job_id"],
        draft_id=draft["draft_id"],
        state=sent.state,
        reason=f"the reply {state} (message {sent.outbound_message_id}){because}",
        notice=f"{ctx.workspace}: the reply to {who(draft['lead_id'])} (message {sent.outbound_message_id}) {state}.",
    )


_IN_WORDS = {
    "SENT": "was sent",
    "READY": "has not left yet and will be tried again",
    "SENDING": "is on its way",
    "UNKNOWN": "may have been sent; that is being looked up",
    "REJECTED": "was refused by the provider",
    "NEEDS_HUMAN": "needs a person",
    "CANCELLED": "was not sent",
}


def _handle(message: InboundLead) -> str | None:
    """What the channel needs to put the reply into its thread: a Message-ID for mail, else the conversation."""
    event_id = message.provider_event_id
    handle = event_id if message.channel == "email" else message.thread_id or event_id
    return handle if handle and not re.search(r"[\r\n\x00]", handle) else None
