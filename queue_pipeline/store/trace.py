"""Everything that is on record about a job and its lead, and the jobs that a query means."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from queue_pipeline.store.session import Tx

#: Each branch reads one index. `numbers` are spellings of a telephone number, `names` of a Message-ID.
JOBS_MEANT_SQL = """
SELECT job_id FROM (
    SELECT job_id FROM job WHERE job_id = :number
    UNION
    SELECT job_id FROM job WHERE dedupe_key = :text
    UNION
    SELECT job_id FROM inbound_event WHERE dedupe_key = ANY (CAST(:names AS text[]))
    UNION
    SELECT job_id FROM inbound_event WHERE provider_event_id = ANY (CAST(:names AS text[]))
    UNION
    SELECT job_id FROM inbound_event WHERE lead_address = ANY (CAST(:addresses AS text[]))
    UNION
    SELECT job_id FROM outbound_message WHERE lower(recipient) = ANY (CAST(:addresses AS text[]))
    UNION
    SELECT m.job_id FROM provider_message p JOIN outbound_message m USING (outbound_message_id)
    WHERE p.provider_message_id = ANY (CAST(:names AS text[]))
) meant
ORDER BY job_id DESC LIMIT :limit
"""

JOBS_OF_LEAD_SQL = """
SELECT job_id FROM (
    SELECT e.job_id FROM lead l JOIN inbound_event e ON e.workspace = l.workspace AND e.lead_address = l.address
    WHERE l.lead_id = :lead_id
    UNION
    SELECT job_id FROM outbound_message WHERE lead_id = :lead_id
) meant
ORDER BY job_id DESC LIMIT :limit
"""

#: `room` says whether the job's workspace may have one more job claimed now.
JOB_SQL = """
SELECT j.job_id, j.kind, j.workspace, j.state, j.attempt, j.max_attempts, j.created_at, j.first_due_at, j.run_at,
       j.finished_at, j.claimed_at, j.function_run_id, j.cancel_requested_at, j.last_error, l.shard,
       coalesce(l.quota > (SELECT count(*) FROM job r WHERE r.workspace = j.workspace AND r.state = 'RUNNING'), true) AS room
FROM job j LEFT JOIN workspace_lane l USING (workspace)
WHERE j.job_id = :job_id
"""

ATTEMPTS_SQL = """
SELECT a.attempt, a.function_run_id, r.shard, a.due_at, a.claimed_at, a.started_at, a.finished_at, a.outcome,
       a.error_class, a.error, a.step, a.progress, a.stack
FROM job_attempt a LEFT JOIN function_run r USING (function_run_id)
WHERE a.job_id = :job_id ORDER BY a.claimed_at, a.fence LIMIT 1000
"""

STEPS_SQL = "SELECT name, stored_at FROM job_step WHERE job_id = :job_id ORDER BY stored_at"

SAMPLE_SQL = "SELECT sampled_at, running_seconds, step, progress, stack FROM handler_sample WHERE job_id = :job_id"

LATE_WRITES_SQL = (
    "SELECT refused_at, function_run_id, wanted FROM late_write WHERE job_id = :job_id ORDER BY refused_at LIMIT 100"
)

INBOUND_SQL = """
SELECT inbound_event_id, workspace, provider, channel, dedupe_key, lead_address, accepted_at
FROM inbound_event WHERE job_id = :job_id
"""

CONFLICTS_SQL = """
SELECT c.seen_at FROM inbound_event e JOIN inbound_conflict c USING (inbound_event_id) WHERE e.job_id = :job_id ORDER BY c.seen_at
"""

#: The lead's own next message is where the story of this one ends.
NEXT_INBOUND_SQL = """
SELECT job_id, accepted_at FROM inbound_event
WHERE workspace = :workspace AND lead_address = :address AND accepted_at > :after ORDER BY accepted_at LIMIT 1
"""

LEAD_SQL = "SELECT lead_id, opted_out_at FROM lead WHERE workspace = :workspace AND address = :address"

#: What others than this system sent to the lead: people and campaigns.
SENT_BY_OTHERS_SQL = """
SELECT provider, author, channel, coalesce(sent_at, first_seen_at) AS at FROM provider_message
WHERE direction = 'outbound' AND lower(recipient) = :address AND first_seen_at >= :after AND first_seen_at < :until
  AND outbound_message_id IS NULL AND author <> 'automation' AND coalesce(workspace, :workspace) = :workspace
