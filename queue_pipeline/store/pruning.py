"""Delete what is old, one bounded batch at a time; every class of `domain.retention` has its statements here.

Rows that somebody holds are skipped, so a batch never waits for anybody, and two at once share the work.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import sqlalchemy as sa

from queue_pipeline.store.session import Tx

#: Where a class begins: before all that ever finished.
START = ("-infinity", 0)
#: More is told as this many.
COUNT_MAX = 1_000_000

_OLD = "now() - make_interval(secs => :age)"


@dataclass(frozen=True)
class Batch:
    """One batch: rows deleted, rows looked at, and where the next one goes on."""

    deleted: int
    seen: int
    upto: tuple[str, int] = START


@dataclass(frozen=True)
class _Rows:
    """Rows of one table that go by themselves: its key, the time that counts, and what else must hold.

    Without an index that is in order (`in_order`) they go as they lie in the table, which is almost their order.
    """

    table: str
    key: str
    at: str
    only: str = "true"
    in_order: bool = True

    def delete(self) -> str:
        return f"""
WITH old AS MATERIALIZED (
    SELECT {self.key} FROM {self.table} t WHERE {self.at} < {_OLD} AND {self.only}
    {f"ORDER BY {self.at} " if self.in_order else ""}LIMIT :limit FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM {self.table} WHERE ({self.key}) IN (SELECT {self.key} FROM old) RETURNING 1
)
SELECT count(*) FROM gone
"""

    def count(self) -> str:
        return f"SELECT count(*) FROM (SELECT FROM {self.table} t WHERE {self.at} < {_OLD} AND {self.only} LIMIT :count_max) c"


#: A job that still holds its idempotency key stays, unless its inbound event guards the key from now on.
_KEY_IS_FREE = """(NOT (j.dedupe_held AND j.dedupe_until > now())
           OR EXISTS (SELECT FROM inbound_event e WHERE e.job_id = j.job_id))"""
_BROUGHT_A_LEAD = "EXISTS (SELECT FROM inbound_event e WHERE e.job_id = j.job_id)"


@dataclass(frozen=True)
class _Jobs:
    """Finished jobs with everything that belongs to their execution.

    A batch looks at so many rows, whether they go or not, and tells where it ended: what stays in the middle of what
    goes is passed once, and never looked at again by the next batch.
    """

    found_by: str
    only: str

    def delete(self) -> str:
        return f"""
WITH seen AS MATERIALIZED (
    SELECT job_id, finished_at FROM job j
    WHERE {self.found_by} AND j.finished_at < {_OLD} AND j.finished_at >= CAST(:after AS timestamptz)
      AND (j.finished_at > CAST(:after AS timestamptz) OR j.job_id > :after_id)
    ORDER BY j.finished_at, j.job_id LIMIT :limit
), old AS MATERIALIZED (
    SELECT j.job_id FROM job j JOIN seen USING (job_id)
    WHERE {self.found_by} AND j.finished_at < {_OLD} AND {self.only} AND {_KEY_IS_FREE}
    ORDER BY j.job_id
    FOR UPDATE OF j SKIP LOCKED
), without_attempts AS (
    DELETE FROM job_attempt WHERE job_id IN (SELECT job_id FROM old)
), without_steps AS (
    DELETE FROM job_step WHERE job_id IN (SELECT job_id FROM old)
), gone AS (
    DELETE FROM job WHERE job_id IN (SELECT job_id FROM old) RETURNING 1
), last AS (
    SELECT finished_at, job_id FROM seen ORDER BY finished_at DESC, job_id DESC LIMIT 1
)
SELECT (SELECT count(*) FROM gone), (SELECT count(*) FROM seen),
       (SELECT finished_at::text FROM last), (SELECT job_id FROM last)
"""

    def count(self) -> str:
        return f"""
SELECT count(*) FROM (SELECT FROM job j
WHERE {self.found_by} AND j.finished_at < {_OLD} AND {self.only} AND {_KEY_IS_FREE} LIMIT :count_max) c
"""


@dataclass(frozen=True)
class _Together:
    """Rows of one table with those of another that name them."""

    old: str
    with_them: str
    table: str
    key: str

    def delete(self) -> str:
        return f"""
