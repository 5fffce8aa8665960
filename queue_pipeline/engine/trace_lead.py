"""The lead's side of a job's story: drafts, decisions of people, sends, notifications, and what the customer saw."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from queue_pipeline.domain.duration import duration
from queue_pipeline.domain.flag import DRAFTS_AUTO_SEND, SENDS_ENABLED, spelled
from queue_pipeline.domain.gap import Stretch
from queue_pipeline.domain.lead_wait import (
    MessageFacts,
    SendAttemptFacts,
    Switched,
    review,
    sending,
    sends_off,
    task,
    telling,
)
from queue_pipeline.domain.trace import TraceEvent
from queue_pipeline.domain.visible_result import VisibleFacts
from queue_pipeline.store import trace as store
from queue_pipeline.store.session import Tx


@dataclass
class LeadSide:
    """Events, the stretches between them, and what is visible; `under_way` says that the machine is not done yet."""

    visible: VisibleFacts
    workspace: str = ""
    lead_id: int | None = None
    under_way: bool = False
    events: list[TraceEvent] = field(default_factory=list)
    stretches: list[Stretch] = field(default_factory=list)


def lead_side(tx: Tx, job_ids: Sequence[int], job_id: int, job: Any, now: datetime) -> LeadSide:
    """All that is on record about the lead of a job; it outlives the job's own row.

    `job_ids` are those of the whole story: the job itself and those that send its drafts.
    """
    inbound = next(iter(store.rows_of(tx, store.INBOUND_SQL, job_id)), None)
    outcome = next(iter(store.rows_of(tx, store.OUTCOME_SQL, job_id)), None)
    drafts = store.rows_of(tx, store.DRAFTS_SQL, job_id)
    tasks = store.rows_of(tx, store.TASKS_SQL, job_id)
    notifications = store.rows_of_jobs(tx, store.NOTIFICATIONS_SQL, job_ids)
    rows = store.rows_of_jobs(tx, store.MESSAGES_SQL, job_ids)
    evidence = store.rows_of_jobs(tx, store.EVIDENCE_SQL, job_ids)
    tries = store.rows_of_jobs(tx, store.SEND_ATTEMPTS_SQL, job_ids)
    messages = _messages(rows, tries, evidence)
    waiting = [(f"draft {row.draft_id}", row.created_at) for row in drafts if row.state == "FOR_REVIEW"]
    waiting += [(f"task {row.lead_task_id} ({row.kind})", row.created_at) for row in tasks if row.state == "OPEN"]
    side = LeadSide(
        VisibleFacts(
            now=now,
            job_state=job.state if job is not None else "PRUNED",
            wrote_at=inbound.accepted_at if inbound is not None else None,
            outcome=outcome.outcome if outcome is not None else None,
            code=outcome.code if outcome is not None else None,
            reason=outcome.reason if outcome is not None else None,
            messages=messages,
            waiting=waiting,
        ),
        under_way=any(m.under_way for m in messages) or any(row.delivered_at is None for row in notifications),
    )
    side.lead_id = outcome.lead_id if outcome is not None else None
    _tell_drafts(side, drafts, now)
    _tell_tasks(side, tasks, now)
    _tell_messages(side, rows, messages, now)
    side.events += _evidence(evidence)
    if outcome is not None:
        detail = outcome.outcome if outcome.code == "unspecified" else f"{outcome.outcome} ({outcome.code})"
        side.events.append(TraceEvent(outcome.recorded_at, "outcome", detail, outcome.reason))
    _tell_notifications(side, notifications, now)
    began = [row.accepted_at for row in (inbound,) if row is not None] + [m.created_at for m in messages]
    if began:
        _tell_flips(tx, side, min(began), now)
    if inbound is not None:
        _tell_inbound(tx, side, job_id, inbound, now)
    return side


def _tell_inbound(tx: Tx, side: LeadSide, job_id: int, inbound: Any, now: datetime) -> None:
    over = f" over {inbound.channel}" if inbound.channel else ""
    side.workspace = inbound.workspace
    side.events.append(
        TraceEvent(inbound.accepted_at, "accepted", f"from {inbound.provider}{over}", f"key {inbound.dedupe_key}")
    )
    for row in store.rows_of(tx, store.CONFLICTS_SQL, job_id):
        side.events.append(TraceEvent(row.seen_at, "came again", "with other content: kept, not run", beside=True))
    if inbound.lead_address is None:
        return
    where = {"workspace": inbound.workspace, "address": inbound.lead_address}
    after = store.next_inbound(tx, **where, after=inbound.accepted_at)
    until = after.accepted_at if after is not None else now
    if after is not None:
        side.events.append(TraceEvent(until, "wrote again", f"the lead; that is job {after.job_id}", beside=True))
    lead = store.lead(tx, **where)
    if lead is not None:
        side.lead_id = lead.lead_id
        if lead.opted_out_at is not None and inbound.accepted_at <= lead.opted_out_at < until:
            side.events.append(TraceEvent(lead.opted_out_at, "opted out", f"lead {lead.lead_id}"))
    others = store.sent_by_others(tx, **where, after=inbound.accepted_at, until=until)
    for row in others:
        detail = f"by {row.author} through {row.provider}"
        side.events.append(TraceEvent(row.at, "written by others", detail, beside=True))
    people = sum(row.author == "person" for row in others)
    side.visible = VisibleFacts(**{**vars(side.visible), "answered_by_people": people})


def _tell_drafts(side: LeadSide, drafts: Sequence[Any], now: datetime) -> None:
    for row in drafts:
        codes = Counter(str(finding.get("code")) for finding in row.findings or [])
        found = ", ".join(f"{code} x{count}" if count > 1 else code for code, count in sorted(codes.items()))
        by = f"{row.drafter}, which is a template" if row.is_template else row.drafter
        detail = f"draft {row.draft_id} for {row.channel} by {by}; gates: {found or 'no findings'}; {row.state}"
        said = f"no model: {row.why_no_model}" if row.why_no_model else ""
        side.events.append(TraceEvent(row.created_at, "drafted", detail, said))
        if row.decided_at is not None:
            by = f"by {row.decided_by or 'somebody'}{f': {row.decision}' if row.decision else ''}"
            side.events.append(TraceEvent(row.decided_at, "draft decided", f"draft {row.draft_id}: {row.state}", by))
        if row.decided_at is not None or row.state == "FOR_REVIEW":
            side.stretches.append(review(row.draft_id, row.created_at, row.decided_at, now))


def _tell_tasks(side: LeadSide, tasks: Sequence[Any], now: datetime) -> None:
    for row in tasks:
        name = f"task {row.lead_task_id}: {row.kind}"
        side.events.append(TraceEvent(row.created_at, "task", name, row.why))
        if row.done_at is not None:
            side.events.append(TraceEvent(row.done_at, "task done", name, f"by {row.done_by or 'somebody'}"))
        side.stretches.append(task(row.lead_task_id, row.kind, row.created_at, row.done_at, now))


def _messages(rows: Sequence[Any], tries: Sequence[Any], evidence: Sequence[Any]) -> list[MessageFacts]:
    attempts: defaultdict[int, list[SendAttemptFacts]] = defaultdict(list)
    for row in tries:
        attempts[row.outbound_message_id].append(
            SendAttemptFacts(
                attempt=row.attempt,
                started_at=row.started_at,
                deadline_at=row.deadline_at,
                finished_at=row.finished_at,
                outcome=row.outcome,
                error_class=row.error_class,
                error=row.error,
                http_status=row.http_status,
            )
        )
    settled = {row.outbound_message_id: row.observed_via for row in evidence}
    return [
        MessageFacts(
            outbound_message_id=row.outbound_message_id,
            provider=row.provider,
            purpose=row.purpose,
            state=row.state,
            created_at=row.created_at,
            ended_at=row.updated_at if row.state in ("SENT", "REJECTED", "CANCELLED", "NEEDS_HUMAN") else None,
            sent_at=row.sent_at,
            reason=row.reason,
            settled_by=settled.get(row.outbound_message_id),
            attempts=tuple(attempts[row.outbound_message_id]),
        )
        for row in rows
    ]


def _tell_messages(side: LeadSide, rows: Sequence[Any], messages: Sequence[MessageFacts], now: datetime) -> None:
    for row, message in zip(rows, messages, strict=True):
        name = f"message {message.outbound_message_id}"
        reserved = f"{name}: {row.purpose} over {row.channel} through {row.provider}"
        side.events.append(TraceEvent(message.created_at, "send reserved", reserved, f"to {row.recipient}"))
        for attempt in message.attempts:
            side.events.append(TraceEvent(attempt.started_at, "send tried", f"{name}, attempt {attempt.attempt}"))
            if attempt.finished_at is not None:
                answered = f"{name}, {attempt.how}"
                side.events.append(TraceEvent(attempt.finished_at, "send answered", answered, attempt.error or ""))
        if message.ended_at is not None:
            left = (message.ended_at - message.sent_at).total_seconds() if message.sent_at is not None else 0.0
            detail = f"{name} is {message.state}" + (f"; it had left {duration(left)} before" if left > 1 else "")
            side.events.append(TraceEvent(message.ended_at, "send ended", detail, message.reason or ""))
        elif message.reason:
            side.events.append(TraceEvent(row.updated_at, "send waits", f"{name} is {message.state}", message.reason))
        side.stretches += sending(message, now)


def _evidence(rows: Sequence[Any]) -> Iterator[TraceEvent]:
    for row in rows:
        if row.observed_via != "response":
            detail = f"provider {row.provider} has message {row.outbound_message_id} ({row.observed_via})"
            yield TraceEvent(row.first_seen_at, "provider said", detail)


def _tell_notifications(side: LeadSide, notifications: Sequence[Any], now: datetime) -> None:
    for row in notifications:
        name = f"notification {row.notification_id} ({row.kind})"
        if row.delivered_at is not None:
            detail = f"{name} through {row.sink}"
            side.events.append(TraceEvent(row.delivered_at, "notified", detail, row.text))
        else:
            tried = f", {row.failures} posts failed" if row.failures else ""
            side.events.append(TraceEvent(row.created_at, "notification waits", f"{name}{tried}", row.text))
        side.stretches.append(
            telling(
                row.notification_id,
                row.created_at,
                row.delivered_at,
                now,
                failures=row.failures,
                error=row.last_error or "",
            )
        )


def _tell_flips(tx: Tx, side: LeadSide, since: datetime, now: datetime) -> None:
    """Switches that were flipped in the time of this story, and what they held back."""
    messages = side.visible.messages
    open_still = side.under_way or side.visible.job_state in ("SCHEDULED", "PENDING", "RUNNING")
    ended = now if open_still else max((event.at for event in side.events), default=now)
    flips = store.flips(tx, (SENDS_ENABLED, DRAFTS_AUTO_SEND), until=ended)
    for row in flips:
        if row.changed_at >= since:
            detail = f"{row.flag} from {row.from_value} to {row.to_value}"
            side.events.append(TraceEvent(row.changed_at, "switched", detail, f"by {row.who}: {row.why}", beside=True))
    switched = [
        Switched(row.changed_at, row.to_value == spelled(True), row.who, row.why)
        for row in flips
        if row.flag == SENDS_ENABLED
    ]
    for message in messages:
        side.stretches += sends_off(message, switched, now)
