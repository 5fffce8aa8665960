"""What the queue looks like at one instant, asked so that neither history nor a large backlog makes it slow.

Every count reads a partial index and stops at `COUNT_MAX`; 10 million finished jobs cost nothing, and a million
pending ones cost a few hundred milliseconds.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from psycopg.types.json import Jsonb

from queue_pipeline.store import audit
from queue_pipeline.store.session import Tx

#: Counts stop here: what lies beyond is a disaster by any number.
COUNT_MAX = 1_000_000
#: The oldest due jobs that are looked at one by one, for the exact age of each shard.
OLDEST_MAX = 20_000
#: Pending jobs whose wait so far enters the percentiles; of a longer backlog, every n-th job by id.
WAITS_MAX = 20_000

_TOTALS_SQL = """
SELECT now() AS sampled_at,
    (SELECT count(*) FROM (SELECT FROM job WHERE state = 'SCHEDULED' AND NOT parked AND run_at > now()
        LIMIT %(count_max)s) s) AS scheduled,
    (SELECT count(*) FROM (SELECT FROM job WHERE parked LIMIT %(count_max)s) p) AS parked,
    (SELECT count(*) FROM (SELECT FROM job WHERE state = 'DEAD' LIMIT %(count_max)s) d) AS dead,
    (SELECT count(*) FROM function_run WHERE state = 'RUNNING' AND (lease_until < now()
        OR progress_at < now() - make_interval(secs => %(stale_cutoff)s))) AS stale_function_runs,
    (SELECT count(*) FROM dispatch_window WHERE state = 'OPEN' AND launch_by < now()) AS orphaned_windows,
    (SELECT count(*) FROM outbound_message WHERE state = 'UNKNOWN') AS unknown_sends,
    (SELECT count(*) FROM outbound_message WHERE state = 'NEEDS_HUMAN') AS needs_human,
    (SELECT count(*) FROM alert_incident WHERE status = 'firing') AS open_incidents,
    (SELECT count(*) FROM late_write WHERE refused_at > now() - interval '1 day') AS late_writes_refused,
    (SELECT extract(epoch FROM now() - swept_at)::float8 FROM sweep_mark) AS last_sweep_age_seconds,
    (SELECT count(*) FROM job_attempt WHERE finished_at > now() - interval '1 minute'
        AND claimed_at > now() - interval '1 minute')
    + (SELECT count(*) FROM job WHERE state = 'RUNNING' AND claimed_at > now() - interval '1 minute') AS started_jobs,
    (SELECT count(*) FROM job WHERE finished_at > now() - interval '1 minute') AS finished_jobs
"""

#: Pending jobs are counted by workspace from an index alone. Ages come from the oldest due jobs one by one; a
#: shard that is not among them falls back on `run_at`, which is never before `first_due_at`.
_SHARDS_SQL = """
WITH due AS (
    SELECT workspace, count(*) AS jobs, min(run_at) AS since
    FROM (SELECT workspace, run_at FROM job WHERE state = 'PENDING' LIMIT %(count_max)s) p
    GROUP BY workspace
    UNION ALL
    SELECT workspace, 0, min(first_due_at)
    FROM (SELECT workspace, first_due_at FROM job WHERE state = 'PENDING' ORDER BY first_due_at LIMIT %(oldest_max)s) o
    GROUP BY workspace
    UNION ALL
    SELECT workspace, count(*), min(first_due_at)
    FROM (SELECT workspace, first_due_at FROM job WHERE state = 'SCHEDULED' AND NOT parked AND run_at <= now()
          ORDER BY run_at LIMIT %(oldest_max)s) u
    GROUP BY workspace
    UNION ALL
    SELECT j.workspace, 0, j.first_due_at
    FROM function_run r JOIN job j ON j.function_run_id = r.function_run_id AND j.state = 'RUNNING'
    WHERE r.state = 'RUNNING' AND r.lease_until < now()
)
SELECT coalesce(l.shard, shard_of_workspace(d.workspace, %(shards)s)) AS shard, sum(d.jobs)::bigint AS pending_due,
       greatest(0, extract(epoch FROM now() - min(d.since)))::float8 AS oldest_due_age_seconds
FROM due d LEFT JOIN workspace_lane l USING (workspace)
GROUP BY 1
"""

_RUNNING_BY_SHARD_SQL = """
SELECT coalesce(l.shard, shard_of_workspace(j.workspace, %(shards)s)) AS shard, count(*) AS running
FROM job j LEFT JOIN workspace_lane l USING (workspace)
WHERE j.state = 'RUNNING'
GROUP BY 1
"""

_LIVING_BY_SHARD_SQL = """
SELECT DISTINCT ON (shard) shard, function_run_id,
       greatest(0, extract(epoch FROM now() - heartbeat_at))::float8 AS heartbeat_age_seconds