WITH old AS MATERIALIZED ({self.old} LIMIT :limit FOR UPDATE OF t SKIP LOCKED),
with_them AS ({self.with_them}),
gone AS (DELETE FROM {self.table} WHERE {self.key} IN (SELECT {self.key} FROM old) RETURNING 1)
SELECT count(*) FROM gone
"""

    def count(self) -> str:
        return f"SELECT count(*) FROM ({self.old} LIMIT :count_max) c"


_CLASSES: Mapping[str, _Rows | _Jobs | _Together] = {
    "handler_samples": _Rows(
        "handler_sample",
        "job_id, fence",
        "sampled_at",
        "NOT EXISTS (SELECT FROM job j WHERE j.job_id = t.job_id AND j.fence = t.fence AND j.state = 'RUNNING')",
    ),
    "health_samples": _Rows("health_sample", "sample_id", "sampled_at"),
    "capacity_samples": _Rows("capacity_sample", "capacity_sample_id", "sampled_at"),
    "capacity_decisions": _Rows(
        "capacity_decision",
        "capacity_decision_id",
        "decided_at",
        "from_workers = to_workers AND from_in_flight = to_in_flight"
        " AND t.capacity_decision_id < (SELECT max(capacity_decision_id) FROM capacity_decision)",
    ),
    "late_writes": _Rows("late_write", "late_write_id", "refused_at"),
    "recovery_observations": _Rows("recovery_observation", "finding_key", "last_seen_at"),
    "recovery_decisions": _Rows("recovery_decision", "decision_id", "decided_at"),
    "canary_samples": _Rows(
        "canary_sample",
        "canary_id, sampled_at, cohort",
        "sampled_at",
        "EXISTS (SELECT FROM canary c WHERE c.canary_id = t.canary_id AND c.ended_at IS NOT NULL)",
    ),
    "contention_samples": _Rows("contention_sample", "sampled_at", "sampled_at"),
    "workspace_samples": _Rows("workspace_sample", "workspace, sampled_at", "sampled_at", in_order=False),
    "incidents": _Together(
        old=f"""
    SELECT incident_id FROM alert_incident t
    WHERE t.status = 'resolved' AND t.posted_seq = t.wanted_seq AND t.opened_at < {_OLD} AND t.resolved_at < {_OLD}
      AND EXISTS (SELECT FROM alert_incident n WHERE n.dedup_key = t.dedup_key AND n.generation > t.generation)
    ORDER BY t.opened_at""",
        with_them="DELETE FROM alert_post WHERE incident_id IN (SELECT incident_id FROM old)",
        table="alert_incident",
        key="incident_id",
    ),
    "notifications": _Rows("notification", "notification_id", "delivered_at"),
    "drains": _Together(
        old=f"""
    SELECT function_run_id FROM function_run t
    WHERE t.ended_at < {_OLD}
      AND NOT EXISTS (SELECT FROM dispatch_window w WHERE w.function_run_id = t.function_run_id
                      AND (w.closed_at IS NULL OR w.closed_at >= {_OLD}))
    ORDER BY t.ended_at""",
        with_them="DELETE FROM dispatch_window WHERE function_run_id IN (SELECT function_run_id FROM old)",
        table="function_run",
        key="function_run_id",
    ),
    "untaken_windows": _Rows(
        "dispatch_window",
        "window_id",
        "closed_at",
        "function_run_id IS NULL AND NOT EXISTS (SELECT FROM function_run r WHERE r.window_id = t.window_id)",
    ),
    "attempts": _Rows("job_attempt", "job_id, fence", "finished_at", in_order=False),
    "jobs": _Jobs("true", f"j.state <> 'DEAD' AND NOT {_BROUGHT_A_LEAD}"),
    "lead_jobs": _Jobs("true", f"j.state <> 'DEAD' AND {_BROUGHT_A_LEAD}"),
    "dead_letters": _Jobs("j.state = 'DEAD'", "true"),
}


def names() -> frozenset[str]:
    """The classes that have statements."""
    return frozenset(_CLASSES)


def delete_sql(name: str) -> str:
    """Delete one batch of a class; parameters `age` (seconds), `limit`, for jobs `after` and `after_id`."""
    return _CLASSES[name].delete()


def delete(tx: Tx, name: str, *, age_seconds: float, limit: int, after: tuple[str, int] = START) -> Batch:
    """Delete one batch of what is older than so many seconds; goes on after where the last one ended."""
    values = {"age": age_seconds, "limit": limit}
    if not isinstance(_CLASSES[name], _Jobs):
        gone = int(tx.execute(sa.text(delete_sql(name)), values).scalar_one())
        return Batch(gone, gone)
    row = tx.execute(sa.text(delete_sql(name)), {**values, "after": after[0], "after_id": after[1]}).one()
    return Batch(row[0], row[1], after if row[2] is None else (row[2], row[3]))


def count(tx: Tx, name: str, *, age_seconds: float) -> int:
    """How many rows of a class would go, at most COUNT_MAX."""
    values = {"age": age_seconds, "count_max": COUNT_MAX}
    return int(tx.execute(sa.text(_CLASSES[name].count()), values).scalar_one())
