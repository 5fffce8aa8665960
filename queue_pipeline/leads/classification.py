"""What kind of message a lead wrote: pure rules over the words that the lead wrote, not over those they quoted."""

import re
from dataclasses import dataclass
from enum import StrEnum

from queue_pipeline.leads import phrases
from queue_pipeline.leads.inbound_lead import InboundLead
from queue_pipeline.leads.later import mentions_later
from queue_pipeline.leads.own_words import own_words, sentences
from queue_pipeline.leads.phone import is_phone, phone_in


class MessageClass(StrEnum):
    """What a message asks of us."""

    REPLY_NEEDED = "reply_needed"
    SCHEDULING = "scheduling"
    CALL_REQUESTED = "call_requested"
    CALL_REQUESTED_WITHOUT_PHONE = "call_requested_without_phone"
    FOLLOW_UP = "follow_up"
    WRONG_PERSON = "wrong_person"
    OPT_OUT = "opt_out"
    OUT_OF_OFFICE = "out_of_office"
    AUTOMATIC = "automatic"
    EMPTY = "empty"


@dataclass(frozen=True)
class Classification:
    """The class of a message, and the reason in words, none of them the lead's.

    `phone` is the number that it gives; `names_a_time` says that it names a time of day.
    """

    message_class: MessageClass
    why: str
    phone: str | None = None
    names_a_time: bool = False


_ABSENT_READ = 600
_CALL_ME_NAME = re.compile(
    r"\b[Cc]all me (?!(?:Mon|Tues?|Wednes|Thurs?|Fri|Satur|Sun)(?:day)?\b|(?:At|On|Back|Today|Tomorrow|Tonight|Anytime"
    r"|ASAP|Now|After|Before|When|If|In|Please|Next|This|Any|Whenever|Later|Soon|Between|Around|Or|And|To|Re|About)\b)"
    r"[A-Z][A-Za-z]+"
)
_SYSTEM_SENDER = re.compile(r"(mailer-daemon|postmaster)@")
_REPLY_PREFIX = re.compile(r"\s*((re|aw|fwd?|wg|sv|tr)\s*:\s*)+", re.IGNORECASE)


def classify(lead: InboundLead, *, phone_known: bool = False) -> Classification:
    """The class of a message. The first rule that fits decides; without one a person expects a reply.

    `phone_known` says that an earlier message of the lead named a telephone number.
    """
    words = own_words(lead.body)
    said = sentences(words)
    if not words and not lead.subject.strip():
        return Classification(MessageClass.EMPTY, "there is no text in the message")
    phone = lead.phone or phone_in(words) or (lead.from_address if is_phone(lead.from_address, lead.channel) else None)
    found = _not_a_conversation(lead, words, said) or _wish(lead, said, bool(phone) or phone_known)
    message_class, why = found or (MessageClass.REPLY_NEEDED, "a person wrote and expects a reply")
    names_a_time = any(phrases.TIME.search(s.lower()) for s in said)
    return Classification(message_class, why, phone, names_a_time)


def _not_a_conversation(lead: InboundLead, words: str, said: list[str]) -> tuple[MessageClass, str] | None:
    """The classes that get no draft: nobody is there, or somebody wants no answer."""
    if _opts_out(lead, words, said):
        return MessageClass.OPT_OUT, "the sender asks not to be contacted"
    if _is_absent(lead, words):
        return MessageClass.OUT_OF_OFFICE, "the sender is away and a program answered"
    if any(_found(phrases.WRONG_PERSON, s, unless=phrases.NOT_WRONG_PERSON) for s in [*said, _subject(lead)]):
        return MessageClass.WRONG_PERSON, "the sender says that they are not the person to ask"
    if lead.automatic:
        return MessageClass.AUTOMATIC, "its headers say that a program or a mailing list sent it"
    if (
        phrases.AUTOMATIC_SUBJECT.match(lead.subject.lower())
        or _SYSTEM_SENDER.match(lead.from_address or "")
        or any(phrases.AUTOMATIC_BODY.search(s.lower()) for s in said)
    ):
        return MessageClass.AUTOMATIC, "a program wrote it"
    return None


