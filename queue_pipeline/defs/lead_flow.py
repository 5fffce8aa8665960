"""Leads as an operator sees them in Dagster: from inbound message to draft to notification, with the times between."""

from collections.abc import Mapping, Sequence

import dagster as dg

from queue_pipeline.defs.resources import Cell, QueueResource, table, told_plainly
from queue_pipeline.defs.sources import lead_sources
from queue_pipeline.engine.draft import WAITING, codes_of, drafts
from queue_pipeline.engine.lead import lead_flow as read_flow
from queue_pipeline.store.draft import Draft
from queue_pipeline.store.lead import LeadStep

SHOWN = 50
_FLOW = [
    "job",
    "workspace",
    "provider",
    "lead",
    "state",
    "outcome",
    "code",
    "task",
    "draft",
    "draft is",
    "drafted after s",
    "sent after s",
    "notified after s",
]
_DRAFTS = ["draft", "workspace", "lead", "job", "channel", "written by", "findings", "code", "drafted"]


@dg.asset(
    deps=lead_sources,
    group_name="leads",
    kinds={"postgres"},
    description=(
        "The latest inbound messages and how each ended: drafted, sent, skipped on purpose, needing a person (these"
        " first), or failed, with the seconds from acceptance to draft, send and notification; and the drafts that wait"
        " for review. Numbers only: names and texts are read with `queue-pipeline drafts`, `tasks` and `trace`."
    ),
)
def lead_flow(queue: QueueResource) -> dg.MaterializeResult[None]:
    """Read and show."""
    with told_plainly():
        steps = read_flow(queue.db, limit=SHOWN)
        waiting = drafts(queue.db, workspace=None, state=WAITING, limit=SHOWN)
    return dg.MaterializeResult(
        metadata={
            "summary": dg.MetadataValue.md(summary_of(steps, waiting)),
            "latest": table(_FLOW, [_step(step) for step in steps]),
            "waiting_for_review": table(_DRAFTS, [_draft(draft) for draft in waiting]),
            "without_outcome": dg.MetadataValue.int(sum(step.outcome is None for step in steps)),
            "without_notification": dg.MetadataValue.int(sum(step.notified_after_seconds is None for step in steps)),
        }
    )


def _step(step: LeadStep) -> Mapping[str, Cell]:
    return {
        "job": step.job_id,
        "workspace": step.workspace,
        "provider": step.provider,
        "lead": step.lead_id,
        "state": step.job_state,
        "outcome": None if step.outcome is None else step.outcome.replace("_", " "),
        "code": step.code,
        "task": step.task,
        "draft": step.draft_id,
        "draft is": step.draft_state,
        "drafted after s": step.drafted_after_seconds,
        "sent after s": step.sent_after_seconds,
        "notified after s": step.notified_after_seconds,
    }


def _draft(draft: Draft) -> Mapping[str, Cell]:
    """A draft by its numbers and codes: neither its text nor whom it is for."""
    return {
        "draft": draft.draft_id,
        "workspace": draft.workspace,
        "lead": draft.lead_id,
        "job": draft.job_id,
        "channel": draft.channel,
        "written by": draft.drafter,
        "findings": ", ".join(codes_of(draft)),
        "code": draft.code,
        "drafted": draft.created_at.isoformat(timespec="seconds"),
    }


def summary_of(steps: Sequence[LeadStep], waiting: Sequence[Draft]) -> str:
    """The latest messages in a few sentences of Markdown."""
    if not steps:
        return "No message has come in yet. Try `queue-pipeline ingest FILE`."
    outcomes = sorted({step.outcome or "on its way" for step in steps})
    counts = ", ".join(
        f"{sum((step.outcome or 'on its way') == o for step in steps)} {o.replace('_', ' ')}" for o in outcomes
    )
    latest = max(steps, key=lambda step: step.inbound_event_id)
    said = (
        f"its notification came after {latest.notified_after_seconds:.1f} s"
        if latest.notified_after_seconds
        else "nobody was told yet"
    )
    more = " or more" if len(waiting) == SHOWN else ""
    review = (
        f" {len(waiting)}{more} drafts wait for review: read one with `queue-pipeline drafts show`, then launch"
        " `approve_draft` or `reject_draft`."
        if waiting
        else " No draft waits for review."
    )
    return (
        f"The latest {len(steps)} messages: {counts}. The newest is job {latest.job_id} of {latest.workspace}; {said}."
        f"{review}"
    )
