"""The gates together: every finding of a draft, in the order of their places."""

from queue_pipeline.leads.gates.case import DraftCase
from queue_pipeline.leads.gates.date_mismatch import date_mismatches
from queue_pipeline.leads.gates.empty_draft import empty_drafts
from queue_pipeline.leads.gates.fabricated_link import fabricated_links
from queue_pipeline.leads.gates.finding import Code, Finding
from queue_pipeline.leads.gates.non_logistics_reply import non_logistics_replies
from queue_pipeline.leads.gates.plain_text import plain_text
from queue_pipeline.leads.gates.slot_mismatch import slot_mismatches
from queue_pipeline.leads.gates.support import judge

__all__ = ["Code", "Finding", "check_draft"]


def check_draft(case: DraftCase) -> list[Finding]:
    """The findings of a draft, sorted by place and code. An empty draft has one finding and is not read further."""
    empty = list(empty_drafts(case, plain_text(case.draft)))
    if empty:
        return empty
    judged = judge(case)
    found = [
        *slot_mismatches(judged),
        *date_mismatches(judged),
        *fabricated_links(judged),
        *non_logistics_replies(judged),
    ]
    return sorted(set(found), key=lambda one: (one.start, one.end, one.code, one.why))
