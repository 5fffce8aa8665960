"""What the drill asks and removes: its own workspace, and nothing else."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from queue_pipeline.store.session import Tx

NEXT_JOB_SQL = "SELECT coalesce(max(job_id), 0) + 1 FROM job"

PROGRESS_SQL = """
SELECT count(*) FILTER (WHERE state = 'SUCCEEDED') AS succeeded,
       count(*) FILTER (WHERE state IN ('DEAD', 'CANCELLED')) AS lost,
       count(*) FILTER (WHERE state = 'RUNNING' AND function_run_id IN (
           SELECT function_run_id FROM function_run WHERE pid = :pid AND state = 'RUNNING')) AS held
FROM job WHERE job_id >= :since AND workspace = :workspace
"""

ATTEMPTS_SQL = """
SELECT a.job_id, a.attempt, a.function_run_id, a.claimed_at, a.finished_at, a.outcome, a.error, a.progress, a.stack
FROM job j JOIN job_attempt a USING (job_id) WHERE j.job_id >= :since AND j.workspace = :workspace ORDER BY a.finished_at
"""

DECISIONS_SQL = """
SELECT d.decided_at, d.swept_by, d.signal, d.detail, d.jobs_given_back FROM recovery_decision d
JOIN function_run r USING (function_run_id) WHERE r.pid = :pid AND d.decided_at > r.started_at ORDER BY d.decided_at
"""

LIVING_SQL = "SELECT function_run_id, fence, pid FROM function_run WHERE shard = :shard AND state = 'RUNNING'"

LEAD_ENDS_SQL = """
SELECT o.job_id, o.outcome, EXISTS (
           SELECT FROM notification n WHERE n.job_id = o.job_id AND n.delivered_at IS NOT NULL) AS notified
FROM lead_outcome o WHERE o.job_id = ANY (CAST(:job_ids AS bigint[]))
"""

QUOTA_SQL = """
INSERT INTO workspace_lane AS l (workspace, shard, quota, vtime)
VALUES (:workspace, :shard, :quota, lane_virtual_time(:shard))
ON CONFLICT (workspace) DO UPDATE SET quota = excluded.quota
RETURNING l.shard
"""

#: Nobody shall review a draft or do a task that was staged.
SETTLE_SQL = """
WITH drafts AS (
    UPDATE draft SET state = 'REJECTED', decided_by = 'drill', decision = 'it was staged', decided_at = clock_timestamp(),
                     updated_at = clock_timestamp()
    WHERE workspace = :workspace AND state = 'FOR_REVIEW'
)
UPDATE lead_task SET state = 'DONE', done_by = 'drill', done_at = clock_timestamp()
WHERE workspace = :workspace AND state = 'OPEN'
"""

#: The jobs of the staged incident stay once they have ended; the others go with all that belongs to them.
REMOVE_SQL = """
WITH gone AS (
    DELETE FROM job WHERE workspace = :workspace AND state <> 'RUNNING'
      AND (kind IN ('drill.work', 'drill.hang', 'drill.fail') OR finished_at IS NULL) RETURNING job_id
), without_attempts AS (
    DELETE FROM job_attempt WHERE job_id IN (SELECT job_id FROM gone)
), without_steps AS (
    DELETE FROM job_step WHERE job_id IN (SELECT job_id FROM gone)
), without_samples AS (
    DELETE FROM handler_sample WHERE job_id IN (SELECT job_id FROM gone)
), without_wakes AS (
    DELETE FROM lane_wake WHERE workspace = :workspace
), without_lane AS (
    DELETE FROM workspace_lane l WHERE workspace = :workspace
      AND NOT EXISTS (SELECT FROM job j WHERE j.workspace = l.workspace AND j.state = 'RUNNING')
)
SELECT count(*) FROM gone
"""


def next_job_id(tx: Tx) -> int:
    """Every job of this drill has this id or a later one."""
    return int(tx.execute(sa.text(NEXT_JOB_SQL)).scalar_one())


def progress(tx: Tx, *, workspace: str, since: int, pid: int) -> Any:
    """How far the drill's jobs are; `held` counts those claimed by the drain with this process id."""
    return tx.execute(sa.text(PROGRESS_SQL), {"workspace": workspace, "since": since, "pid": pid}).one()


def attempts(tx: Tx, *, workspace: str, since: int) -> list[Any]:
    """Every ended attempt of the drill's jobs, in the order of their ends."""
    return list(tx.execute(sa.text(ATTEMPTS_SQL), {"workspace": workspace, "since": since}))


def decisions(tx: Tx, *, pid: int) -> list[Any]:
    """The recovery decisions about function runs of this process."""
    return list(tx.execute(sa.text(DECISIONS_SQL), {"pid": pid}))


def living(tx: Tx, *, shard: str) -> list[Any]:
    """The function runs of a shard that have not ended."""
    return list(tx.execute(sa.text(LIVING_SQL), {"shard": shard}))


def is_sampled(tx: Tx, job_id: int) -> bool:
    """Whether it is on record where the job's handler is."""
    statement = sa.text("SELECT EXISTS (SELECT FROM handler_sample WHERE job_id = :job_id AND step IS NOT NULL)")
    return bool(tx.execute(statement, {"job_id": job_id}).scalar_one())


def lead_ends(tx: Tx, job_ids: Sequence[int]) -> list[Any]:
    """How the messages of these jobs ended, as far as they have, and whether people were told."""
    return list(tx.execute(sa.text(LEAD_ENDS_SQL), {"job_ids": list(job_ids)}))


def set_quota(tx: Tx, *, workspace: str, shard: str, quota: int) -> str:
    """How many jobs of the workspace may be claimed at once; 0 lets its queue age. Returns the shard it lies in."""
    values = {"workspace": workspace, "shard": shard, "quota": quota}
    lies_in = str(tx.execute(sa.text(QUOTA_SQL), values).scalar_one())
    tx.execute(sa.text("SELECT pg_notify('queue_pipeline', 'due')"))
    return lies_in


def settle(tx: Tx, *, workspace: str) -> None:
    """Close the staged drafts and tasks, so that nobody works on them."""
    tx.execute(sa.text(SETTLE_SQL), {"workspace": workspace})


def remove(tx: Tx, *, workspace: str) -> int:
    """Remove the drill's other jobs, their attempts and its lane; returns how many jobs went."""
    return int(tx.execute(sa.text(REMOVE_SQL), {"workspace": workspace}).scalar_one())
