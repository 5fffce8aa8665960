"""An offered label that stands in the draft word for word is what was offered, however it reads."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from queue_pipeline.leads.gates.case import DraftCase
from queue_pipeline.leads.gates.plain_text import plain_text

#: What makes a label name its day itself.
_DATED = re.compile(
    r"\b(?:mon|tue|wed|thu|fri|sat|sun|jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|today|tomorrow|tonight)|"
    r"\d[./-]\d|"
    r"\d(?:st|nd|rd|th)\b"
)


@dataclass(frozen=True)
class LabelPlace:
    """Where a label stands in the plain text, the days of its slots, and whether it names a day itself."""

    start: int
    end: int
    days: frozenset[date]
    dated: bool


def label_places(case: DraftCase, plain: str) -> Iterator[LabelPlace]:
    """Every place of every offered label, as whole words."""
    for label in sorted({slot.label for slot in case.offered_slots}):
        words = plain_text(label).plain.split()
        if not words:
            continue
        starts = [slot.start for slot in case.offered_slots if slot.label == label]
        days = frozenset(day for start in starts for day in (start.date(), start.astimezone(case.lead_zone).date()))
        exact = r"\s+".join(re.escape(word) for word in words)
        for match in re.finditer(rf"(?<![\w:]){exact}(?!\w|[:.,]\d|[ ]?[ap]\.?m\b)", plain):
            yield LabelPlace(*match.span(), days, bool(_DATED.search(match.group())))
