"""`non_logistics_reply`: the lead asked for a time, we had one to give, and the draft talks about something else."""

import re
from collections.abc import Iterator

from queue_pipeline.leads.gates.finding import Code, Finding, finding
from queue_pipeline.leads.gates.plain_text import plain_text, quoted
from queue_pipeline.leads.gates.speech import clauses
from queue_pipeline.leads.gates.support import Judged
from queue_pipeline.leads.gates.words import pattern, says

_WORDS_MIN = 6
_SALES_MIN = 2


def non_logistics_replies(judged: Judged) -> Iterator[Finding]:
    """At most one finding, over the whole draft; whatever looks like logistics keeps it away."""
    case = judged.case
    if not (case.offered_slots or case.allowed_links) or not _asks_only_for_a_time(case.inbound.body):
        return
    words = judged.text.plain
    if _answers_with_a_time(judged) or len(words.split()) < _WORDS_MIN:
        return
    sales = sorted({match.group() for match in pattern("sales").finditer(words)})
    sells = len(sales) >= _SALES_MIN
    if not sells and (_is_settled(judged) or any(clause.question for clause in judged.reading.clauses)):
        return
    keeps_away = "logistics_surely" if sells else "logistics_perhaps"
    if says(keeps_away, words) or (not sells and says("deferral", words)):
        return
    why = "the lead asked for a time; the draft offers none, gives no link and asks for none"
    if sells:
        why += f", but sells ({', '.join(sales[:4])})"
    yield finding(Code.NON_LOGISTICS_REPLY, judged.text, (0, len(words)), why)


def _asks_only_for_a_time(inbound: str) -> bool:
    """Whether the lead wants to meet and wants to know nothing else first."""
    text = plain_text(inbound[:20_000])
    own = text.masked(quoted(text)).plain
    if not says("booking_intent", own) or says("opt_out", own):
        return False
    for clause in clauses(own):
        about_time = bool(says("booking_intent", clause.text) or re.search(r"\d", clause.text))
        if says("information_wanted", clause.text):
            return False
        if not about_time and (clause.question or says("information_perhaps", clause.text)):
            return False
    return True


def _is_settled(judged: Judged) -> bool:
    """Whether the lead says yes after a time was named earlier in the thread: no time is asked for any more."""
    thread, inbound = judged.case.thread, judged.case.inbound.body
    accepts = says("acceptance", " ".join(inbound[:20_000].lower().split()))
    return bool(thread) and accepts and bool(judged.allowed.proposed or judged.allowed.known)


def _answers_with_a_time(judged: Judged) -> bool:
    reading = judged.reading
    named = any(date.mention.kind not in ("today", "past") for date in reading.dates)
    linked = any(link.kind in ("url", "host") for link in reading.links)
    return bool(reading.times or named or judged.labels or linked)