def _wish(lead: InboundLead, said: list[str], phone_known: bool) -> tuple[MessageClass, str] | None:
    """The classes of a person who wants something in particular."""
    if any(_asks_for_a_call(s) for s in said) or _gives_only_a_number(said):
        if phone_known:
            return MessageClass.CALL_REQUESTED, "the sender asks to be called"
        return MessageClass.CALL_REQUESTED_WITHOUT_PHONE, "the sender asks to be called and no phone number is known"
    texts = [*said, _subject(lead)]
    if _defers(said):
        return MessageClass.FOLLOW_UP, "the sender asks to be written to later"
    if any(_is_about_a_time(text, offered=bool(lead.offered_slots)) for text in texts):
        if any(_asks_something_else(s, offered=bool(lead.offered_slots)) for s in said):
            return MessageClass.REPLY_NEEDED, "the sender asks for more than a time"
        return MessageClass.SCHEDULING, "the sender wants to agree on a time"
    return None


def _opts_out(lead: InboundLead, words: str, said: list[str]) -> bool:
    whole = (" ".join(words.split()) or lead.subject.strip()).lower()
    if phrases.STOP_WORD.fullmatch(whole):
        return True
    if lead.channel in ("sms", "whatsapp") and phrases.STOP_WORD_SMS.fullmatch(whole):
        return True
    # In a longer text of a program the same words say how to leave *its* list.
    return not lead.automatic and any(_found(phrases.OPT_OUT, s, unless=phrases.NOT_OPT_OUT) for s in said)


def _is_absent(lead: InboundLead, words: str) -> bool:
    if phrases.ABSENT_SUBJECT.match(lead.subject.lower()):
        return True
    beginning = sentences(words[:_ABSENT_READ])
    away = any(phrases.ABSENT_BODY.search(s.lower()) for s in beginning)
    return away and (lead.automatic or not any(phrases.ABSENT_BUT_ASKS.search(s.lower()) for s in sentences(words)))


def _asks_for_a_call(sentence: str) -> bool:
    low = sentence.lower()
    if phrases.NOT_CALL.search(low) or _CALL_ME_NAME.search(sentence):
        return False
    return bool(phrases.CALL.search(low)) or (
        phone_in(sentence) is not None and bool(phrases.CALL_WITH_NUMBER.search(low))
    )


def _gives_only_a_number(said: list[str]) -> bool:
    text = " ".join(said)
    return phone_in(text) is not None and len(re.findall(r"[^\W\d_]{2,}", text)) <= 3


def _defers(said: list[str]) -> bool:
    """Somewhere the sender asks to be written to later, and asks nothing else."""
    deferring = [s for s in said if _found(phrases.DEFER_WISH, s, unless=phrases.NOT_DEFER) and mentions_later(s)]
    waiting = any(phrases.NOT_NOW.search(s.lower()) for s in said) and any(mentions_later(s) for s in said)
    if not deferring and not waiting:
        return False
    return not any("?" in s for s in said if s not in deferring)


def _is_about_a_time(text: str, *, offered: bool) -> bool:
    low = text.lower()
    if phrases.SCHEDULING.search(low):
        return True
    if phrases.WHEN.search(low) and phrases.SCHEDULING_WHEN.search(low):
        return True
    return offered and bool(phrases.SCHEDULING_OFFERED.search(low))


def _asks_something_else(sentence: str, *, offered: bool) -> bool:
    return "?" in sentence and not _is_about_a_time(sentence, offered=offered) and len(sentence.split()) > 2


def _subject(lead: InboundLead) -> str:
    """The subject that this sender chose; that of a reply is somebody else's."""
    return "" if _REPLY_PREFIX.match(lead.subject) else lead.subject


def _found(pattern: re.Pattern[str], sentence: str, *, unless: re.Pattern[str]) -> bool:
    low = sentence.lower()
    return bool(pattern.search(low)) and not unless.search(low)
