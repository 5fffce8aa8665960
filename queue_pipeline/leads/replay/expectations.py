"""What the manifest itself demands of a draft, besides the invariants: phrases that must be there, or must not."""

import re

from queue_pipeline.leads.gates.check import Code, Finding
from queue_pipeline.leads.replay.manifest import Expected

MUST_MISSING = "must_missing"
MUST_NOT_PRESENT = "must_not_present"
RULE_VERSION = "expected.v1"
_CODES = frozenset(Code)


def unmet(draft: str, expected: Expected) -> list[Finding]:
    """A finding for each phrase. Codes of invariants are skipped: every invariant is asked anyway.

    Case, and how the words are spaced, do not matter.
    """
    found = [
        _finding(MUST_MISSING, (0, 0), "", f"the draft must say {phrase!r}")
        for phrase in expected.must
        if phrase not in _CODES and not _pattern(phrase).search(draft)
    ]
    for phrase in expected.must_not:
        match = None if phrase in _CODES else _pattern(phrase).search(draft)
        if match:
            found.append(_finding(MUST_NOT_PRESENT, match.span(), match.group(), f"the draft must not say {phrase!r}"))
    return found


def _pattern(phrase: str) -> re.Pattern[str]:
    words = [re.escape(word) for word in phrase.split()]
    return re.compile(r"\s+".join(words) if words else r"(?!)", re.IGNORECASE)


def _finding(code: str, place: tuple[int, int], text: str, why: str) -> Finding:
    return Finding(code, "critical", *place, text, why, rule_version=RULE_VERSION)