ORDER BY first_seen_at LIMIT 100
"""

DRAFTS_SQL = """
SELECT draft_id, channel, drafter, is_template, state, findings, why_no_model, created_at, decided_by, decided_at, decision
FROM draft WHERE job_id = :job_id ORDER BY draft_id
"""

TASKS_SQL = """
SELECT lead_task_id, kind, why, state, created_at, done_at, done_by FROM lead_task WHERE job_id = :job_id ORDER BY created_at
"""

OUTCOME_SQL = "SELECT outcome, code, reason, lead_id, recorded_at FROM lead_outcome WHERE job_id = :job_id"

#: A draft that a person approves is sent by a job of its own, which belongs to the same story.
JOBS_OF_STORY_SQL = """
SELECT CAST(:job_id AS bigint) AS job_id
UNION
SELECT j.job_id FROM draft d JOIN job j ON j.dedupe_key = 'draft:' || d.draft_id AND j.workspace = d.workspace WHERE d.job_id = :job_id
UNION
SELECT m.job_id FROM draft d JOIN outbound_message m USING (draft_id) WHERE d.job_id = :job_id
ORDER BY job_id
"""

NOTIFICATIONS_SQL = """
SELECT notification_id, kind, text, created_at, delivered_at, sink, failures, last_error
FROM notification WHERE job_id = ANY (CAST(:job_ids AS bigint[])) ORDER BY notification_id
"""

MESSAGES_SQL = """
SELECT m.outbound_message_id, m.channel, m.purpose, m.recipient, m.state, m.provider, m.created_at, m.updated_at, m.sent_at,
       m.reason
FROM outbound_message m WHERE m.job_id = ANY (CAST(:job_ids AS bigint[])) ORDER BY m.created_at
"""

SEND_ATTEMPTS_SQL = """
SELECT a.outbound_message_id, a.attempt, a.sender, a.started_at, a.deadline_at, a.finished_at, a.outcome, a.error_class, a.error,
       a.http_status
FROM outbound_message m JOIN send_attempt a USING (outbound_message_id) WHERE m.job_id = ANY (CAST(:job_ids AS bigint[]))
ORDER BY a.started_at
"""

EVIDENCE_SQL = """
SELECT p.outbound_message_id, p.provider, p.observed_via, p.first_seen_at
FROM outbound_message m JOIN provider_message p USING (outbound_message_id) WHERE m.job_id = ANY (CAST(:job_ids AS bigint[]))
ORDER BY p.first_seen_at
"""

FLIPS_SQL = """
SELECT flag, from_value, to_value, who, why, changed_at FROM control_event
WHERE flag = ANY (CAST(:flags AS text[])) AND changed_at <= :until ORDER BY control_event_id DESC LIMIT 200
"""


def now(tx: Tx) -> datetime:
    """The database's clock."""
    at: datetime = tx.execute(sa.text("SELECT clock_timestamp()")).scalar_one()
    return at


def jobs_meant(
    tx: Tx, *, number: int | None, text: str, names: Sequence[str], addresses: Sequence[str], limit: int
) -> list[int]:
    """The jobs that a query means in one of its readings, newest first."""
    values = {"number": number, "text": text, "names": list(names), "addresses": list(addresses), "limit": limit}
    return [row.job_id for row in tx.execute(sa.text(JOBS_MEANT_SQL), values)]


def jobs_of_lead(tx: Tx, lead_id: int, *, limit: int) -> list[int]:
    """The jobs of a lead's messages, newest first."""
    rows = tx.execute(sa.text(JOBS_OF_LEAD_SQL), {"lead_id": lead_id, "limit": limit})
    return [row.job_id for row in rows]


def job(tx: Tx, job_id: int) -> Any | None:
    """The job's row with its lane, or None when it was pruned."""
    return tx.execute(sa.text(JOB_SQL), {"job_id": job_id}).one_or_none()


def rows_of(tx: Tx, statement: str, job_id: int) -> Sequence[Any]:
    """The rows of one of this module's statements for a job."""
    return tx.execute(sa.text(statement), {"job_id": job_id}).all()


def rows_of_jobs(tx: Tx, statement: str, job_ids: Sequence[int]) -> Sequence[Any]:
    """The rows of one of this module's statements for several jobs."""
    return tx.execute(sa.text(statement), {"job_ids": list(job_ids)}).all()


def jobs_of_story(tx: Tx, job_id: int) -> list[int]:
    """The job itself and those that send its drafts."""
    return [row.job_id for row in tx.execute(sa.text(JOBS_OF_STORY_SQL), {"job_id": job_id})]


def next_inbound(tx: Tx, *, workspace: str, address: str, after: datetime) -> Any | None:
    """When the lead wrote next, and the job of that message."""
    values = {"workspace": workspace, "address": address, "after": after}
    return tx.execute(sa.text(NEXT_INBOUND_SQL), values).one_or_none()


def lead(tx: Tx, *, workspace: str, address: str) -> Any | None:
    """The lead of an address."""
    return tx.execute(sa.text(LEAD_SQL), {"workspace": workspace, "address": address}).one_or_none()


def sent_by_others(tx: Tx, *, workspace: str, address: str, after: datetime, until: datetime) -> Sequence[Any]:
    """Messages to an address that people or campaigns sent, oldest first."""
    values = {"workspace": workspace, "address": address, "after": after, "until": until}
    return tx.execute(sa.text(SENT_BY_OTHERS_SQL), values).all()


def flips(tx: Tx, flags: Sequence[str], *, until: datetime) -> Sequence[Any]:
    """The latest flips of these flags before an instant, oldest first."""
    rows = tx.execute(sa.text(FLIPS_SQL), {"flags": list(flags), "until": until}).all()
    return list(reversed(rows))
