"""One scheduling conversation, on Thursday 12 February 2026 in New York, to put drafts into."""

from typing import Any

from queue_pipeline.leads.gates.case import DraftCase
from queue_pipeline.leads.gates.check import Finding, check_draft

LINK = "https://calendly.com/acme-sales/intro"
SLOTS = [
    {"start": "2026-02-17T15:00:00-05:00", "end": "2026-02-17T15:30:00-05:00", "label": "Tue, Feb 17, 3:00 PM"},
    {"start": "2026-02-18T10:00:00-05:00", "end": "2026-02-18T10:30:00-05:00", "label": "Wed, Feb 18, 10:00 AM"},
]


def draft_case(draft: str, *, inbound: str = "Could we find a time next week?", **fields: Any) -> DraftCase:
    """A case with this draft; two slots are offered and one link is allowed, unless the fields say otherwise."""
    content = {
        "case_id": "case",
        "draft": draft,
        "reference_now": "2026-02-12T10:00:00-05:00",
        "timezone": "America/New_York",
        "inbound": {"body": inbound, "sent_at": "2026-02-12T09:12:00-05:00"},
        "offered_slots": SLOTS,
        "allowed_links": [LINK],
    }
    return DraftCase.model_validate(content | fields)


def findings(draft: str, **fields: Any) -> list[Finding]:
    """The findings of a draft in that conversation."""
    return check_draft(draft_case(draft, **fields))


def codes(draft: str, **fields: Any) -> set[str]:
    """The codes of the findings."""
    return {finding.code for finding in findings(draft, **fields)}
