"""A finding names the place in a draft that no reading justifies, and says why in one sentence."""

from dataclasses import dataclass
from enum import StrEnum

from queue_pipeline.leads.gates.plain_text import PlainText
from queue_pipeline.leads.gates.words import RULE_VERSION


class Code(StrEnum):
    """What can be wrong with a draft."""

    SLOT_MISMATCH = "slot_mismatch"
    DATE_MISMATCH = "date_mismatch"
    FABRICATED_LINK = "fabricated_link"
    EMPTY_DRAFT = "empty_draft"
    NON_LOGISTICS_REPLY = "non_logistics_reply"


@dataclass(frozen=True)
class Finding:
    """What is wrong, where (indices into the draft), how the words were read, and what would have been allowed."""

    code: str
    severity: str
    start: int
    end: int
    text: str
    why: str
    readings: tuple[str, ...] = ()
    allowed: tuple[str, ...] = ()
    rule_version: str = RULE_VERSION


def finding(
    code: Code,
    text: PlainText,
    place: tuple[int, int],
    why: str,
    *,
    readings: tuple[str, ...] = (),
    allowed: tuple[str, ...] = (),
) -> Finding:
    """A critical finding at a place of the plain text."""
    start, end = text.span(*place)
    return Finding(code.value, "critical", start, end, text.original[start:end], why, readings, allowed)