FROM function_run
WHERE state = 'RUNNING'
ORDER BY shard, heartbeat_at DESC
"""

#: Jobs that still wait count with their wait so far (right-censored): leaving them out would flatter the queue
#: most when it stands still. Of a long backlog every `stride`-th job stands for `stride` jobs.
_WAITS_SQL = """
WITH wait AS (
    SELECT extract(epoch FROM claimed_at - due_at)::float8 AS seconds, 1::bigint AS weight
    FROM job_attempt
    WHERE finished_at > now() - interval '1 minute' AND claimed_at > now() - interval '1 minute'
    UNION ALL
    SELECT extract(epoch FROM claimed_at - run_at)::float8, 1
    FROM job WHERE state = 'RUNNING' AND claimed_at > now() - interval '1 minute'
    UNION ALL
    SELECT extract(epoch FROM now() - run_at)::float8, %(stride)s
    FROM (SELECT run_at, job_id FROM job WHERE state = 'PENDING' LIMIT %(count_max)s) p WHERE job_id %% %(stride)s = 0
), ranked AS (
    SELECT seconds, sum(weight) OVER (ORDER BY seconds) AS upto, sum(weight) OVER () AS total FROM wait
)
SELECT greatest(0, min(seconds) FILTER (WHERE upto >= 0.50 * total)) AS wait_p50_seconds,
       greatest(0, min(seconds) FILTER (WHERE upto >= 0.95 * total)) AS wait_p95_seconds,
       greatest(0, max(seconds)) AS wait_max_seconds
FROM ranked HAVING count(*) > 0
"""

#: The shards of the jobs that have waited too long, as far as the oldest of them show.
_AGED_SHARDS_SQL = """
SELECT coalesce(l.shard, shard_of_workspace(o.workspace, %(shards)s)) AS shard,
       extract(epoch FROM now() - min(o.first_due_at))::float8 AS age_seconds
FROM (SELECT workspace, first_due_at FROM job
      WHERE state = 'PENDING' AND first_due_at < now() - make_interval(secs => %(older_than)s)
      ORDER BY first_due_at LIMIT %(oldest_max)s) o
LEFT JOIN workspace_lane l USING (workspace)
GROUP BY 1
"""

_RECORD_SQL = """
INSERT INTO health_sample (
    sampled_at, pending_due, scheduled, running, dead, oldest_due_age_seconds, stale_function_runs, orphaned_windows,
    late_writes_refused, started_jobs, finished_jobs, wait_p50_seconds, wait_p95_seconds, wait_max_seconds,
    last_sweep_age_seconds, verdict, by_shard, unknown_sends, duplicate_sends, needs_human, parked, starved_workspaces,
    longest_unserved_seconds)
VALUES (
    %(sampled_at)s, %(pending_due)s, %(scheduled)s, %(running)s, %(dead)s, %(oldest_due_age_seconds)s,
    %(stale_function_runs)s, %(orphaned_windows)s, %(late_writes_refused)s, %(started_jobs)s, %(finished_jobs)s,
    %(wait_p50_seconds)s, %(wait_p95_seconds)s, %(wait_max_seconds)s, %(last_sweep_age_seconds)s, %(verdict)s,
    %(by_shard)s, %(unknown_sends)s, %(duplicate_sends)s, %(needs_human)s, %(parked)s,
    %(starved_workspaces)s, %(longest_unserved_seconds)s)
"""

_SAMPLE_AGE_SQL = """
SELECT extract(epoch FROM clock_timestamp() - max(sampled_at))::float8 FROM health_sample
"""

_HISTORY_SQL = """
SELECT * FROM health_sample WHERE sampled_at > now() - make_interval(secs => %(seconds)s) ORDER BY sampled_at
"""

_PRUNE_HISTORY_SQL = """
DELETE FROM health_sample WHERE sample_id IN (
    SELECT sample_id FROM health_sample WHERE sampled_at < now() - make_interval(days => %(days)s)
    ORDER BY sampled_at LIMIT %(limit)s)
"""

_RUNNING_SQL = """
SELECT j.job_id, j.kind, j.workspace, r.shard, j.function_run_id, j.attempt, j.claimed_at,
       extract(epoch FROM now() - j.claimed_at)::float8 AS running_seconds,
       extract(epoch FROM j.deadline_at - now())::float8 AS deadline_in_seconds,
       s.step, s.progress, extract(epoch FROM now() - s.progress_at)::float8 AS progress_age_seconds, s.stack
