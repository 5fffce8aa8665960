"""Take a dead or stale function run's jobs from it, and write down why."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from queue_pipeline.store.session import Tx

LOCK_RUN_SQL = """
SELECT 1 FROM function_run WHERE function_run_id = :function_run_id AND fence = :fence AND state = 'RUNNING' FOR UPDATE
"""

#: Jobs of a fenced run, or one overdue job: the attempt is recorded as LOST with the last sample of its handler,
#: the job goes back with its place in the queue untouched, to DEAD at its limit, or to CANCELLED if that was asked.
GIVE_BACK_SQL = """
WITH held AS MATERIALIZED (
    SELECT j.job_id, j.fence, j.attempt, j.claimed_at, j.run_at AS due_at, j.function_run_id, j.workspace,
           CASE WHEN j.cancel_requested_at IS NOT NULL THEN 'CANCELLED'
                WHEN j.attempt >= j.max_attempts THEN 'DEAD' ELSE 'PENDING' END AS target
    FROM job j
    WHERE j.state = 'RUNNING' AND j.function_run_id = :function_run_id
      AND (CAST(:job_id AS bigint) IS NULL OR (j.job_id = :job_id AND j.fence = :job_fence))
    ORDER BY j.job_id
    FOR UPDATE
), moved AS (
    UPDATE job j
    SET state = h.target, fence = NULL, function_run_id = NULL, claimed_at = NULL, deadline_at = NULL,
        finished_at = CASE WHEN h.target = 'PENDING' THEN NULL ELSE clock_timestamp() END,
        dedupe_held = j.dedupe_held AND (h.target = 'PENDING' OR j.dedupe_until > clock_timestamp()) IS TRUE,
        last_error = :reason
    FROM held h WHERE j.job_id = h.job_id
), recorded AS (
    INSERT INTO job_attempt (job_id, attempt, fence, function_run_id, due_at, claimed_at, finished_at, outcome,
                             error_class, error, step, progress, stack)
    SELECT h.job_id, h.attempt, h.fence, h.function_run_id, h.due_at, h.claimed_at, clock_timestamp(), 'LOST',
           :signal, :reason, s.step, s.progress, s.stack
    FROM held h LEFT JOIN handler_sample s ON s.job_id = h.job_id AND s.fence = h.fence
), unsampled AS (
    DELETE FROM handler_sample s USING held h WHERE s.job_id = h.job_id AND s.fence = h.fence
), woken AS (
    INSERT INTO lane_wake (workspace) SELECT DISTINCT workspace FROM held WHERE target = 'PENDING'
)
SELECT count(*) FILTER (WHERE target = 'PENDING') AS given_back, count(*) FILTER (WHERE target = 'DEAD') AS dead, count(*) AS held
FROM held
"""

MARK_RECOVERED_SQL = """
UPDATE function_run SET state = 'RECOVERED', ended_at = clock_timestamp(), end_reason = :signal, end_detail = :detail, lost = lost + :lost
WHERE function_run_id = :function_run_id AND fence = :fence AND state = 'RUNNING'
"""

#: Jobs past their deadline and grace although their function run is alive.
OVERDUE_SQL = """
SELECT j.job_id, j.fence, j.kind, j.function_run_id, r.shard, r.dagster_run_id,
       extract(epoch FROM clock_timestamp() - j.deadline_at)::float8 AS overdue_seconds
FROM job j JOIN function_run r USING (function_run_id)
WHERE j.state = 'RUNNING' AND r.state = 'RUNNING' AND j.deadline_at < now() - make_interval(secs => :grace_seconds)
ORDER BY j.deadline_at LIMIT :limit
"""

#: Jobs RUNNING in a function run that has ended: the last net, should a claim ever escape the others. (Ordered by
#: job_id the planner would rather walk the primary key through all history than read the few running jobs.)
UNOWNED_SQL = """
SELECT j.job_id, j.fence, j.kind, j.function_run_id, r.shard, r.dagster_run_id
FROM job j LEFT JOIN function_run r USING (function_run_id)
WHERE j.state = 'RUNNING' AND r.state IS DISTINCT FROM 'RUNNING'
ORDER BY j.claimed_at LIMIT :limit
"""

DECISION_SQL = """
INSERT INTO recovery_decision (swept_by, signal, function_run_id, window_id, job_id, shard, detail, jobs_given_back, jobs_dead, successor_window_id)
VALUES (:swept_by, :signal, :function_run_id, :window_id, :job_id, :shard, :detail, :jobs_given_back, :jobs_dead, :successor_window_id)
"""

#: What is kept of a finding while recovery only observes.
OBSERVED = ("key", "signal", "shard", "function_run_id", "window_id", "job_id")
OBSERVE_SQL = """
INSERT INTO recovery_observation (finding_key, observed_by, signal, shard, function_run_id, window_id, job_id, would)
VALUES (:key, :by, :signal, :shard, :function_run_id, :window_id, :job_id, :would)
ON CONFLICT (finding_key) DO UPDATE SET last_seen_at = clock_timestamp()
"""
OBSERVATIONS_SQL = """
SELECT finding_key, observed_at, last_seen_at, observed_by, signal, shard, would FROM recovery_observation
WHERE last_seen_at > now() - make_interval(secs => :seconds) ORDER BY last_seen_at DESC LIMIT :limit
"""

STALE_SINCE_SQL = """
SELECT count(DISTINCT function_run_id) FROM recovery_decision
WHERE signal IN ('stale', 'lease_expired') AND decided_at > :since
"""

#: A process that stands still in the middle of a transaction holds its function run's row, and recovery would wait for it.
#: Only sessions of ours that wait for their client; every transaction of ours that holds such a row takes milliseconds.
END_STUCK_SQL = """
SELECT count(*) FILTER (WHERE pg_terminate_backend(a.pid)) FROM pg_stat_activity a
WHERE a.datname = current_database() AND a.usename = current_user AND a.pid <> pg_backend_pid()
  AND a.application_name LIKE 'queue\\_pipeline%' AND a.wait_event_type = 'Client'
  AND a.xact_start < clock_timestamp() - make_interval(secs => :seconds)
  AND EXISTS (SELECT FROM pg_locks l WHERE l.pid = a.pid AND l.granted AND l.relation = 'function_run'::regclass
                AND l.mode IN ('RowShareLock', 'RowExclusiveLock'))
