"""Messages that wait for somebody: overdue, proven, abandoned, or due to be tried or looked at."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from queue_pipeline.store.outbound import COLUMNS, Message
from queue_pipeline.store.session import Tx

OVERDUE_SQL = f"""
SELECT {COLUMNS} FROM outbound_message m WHERE m.state = 'SENDING' AND m.deadline_at < clock_timestamp()
ORDER BY m.deadline_at LIMIT :limit FOR UPDATE SKIP LOCKED
"""

#: Evidence that came while the message was being sent could not end the doubt then. Never tried, it has no evidence.
PROVEN_SQL = f"""
SELECT {COLUMNS}, p.sent_at, p.observed_via FROM outbound_message m
JOIN LATERAL (SELECT sent_at, observed_via FROM provider_message p WHERE p.outbound_message_id = m.outbound_message_id
              AND p.direction = 'outbound' ORDER BY first_seen_at LIMIT 1) p ON true
WHERE m.state IN ('UNKNOWN', 'READY', 'NEEDS_HUMAN') AND m.attempt > 0
ORDER BY m.outbound_message_id LIMIT :limit FOR UPDATE OF m SKIP LOCKED
"""

#: Messages whose job ended before it could try them. One that was tried, whose job succeeded, or that a person
#: decided to send, goes on by itself.
ABANDONED_SQL = f"""
SELECT {COLUMNS}, j.state AS job_state FROM outbound_message m JOIN job j ON j.job_id = m.job_id
WHERE m.state = 'READY' AND m.attempt = 0 AND m.decided_by IS NULL AND j.state IN ('DEAD', 'CANCELLED')
ORDER BY m.not_before LIMIT :limit FOR UPDATE OF m SKIP LOCKED
"""

#: A READY message that was never tried belongs to its job until that has succeeded, or was pruned. The job is asked for
#: by a scalar subquery, because PostgreSQL would answer NOT EXISTS behind OR by reading the whole table of jobs.
_IS_DUE = """
d.state IN ('READY', 'UNKNOWN') AND d.not_before <= clock_timestamp()
AND (d.state = 'UNKNOWN' OR :sends_enabled)
AND (d.state = 'UNKNOWN' OR d.attempt > 0 OR d.decided_by IS NOT NULL
    OR coalesce((SELECT j.state FROM job j WHERE j.job_id = d.job_id), 'SUCCEEDED') = 'SUCCEEDED')
"""

#: Due messages, taken for a while: another reconciliation passes them over, and a dead one holds nothing for long.
TAKE_DUE_SQL = f"""
UPDATE outbound_message m SET not_before = clock_timestamp() + make_interval(secs => :hold)
FROM (
    SELECT outbound_message_id FROM outbound_message d WHERE {_IS_DUE}
    ORDER BY d.not_before LIMIT :limit FOR UPDATE SKIP LOCKED
) due
WHERE m.outbound_message_id = due.outbound_message_id
RETURNING {COLUMNS},
    coalesce(extract(epoch FROM clock_timestamp() - (
        SELECT max(a.deadline_at) FROM send_attempt a WHERE a.outbound_message_id = m.outbound_message_id)), 0)::float8
        AS since_deadline,
    coalesce(extract(epoch FROM clock_timestamp() - m.unknown_since), 0)::float8 AS unknown_for,
    coalesce(extract(epoch FROM clock_timestamp() - m.first_sending_at), 0)::float8 AS key_age,
    extract(epoch FROM clock_timestamp() - m.created_at)::float8 AS age
"""

WAITING_SQL = f"""
SELECT (SELECT count(*) FROM (SELECT FROM outbound_message o WHERE o.state = 'SENDING' AND o.deadline_at < clock_timestamp()
                              LIMIT 1000) overdue) AS overdue,
       (SELECT count(*) FROM (SELECT FROM outbound_message d WHERE {_IS_DUE} LIMIT 1000) due) AS due
"""

LOOK_AGAIN_SQL = """
UPDATE outbound_message
SET not_before = clock_timestamp() + make_interval(secs => :wait), updated_at = clock_timestamp()
WHERE outbound_message_id = :outbound_message_id AND state IN ('READY', 'UNKNOWN') AND epoch = :epoch
"""


@dataclass(frozen=True)
class DueMessage:
    """A message that reconciliation took, with its ages in seconds (see domain.outbound.Doubt); `age` is its own."""

    message: Message
    since_deadline: float
    unknown_for: float
    key_age: float
    age: float


def overdue(tx: Tx, *, limit: int) -> list[Message]:
    """Messages whose attempt ran past its deadline, locked."""
    return [Message(**row._mapping) for row in tx.execute(sa.text(OVERDUE_SQL), {"limit": limit})]


def proven(tx: Tx, *, limit: int) -> list[tuple[Message, datetime | None, str]]:
    """Messages not known as SENT of which a provider says that it has them: message, when, and how we know."""
    found = []
    for row in tx.execute(sa.text(PROVEN_SQL), {"limit": limit}):
        values = dict(row._mapping)
        sent_at, via = values.pop("sent_at"), values.pop("observed_via")
        found.append((Message(**values), sent_at, via))
    return found


def abandoned(tx: Tx, *, limit: int) -> list[tuple[Message, str]]:
    """Messages that were never tried and whose job ended without success, with the job's state."""
    found = []
    for row in tx.execute(sa.text(ABANDONED_SQL), {"limit": limit}):
        values = dict(row._mapping)
        job_state = values.pop("job_state")
        found.append((Message(**values), job_state))
    return found


def take_due(tx: Tx, *, limit: int, hold_seconds: float, sends_enabled: bool) -> list[DueMessage]:
    """Take what is due to be tried or looked at; others pass it over for `hold_seconds`."""
    values = {"limit": limit, "hold": hold_seconds, "sends_enabled": sends_enabled}
    taken = []
    for row in tx.execute(sa.text(TAKE_DUE_SQL), values):
        fields = dict(row._mapping)
        ages = {name: fields.pop(name) for name in ("since_deadline", "unknown_for", "key_age", "age")}
        taken.append(DueMessage(Message(**fields), **ages))
    return taken


def waiting(tx: Tx, *, sends_enabled: bool) -> tuple[int, int]:
    """How many attempts are past their deadline, and how many messages are due (each counted up to 1,000)."""
    row = tx.execute(sa.text(WAITING_SQL), {"sends_enabled": sends_enabled}).one()
    return row.overdue, row.due


def look_again(tx: Tx, message: Message, *, wait: float) -> None:
    """Come back to a message in so many seconds."""
    values = {
        "outbound_message_id": message.outbound_message_id,
        "epoch": message.epoch,
        "wait": wait,
    }
    tx.execute(sa.text(LOOK_AGAIN_SQL), values)