FROM job j
LEFT JOIN function_run r USING (function_run_id)
LEFT JOIN handler_sample s ON s.job_id = j.job_id AND s.fence = j.fence
WHERE j.state = 'RUNNING'
ORDER BY j.claimed_at, j.job_id
LIMIT %(limit)s
"""

Row = Mapping[str, Any]


def totals_sql() -> str:
    """Counts of the whole queue; parameters `count_max`, `stale_cutoff`."""
    return _TOTALS_SQL


def shards_sql() -> str:
    """Due jobs and their oldest age by shard; parameters `count_max`, `oldest_max`, `shards`."""
    return _SHARDS_SQL


def waits_sql() -> str:
    """Percentiles of the wait; parameters `count_max`, `stride`."""
    return _WAITS_SQL


def aged_shards_sql() -> str:
    """Shards with jobs that have waited too long; parameters `older_than`, `oldest_max`, `shards`."""
    return _AGED_SHARDS_SQL


def totals(tx: Tx, *, stale_cutoff_seconds: float) -> Row:
    """Counts of the whole queue at the transaction's instant, and the instant itself."""
    row = _one(tx, _TOTALS_SQL, {"count_max": COUNT_MAX, "stale_cutoff": stale_cutoff_seconds})
    return {**row, "duplicate_sends": duplicate_sends(tx, seconds=86_400.0)}


def duplicate_sends(tx: Tx, *, seconds: float) -> int:
    """Idempotency keys with more than one message at a provider, one of them seen in the last so many seconds."""
    return audit.duplicate_keys(tx, seconds=seconds)


def shards(tx: Tx, *, shard_count: int) -> dict[str, dict[str, Any]]:
    """By shard: `pending_due` and `oldest_due_age_seconds`, `running`, and the living function run heard last."""
    limits = {"count_max": COUNT_MAX, "oldest_max": OLDEST_MAX, "shards": shard_count}
    found: dict[str, dict[str, Any]] = {}
    for sql in (_SHARDS_SQL, _RUNNING_BY_SHARD_SQL, _LIVING_BY_SHARD_SQL):
        for row in tx.exec_driver_sql(sql, limits).mappings():
            values = dict(row)
            found.setdefault(values.pop("shard"), {}).update(values)
    return found


def waits(tx: Tx, *, pending: int) -> Row:
    """Percentiles of the wait in seconds, or an empty mapping when nothing started lately and nothing waits."""
    stride = max(1, pending // WAITS_MAX)
    row = tx.exec_driver_sql(_WAITS_SQL, {"count_max": COUNT_MAX, "stride": stride}).mappings().one_or_none()
    return {} if row is None else dict(row)


def aged_shards(tx: Tx, *, older_than_seconds: float, shard_count: int) -> dict[str, float]:
    """Age in seconds of the oldest pending job of each shard that has one older than this."""
    limits = {"older_than": older_than_seconds, "oldest_max": OLDEST_MAX, "shards": shard_count}
    return {row["shard"]: row["age_seconds"] for row in tx.exec_driver_sql(_AGED_SHARDS_SQL, limits).mappings()}


def record(tx: Tx, sample: Mapping[str, Any]) -> None:
    """Append one sample to the history; `by_shard` is a mapping fit for JSON."""
    tx.exec_driver_sql(_RECORD_SQL, {**sample, "by_shard": Jsonb(sample["by_shard"])})


def sample_age(tx: Tx) -> float | None:
    """Seconds since the latest sample; None when there is none."""
    age: float | None = tx.exec_driver_sql(_SAMPLE_AGE_SQL).scalar_one()
    return age


def history(tx: Tx, *, seconds: float) -> Sequence[Row]:
    """The samples of the last so many seconds, oldest first."""
    return [dict(row) for row in tx.exec_driver_sql(_HISTORY_SQL, {"seconds": seconds}).mappings()]


def prune_history(tx: Tx, *, days: int, limit: int) -> int:
    """Delete up to `limit` samples older than so many days; returns how many."""
    return tx.exec_driver_sql(_PRUNE_HISTORY_SQL, {"days": days, "limit": limit}).rowcount


def running(tx: Tx, *, limit: int) -> Sequence[Row]:
    """The claimed jobs, longest running first, with the last sample of where their handler is."""
    return [dict(row) for row in tx.exec_driver_sql(_RUNNING_SQL, {"limit": limit}).mappings()]


def _one(tx: Tx, sql: str, parameters: Mapping[str, Any]) -> Row:
    return dict(tx.exec_driver_sql(sql, dict(parameters)).mappings().one())