"""

MARK_SWEEP_SQL = """
INSERT INTO sweep_mark (swept_at, swept_by) VALUES (clock_timestamp(), :swept_by)
ON CONFLICT (only_row) DO UPDATE SET swept_at = excluded.swept_at, swept_by = excluded.swept_by
"""


@dataclass(frozen=True)
class HeldJob:
    """A RUNNING job that recovery looks at; `overdue_seconds` is 0 for one without an owner."""

    job_id: int
    fence: int
    kind: str
    function_run_id: int
    shard: str | None
    dagster_run_id: str | None
    overdue_seconds: float = 0.0


@dataclass(frozen=True)
class Observation:
    """What stood still and was left alone, because recovery only observed."""

    finding_key: str
    observed_at: datetime
    last_seen_at: datetime
    observed_by: str
    signal: str
    shard: str | None
    would: str


@dataclass(frozen=True)
class GivenBack:
    """How many jobs went back to PENDING, to DEAD, and were held in all."""

    given_back: int
    dead: int
    held: int


def lock_run(tx: Tx, function_run_id: int, fence: int) -> bool:
    """Lock a function run against claims and heartbeats; False when it is no longer RUNNING with this fence."""
    return (
        tx.execute(sa.text(LOCK_RUN_SQL), {"function_run_id": function_run_id, "fence": fence}).one_or_none()
        is not None
    )


def give_back(
    tx: Tx, function_run_id: int, *, signal: str, reason: str, job_id: int | None = None, job_fence: int | None = None
) -> GivenBack:
    """Take all jobs, or one, from a function run."""
    row = tx.execute(
        sa.text(GIVE_BACK_SQL),
        {
            "function_run_id": function_run_id,
            "signal": signal,
            "reason": reason,
            "job_id": job_id,
            "job_fence": job_fence,
        },
    ).one()
    return GivenBack(**row._mapping)


def mark_recovered(tx: Tx, function_run_id: int, fence: int, *, signal: str, detail: str, lost: int) -> None:
    """Fence a function run for good."""
    tx.execute(
        sa.text(MARK_RECOVERED_SQL),
        {"function_run_id": function_run_id, "fence": fence, "signal": signal, "detail": detail, "lost": lost},
    )


def overdue(tx: Tx, *, grace_seconds: float, limit: int) -> list[HeldJob]:
    """Jobs whose deadline passed `grace_seconds` ago or more, longest overdue first."""
    rows = tx.execute(sa.text(OVERDUE_SQL), {"grace_seconds": grace_seconds, "limit": limit})
    return [HeldJob(**row._mapping) for row in rows]


def unowned(tx: Tx, *, limit: int) -> list[HeldJob]:
    """RUNNING jobs whose function run has ended."""
    return [HeldJob(**row._mapping) for row in tx.execute(sa.text(UNOWNED_SQL), {"limit": limit})]


def record_decision(
    tx: Tx,
    *,
    swept_by: str,
    signal: str,
    detail: str,
    shard: str | None,
    function_run_id: int | None,
    window_id: int | None,
    job_id: int | None,
    jobs_given_back: int,
    jobs_dead: int,
    successor_window_id: int | None,
) -> None:
    """Append why something was recovered and what came of it; wakes lingering drains."""
    tx.execute(
        sa.text(DECISION_SQL),
        {
            "swept_by": swept_by,
            "signal": signal,
            "detail": detail,
            "shard": shard,
            "function_run_id": function_run_id,
            "window_id": window_id,
            "job_id": job_id,
            "jobs_given_back": jobs_given_back,
            "jobs_dead": jobs_dead,
            "successor_window_id": successor_window_id,
        },
    )
    tx.execute(sa.text("SELECT pg_notify('queue_pipeline', 'due')"))


def observe(tx: Tx, *, by: str, would: str, **finding: object) -> None:
    """Keep what recovery would have done about a finding (OBSERVED); the same one again only shows that it is still there."""
    tx.execute(sa.text(OBSERVE_SQL), {**finding, "by": by, "would": would})


def observations(tx: Tx, *, seconds: float, limit: int) -> list[Observation]:
    """What was seen standing still in the last so many seconds while recovery only observed, latest first."""
    rows = tx.execute(sa.text(OBSERVATIONS_SQL), {"seconds": seconds, "limit": limit})
    return [Observation(**row._mapping) for row in rows]


def stale_since(tx: Tx, since: datetime) -> int:
    """How many function runs were recovered since then because they were stale, or could not renew their lease."""
    return int(tx.execute(sa.text(STALE_SINCE_SQL), {"since": since}).scalar_one())


def end_stuck_transactions(tx: Tx, *, seconds: float) -> int:
    """End sessions of processes that stand still in a transaction that holds a function run; returns how many."""
    return int(tx.execute(sa.text(END_STUCK_SQL), {"seconds": seconds}).scalar_one())


def mark_sweep(tx: Tx, swept_by: str) -> None:
    """Reset the dead man's switch."""
    tx.execute(sa.text(MARK_SWEEP_SQL), {"swept_by": swept_by})
