"""Lists for operators: jobs by what they are, and what the embedded outbox has accepted."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from queue_pipeline.store.session import Tx

JOBS_SQL = """
SELECT job_id, kind, workspace, state, priority, attempt, max_attempts, run_at, first_due_at, created_at, finished_at,
       dedupe_key, last_error
FROM job
WHERE (CAST(:state AS text) IS NULL OR state = :state) AND (CAST(:kind AS text) IS NULL OR kind = :kind)
  AND (CAST(:workspace AS text) IS NULL OR workspace = :workspace)
ORDER BY job_id DESC LIMIT :limit
"""

OUTBOX_SQL = """
SELECT p.provider_message_id, m.outbound_message_id, m.workspace, m.job_id, m.channel, m.purpose, p.recipient, p.body,
       p.first_seen_at AS accepted_at
FROM provider_message p LEFT JOIN outbound_message m USING (outbound_message_id)
WHERE p.provider = 'outbox' AND p.direction = 'outbound'
  AND (CAST(:workspace AS text) IS NULL OR m.workspace = :workspace)
ORDER BY p.first_seen_at DESC LIMIT :limit
"""

MESSAGES_SQL = """
SELECT outbound_message_id, workspace, job_id, lead_id, draft_id, channel, purpose, recipient, provider, account, state, attempt,
       in_doubt, reason, decided_by, created_at, updated_at, not_before, sent_at
FROM outbound_message
WHERE (CAST(:states AS text[]) IS NULL OR state = ANY (CAST(:states AS text[])))
  AND (CAST(:only AS bigint) IS NULL OR outbound_message_id = :only)
  AND (CAST(:workspace AS text) IS NULL OR workspace = :workspace)
ORDER BY outbound_message_id DESC LIMIT :limit
"""

ATTEMPTS_SQL = """
SELECT attempt, epoch, sender, function_run_id, dagster_run_id, started_at, deadline_at, finished_at, outcome, error_class, error,
       http_status, provider_message_id
FROM send_attempt WHERE outbound_message_id = :outbound_message_id ORDER BY attempt
"""


@dataclass(frozen=True)
class ListedJob:
    """A job without its payload."""

    job_id: int
    kind: str
    workspace: str
    state: str
    priority: int
    attempt: int
    max_attempts: int
    run_at: datetime
    first_due_at: datetime
    created_at: datetime
    finished_at: datetime | None
    dedupe_key: str | None
    last_error: str | None


@dataclass(frozen=True)
class OutboxMessage:
    """A message that the embedded outbox accepted; the ledger's columns are None for one without an intent."""

    provider_message_id: str
    outbound_message_id: int | None
    workspace: str | None
    job_id: int | None
    channel: str | None
    purpose: str | None
    recipient: str
    body: str
    accepted_at: datetime


@dataclass(frozen=True)
class ListedMessage:
    """A message for operators, without its text."""

    outbound_message_id: int
    workspace: str
    job_id: int
    lead_id: int | None
    draft_id: int | None
    channel: str
    purpose: str
    recipient: str
    provider: str
    account: str
    state: str
    attempt: int
    in_doubt: bool
    reason: str | None
    decided_by: str | None
    created_at: datetime
    updated_at: datetime
    not_before: datetime | None
    sent_at: datetime | None


@dataclass(frozen=True)
class ListedAttempt:
    """One attempt to hand a message to its provider."""

    attempt: int
    epoch: int
    sender: str
    function_run_id: int | None
    dagster_run_id: str | None
    started_at: datetime
    deadline_at: datetime
    finished_at: datetime | None
    outcome: str | None
    error_class: str | None
    error: str | None
    http_status: int | None
    provider_message_id: str | None


def jobs(tx: Tx, *, state: str | None, kind: str | None, workspace: str | None, limit: int) -> list[ListedJob]:
    """Jobs, newest first."""
    values = {"state": state, "kind": kind, "workspace": workspace, "limit": limit}
    return [ListedJob(**row._mapping) for row in tx.execute(sa.text(JOBS_SQL), values)]


def outbox(tx: Tx, *, workspace: str | None, limit: int) -> list[OutboxMessage]:
    """What the embedded outbox accepted, newest first."""
    rows = tx.execute(sa.text(OUTBOX_SQL), {"workspace": workspace, "limit": limit})
    return [OutboxMessage(**row._mapping) for row in rows]


def messages(tx: Tx, *, states: Sequence[str] | None, workspace: str | None, limit: int) -> list[ListedMessage]:
    """Messages for operators, newest first."""
    values = {"states": None if states is None else list(states), "workspace": workspace, "limit": limit, "only": None}
    return [ListedMessage(**row._mapping) for row in tx.execute(sa.text(MESSAGES_SQL), values)]


def message(tx: Tx, outbound_message_id: int) -> ListedMessage | None:
    """One message, or None."""
    values = {"states": None, "workspace": None, "limit": 1, "only": outbound_message_id}
    row = tx.execute(sa.text(MESSAGES_SQL), values).one_or_none()
    return None if row is None else ListedMessage(**row._mapping)


def attempts(tx: Tx, outbound_message_id: int) -> list[ListedAttempt]:
    """Every attempt of a message, oldest first."""
    rows = tx.execute(sa.text(ATTEMPTS_SQL), {"outbound_message_id": outbound_message_id})
    return [ListedAttempt(**row._mapping) for row in rows]
