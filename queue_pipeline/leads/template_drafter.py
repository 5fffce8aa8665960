"""The embedded drafter: a template, and it says so. It needs no network, no key and no language model."""

import re

from queue_pipeline.leads.classification import MessageClass
from queue_pipeline.leads.inbound_lead import InboundLead
from queue_pipeline.leads.ports import Drafted, DraftRequest

#: Stored with each draft, so that a reviewer knows what wrote it.
NAME = "template (no language model)"
_SLOTS_PROPOSED_MAX = 3
_FIRST_NAME = re.compile(r"[^\W\d_]+(?:['\u2019-][^\W\d_]+)*")
_FIRST_NAME_MAX = 30
#: Read as a time of day wherever they stand, by people and by the gates.
_NO_NAMES = frozenset({"noon", "midday", "midnight"})


class TemplateDrafter:
    """Writes what is always true: thanks, the slots that were offered, the question for what is missing."""

    def draft(self, request: DraftRequest) -> Drafted:
        """A reply that claims nothing about the lead's question."""
        message = request.message
        lines = [greeting(message), "", "thank you for your message.", "", *_matter(request), "", "Kind regards"]
        return Drafted(subject=subject_of_reply(message), body="\n".join(lines), drafter=NAME, is_template=True)


def _matter(request: DraftRequest) -> list[str]:
    if request.ask_for_phone:
        return ["We are glad to call you. Which number may we use, and when would suit you?"]
    if request.slots:
        proposed = [f"- {slot.words()}" for slot in request.slots[:_SLOTS_PROPOSED_MAX]]
        return ["Would one of these times suit you?", "", *proposed, "", "If none of them fits, tell us what would."]
    if request.message_class is MessageClass.SCHEDULING:
        return ["Which days and times would suit you? We will find one that fits."]
    return ["A colleague will read it and come back to you."]


def acknowledgement(lead: InboundLead) -> str:
    """What is sent at once to a person who writes for the first time; it promises only that somebody reads it."""
    return f"{greeting(lead)}\n\nthank you, your message has arrived. A person will read it and answer.\n\nKind regards"


def greeting(lead: InboundLead) -> str:
    """`Hello Ada,` with the first name if there is one that looks like a name."""
    first = (lead.from_name or "").strip().split(" ")[0].strip("\"'\u201c\u201d,")
    is_a_name = len(first) <= _FIRST_NAME_MAX and _FIRST_NAME.fullmatch(first) and first.lower() not in _NO_NAMES
    return f"Hello {first}," if is_a_name else "Hello,"


def subject_of_reply(lead: InboundLead) -> str:
    """The subject of the reply to this message; none on a channel that knows none."""
    return reply_subject(lead.subject) if lead.channel == "email" or lead.subject.strip() else ""


def reply_subject(subject: str) -> str:
    """The subject of a reply, in one line: one `Re:`, whatever was there before."""
    plain = " ".join(subject.split())
    return plain if plain.lower().startswith("re:") else f"Re: {plain}".rstrip()
