"""`empty_draft`: nothing in the draft is meant for the lead: no words, a refusal, a placeholder, an echo."""

import re
from collections.abc import Iterator

from queue_pipeline.leads.gates.case import DraftCase
from queue_pipeline.leads.gates.finding import Code, Finding, finding
from queue_pipeline.leads.gates.plain_text import MASK, PlainText, plain_text, quoted, signature
from queue_pipeline.leads.gates.words import says

_WORD_LETTER = re.compile(r"[^\W_]")
_MARKUP = re.compile(r"</?(?:p|br|div|span|html|body|b|i|strong|em)\b[^>\n]{0,200}>|&nbsp;")
_ECHO_WORDS_MIN = 6
_ECHO_QUESTION_WORDS_MIN = 4
_NAME_LINES_MAX = 5


def empty_drafts(case: DraftCase, text: PlainText) -> Iterator[Finding]:
    """At most one finding, over the whole draft."""
    why = _why_empty(case, text)
    if why:
        yield finding(Code.EMPTY_DRAFT, text, (0, len(text.plain)), why)


def _why_empty(case: DraftCase, text: PlainText) -> str:
    own = text.masked([*quoted(text), *signature(text)]).plain.replace(MASK, "").strip()
    own = _MARKUP.sub(" ", own).strip()
    if len(_WORD_LETTER.findall(own)) < 2:
        return "nothing is left of the draft without quoted history and signature"
    body = _without_greeting(own)
    if len(_WORD_LETTER.findall(body)) < 2:
        return "the draft is a greeting and a signature with nothing between"
    flat = " ".join(body.split())
    for name, why in (
        ("refusal", "the writer of the draft refuses or speaks of itself as a model"),
        ("placeholder_draft", "the draft is a placeholder"),
        ("prompt_echo", "the draft repeats instructions to its writer"),
    ):
        if says(name, flat) or says(name, " ".join(own.split())):
            return why
    return "the draft repeats the lead's message" if _echoes(case, flat) else ""


def _without_greeting(own: str) -> str:
    """The text between the greeting line and the block that begins with a closing formula."""
    lines = [line.strip() for line in own.split("\n") if line.strip()]
    if lines and says("greeting_line", lines[0]) and len(lines[0].split()) <= _NAME_LINES_MAX:
        lines = lines[1:]
    for index, line in enumerate(lines):
        few = len(lines) - index - 1 <= _NAME_LINES_MAX and all(len(rest.split()) <= 8 for rest in lines[index + 1 :])
        if few and says("sign_off_line", line):
            lines = lines[:index]
            break
    return "\n".join(lines)


def _echoes(case: DraftCase, flat: str) -> bool:
    inbound = " ".join(plain_text(case.inbound.body[:50_000]).plain.split())
    enough = _ECHO_QUESTION_WORDS_MIN if "?" in flat else _ECHO_WORDS_MIN
    return len(flat.split()) >= enough and flat.strip(" .!?") == inbound.strip(" .!?")
