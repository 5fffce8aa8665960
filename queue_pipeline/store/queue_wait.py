"""What went on in a shard while a job waited there: function runs, windows, and the work of others."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from queue_pipeline.store.session import Tx

#: More function runs and windows than this are not told; those next to the end of the wait are.
_RUNS_MAX = 200
#: More jobs than this are not counted.
_JOBS_MAX = 10_000

#: Those that lived in the wait and the last one that ended before it. Newest first.
RUNS_SQL = f"""
SELECT function_run_id, shard, host, pid, started_at, ended_at, end_reason, heartbeat_at, progress_at, lease_until
FROM function_run WHERE shard = :shard AND started_at <= :until
ORDER BY started_at DESC LIMIT {_RUNS_MAX}
"""

RUN_SQL = """
SELECT function_run_id, shard, host, pid, started_at, ended_at, end_reason, heartbeat_at, progress_at, lease_until
FROM function_run WHERE function_run_id = ANY (CAST(:function_run_ids AS bigint[]))
"""

WINDOWS_SQL = f"""
SELECT dispatch_key, source, state, opened_at, coalesce(taken_at, closed_at) AS ended_at, function_run_id
FROM dispatch_window WHERE shard = :shard AND opened_at <= :until
ORDER BY opened_at DESC LIMIT {_RUNS_MAX}
"""

#: Jobs that a recovered function run lost, or whose handlers hung in it.
HELD_SQL = """
SELECT a.function_run_id, a.job_id, j.kind, a.outcome, a.claimed_at, a.finished_at, a.step, a.progress, a.stack
FROM job_attempt a LEFT JOIN job j USING (job_id)
WHERE a.function_run_id = ANY (CAST(:function_run_ids AS bigint[])) AND a.outcome IN ('LOST', 'TIMED_OUT')
ORDER BY a.stack IS NULL, a.job_id LIMIT 500
"""

#: The same of a function run that nobody has recovered yet.
STILL_HELD_SQL = """
SELECT j.function_run_id, j.job_id, j.kind, 'RUNNING' AS outcome, j.claimed_at, clock_timestamp() AS finished_at,
       s.step, s.progress, s.stack
FROM job j LEFT JOIN handler_sample s ON s.job_id = j.job_id AND s.fence = j.fence
WHERE j.state = 'RUNNING' AND j.function_run_id = ANY (CAST(:function_run_ids AS bigint[]))
ORDER BY s.stack IS NULL, j.job_id LIMIT 500
"""

DECISIONS_SQL = """
SELECT decision_id, decided_at, swept_by, signal, function_run_id, detail FROM recovery_decision WHERE job_id = :job_id
UNION
SELECT decision_id, decided_at, swept_by, signal, function_run_id, detail FROM recovery_decision
WHERE function_run_id = ANY (CAST(:function_run_ids AS bigint[])) AND job_id IS NULL
ORDER BY decided_at LIMIT 200
"""

ENDED_MEANWHILE_SQL = f"""
SELECT count(*) FILTER (WHERE own) AS own_jobs, count(*) FILTER (WHERE NOT own) AS other_jobs
FROM (SELECT coalesce(j.workspace = :workspace, false) AS own
      FROM job_attempt a LEFT JOIN job j USING (job_id)
      WHERE a.finished_at BETWEEN :since AND :until AND a.function_run_id = ANY (CAST(:function_run_ids AS bigint[]))
        AND a.outcome NOT IN ('LOST', 'TIMED_OUT', 'RELEASED') AND a.job_id <> :job_id
      LIMIT {_JOBS_MAX}) ended
"""


def runs(tx: Tx, *, shard: str, since: datetime, until: datetime) -> tuple[list[Any], Any | None]:
    """The function runs of a shard that lived between two instants, oldest first, and the last that ended before."""
    rows = tx.execute(sa.text(RUNS_SQL), {"shard": shard, "until": until}).all()
    lived = [row for row in reversed(rows) if row.ended_at is None or row.ended_at > since]
    before = [row for row in rows if row.ended_at is not None and row.ended_at <= since]
    return lived, max(before, key=lambda row: row.ended_at, default=None)


def runs_by_id(tx: Tx, function_run_ids: Sequence[int]) -> Sequence[Any]:
    """These function runs."""
    return tx.execute(sa.text(RUN_SQL), {"function_run_ids": list(function_run_ids)}).all()


def windows(tx: Tx, *, shard: str, since: datetime, until: datetime) -> list[Any]:
    """The windows of a shard that stood open between two instants, oldest first."""
    rows = tx.execute(sa.text(WINDOWS_SQL), {"shard": shard, "until": until}).all()
    return [row for row in reversed(rows) if row.ended_at is None or row.ended_at >= since]


def held(tx: Tx, function_run_ids: Sequence[int]) -> Sequence[Any]:
    """The jobs that these function runs lost, hung in, or hold; those with a stack first."""
    values = {"function_run_ids": list(function_run_ids)}
    return [*tx.execute(sa.text(HELD_SQL), values), *tx.execute(sa.text(STILL_HELD_SQL), values)]


def decisions(tx: Tx, *, job_id: int, function_run_ids: Sequence[int]) -> Sequence[Any]:
    """Recovery decisions about a job and about function runs, oldest first."""
    values = {"job_id": job_id, "function_run_ids": list(function_run_ids)}
    return tx.execute(sa.text(DECISIONS_SQL), values).all()


def ended_meanwhile(
    tx: Tx, *, job_id: int, workspace: str, since: datetime, until: datetime, function_run_ids: Sequence[int]
) -> tuple[int, int]:
    """How many jobs of this workspace, and of others, these function runs finished between two instants."""
    values = {
        "job_id": job_id,
        "workspace": workspace,
        "since": since,
        "until": until,
        "function_run_ids": list(function_run_ids),
    }
    row = tx.execute(sa.text(ENDED_MEANWHILE_SQL), values).one()
    return int(row.own_jobs), int(row.other_jobs)
