"""Operators' statements about single jobs: cancel, dead letters, replay."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from queue_pipeline.store.session import Tx

CANCEL_WAITING_SQL = """
UPDATE job SET state = 'CANCELLED', parked = false, finished_at = clock_timestamp(), cancel_requested_at = clock_timestamp(), last_error = :why,
       dedupe_held = dedupe_held AND (dedupe_until > clock_timestamp()) IS TRUE
WHERE job_id = :job_id AND state IN ('SCHEDULED', 'PENDING')
RETURNING job_id
"""

CANCEL_RUNNING_SQL = """
UPDATE job SET cancel_requested_at = coalesce(cancel_requested_at, clock_timestamp()), last_error = :why
WHERE job_id = :job_id AND state = 'RUNNING'
RETURNING job_id
"""

DEAD_LETTERS_SQL = """
SELECT job_id, kind, workspace, attempt, max_attempts, finished_at, last_error
FROM job WHERE state = 'DEAD' AND (CAST(:kind AS text) IS NULL OR kind = :kind)
  AND (CAST(:workspace AS text) IS NULL OR workspace = :workspace)
ORDER BY finished_at DESC LIMIT :limit
"""

#: A replayed job starts its attempts anew, is due now and holds its idempotency key again; its earlier attempts stay on
#: record. A dead letter stays dead when another job has taken its key since, or died with the same key after it:
#: replaying both would do the work twice.
REPLAY_SQL = """
WITH chosen AS (
    SELECT j.job_id FROM job j
    WHERE j.state = 'DEAD'
      AND (CAST(:job_ids AS bigint[]) IS NULL OR j.job_id = ANY (CAST(:job_ids AS bigint[])))
      AND (CAST(:kind AS text) IS NULL OR j.kind = :kind) AND (CAST(:workspace AS text) IS NULL OR j.workspace = :workspace)
      AND NOT EXISTS (SELECT FROM job o WHERE o.workspace = j.workspace AND o.kind = j.kind AND o.dedupe_key = j.dedupe_key
                      AND o.job_id <> j.job_id AND (o.dedupe_held OR (o.state = 'DEAD' AND o.job_id > j.job_id AND j.dedupe_until IS NULL)))
    ORDER BY j.finished_at LIMIT :limit
    FOR UPDATE SKIP LOCKED
), replayed AS (
    UPDATE job j SET state = 'PENDING', attempt = 0, run_at = clock_timestamp(), first_due_at = clock_timestamp(),
           finished_at = NULL, cancel_requested_at = NULL, last_error = :why,
           dedupe_held = j.dedupe_key IS NOT NULL AND coalesce(j.dedupe_until > clock_timestamp(), true)
    FROM chosen c WHERE j.job_id = c.job_id
    RETURNING j.job_id, j.workspace
), woken AS (
    INSERT INTO lane_wake (workspace) SELECT DISTINCT workspace FROM replayed
)
SELECT job_id FROM replayed ORDER BY job_id
"""


@dataclass(frozen=True)
class DeadLetter:
    """A job that ended in DEAD, and why."""

    job_id: int
    kind: str
    workspace: str
    attempt: int
    max_attempts: int
    finished_at: datetime
    last_error: str | None


def state_of(tx: Tx, job_id: int) -> str | None:
    """A job's state, or None when there is no such job."""
    return tx.execute(sa.text("SELECT state FROM job WHERE job_id = :job_id"), {"job_id": job_id}).scalar_one_or_none()


def cancel_waiting(tx: Tx, job_id: int, why: str) -> bool:
    """Cancel a job that has not started; False when it is not waiting."""
    return tx.execute(sa.text(CANCEL_WAITING_SQL), {"job_id": job_id, "why": why}).one_or_none() is not None


def cancel_running(tx: Tx, job_id: int, why: str) -> bool:
    """Ask for the cancellation of a running job and wake its drain; False when it is not running."""
    asked = tx.execute(sa.text(CANCEL_RUNNING_SQL), {"job_id": job_id, "why": why}).one_or_none() is not None
    if asked:
        tx.execute(sa.text("SELECT pg_notify('queue_pipeline', 'cancel')"))
    return asked


def dead_letters(tx: Tx, *, kind: str | None, workspace: str | None, limit: int) -> list[DeadLetter]:
    """Dead letters, newest first."""
    rows = tx.execute(sa.text(DEAD_LETTERS_SQL), {"kind": kind, "workspace": workspace, "limit": limit})
    return [DeadLetter(**row._mapping) for row in rows]


def replay(
    tx: Tx, *, job_ids: Sequence[int] | None, kind: str | None, workspace: str | None, limit: int, why: str
) -> list[int]:
    """Make dead letters pending again; returns their ids."""
    rows = tx.execute(
        sa.text(REPLAY_SQL),
        {
            "job_ids": None if job_ids is None else list(job_ids),
            "kind": kind,
            "workspace": workspace,
            "limit": limit,
            "why": why,
        },
    )
    replayed = [row.job_id for row in rows]
    if replayed:
        tx.execute(sa.text("SELECT pg_notify('queue_pipeline', 'due')"))
    return replayed
