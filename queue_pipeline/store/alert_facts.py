"""What the alert rules need to know, asked so that it may be asked every few seconds."""

from collections.abc import Mapping
from typing import Any

from queue_pipeline.domain.alert_condition import AlertFacts, DecisionFact, RollbackFact, RunFact, SampleFact
from queue_pipeline.store import health
from queue_pipeline.store.session import Tx

#: The backlog is counted up to here; more is "at least".
BACKLOG_MAX = 10_000
#: Providers' evidence of this last stretch is read at each evaluation; what is older is in the health samples.
DUPLICATES_SECONDS = 900.0

OLDEST_DUE_SQL = """
SELECT job_id, kind, extract(epoch FROM clock_timestamp() - first_due_at)::float8 AS age FROM (
    (SELECT job_id, kind, first_due_at FROM job WHERE state = 'PENDING' ORDER BY first_due_at LIMIT 1)
    UNION ALL
    (SELECT job_id, kind, first_due_at FROM job WHERE state = 'SCHEDULED' AND run_at <= now() ORDER BY run_at LIMIT 1)
    UNION ALL
    (SELECT j.job_id, j.kind, j.first_due_at
     FROM function_run r JOIN job j ON j.function_run_id = r.function_run_id AND j.state = 'RUNNING'
     WHERE r.state = 'RUNNING' AND r.lease_until < now() ORDER BY j.first_due_at LIMIT 1)
) due ORDER BY first_due_at LIMIT 1
"""

BACKLOG_SQL = "SELECT count(*) FROM (SELECT FROM job WHERE state = 'PENDING' LIMIT %(backlog_max)s) due"

#: After a database restart no lease could be renewed for a moment; only missing progress counts then.
RUNS_SQL = """
SELECT function_run_id, shard,
       extract(epoch FROM clock_timestamp() - heartbeat_at)::float8 AS heartbeat_age,
       extract(epoch FROM clock_timestamp() - progress_at)::float8 AS progress_age,
       extract(epoch FROM lease_until - clock_timestamp())::float8 AS lease_left,
       (lease_until < clock_timestamp() AND pg_postmaster_start_time() < now() - make_interval(secs => %(restart_grace)s))
           OR progress_at < now() - make_interval(secs => %(stale_cutoff)s) AS is_stale
FROM function_run WHERE state = 'RUNNING' ORDER BY is_stale DESC, heartbeat_at LIMIT 50
"""

_DECISION = """
SELECT decision_id, signal, shard, function_run_id, detail, extract(epoch FROM clock_timestamp() - decided_at)::float8 AS age
FROM recovery_decision
"""
LAST_DECISION_SQL = f"{_DECISION} ORDER BY decision_id DESC LIMIT 1"

#: A stale run that was recovered between two evaluations was a stale run all the same. Looks back to the last
#: evaluation, at least a minute because others evaluate too, and at most an hour.
STALE_DECISIONS_SQL = f"""
{_DECISION}
WHERE signal IN ('stale', 'lease_expired') AND decided_at > greatest(now() - interval '1 hour', least(
    now() - interval '1 minute', (SELECT evaluated_at FROM alert_mark)))
ORDER BY decision_id DESC LIMIT 20
"""

SAMPLES_SQL = """
SELECT extract(epoch FROM clock_timestamp() - sampled_at)::float8 AS age, oldest_due_age_seconds AS oldest_due_age, duplicate_sends
FROM health_sample WHERE sampled_at <= clock_timestamp() ORDER BY sampled_at DESC LIMIT 5
"""

SENDS_SQL = """
SELECT count(*) FILTER (WHERE state = 'UNKNOWN') AS unknown_sends,
       count(*) FILTER (WHERE (state = 'UNKNOWN' AND unknown_since < now() - make_interval(secs => %(unknown_after)s))
                           OR (state = 'SENDING' AND deadline_at < now() - make_interval(secs => %(unknown_after)s))) AS unknown_old,
       coalesce(extract(epoch FROM now() - min(coalesce(unknown_since, deadline_at))), 0)::float8 AS oldest_unknown_age,
       count(*) FILTER (WHERE state = 'NEEDS_HUMAN') AS needs_human
FROM outbound_message WHERE state IN ('SENDING', 'UNKNOWN', 'NEEDS_HUMAN')
"""

ROLLBACKS_SQL = """
SELECT e.control_event_id, e.flag, e.from_value, e.to_value, e.why, extract(epoch FROM clock_timestamp() - e.changed_at)::float8 AS age
FROM (SELECT DISTINCT flag FROM control_event WHERE who = 'rollback') rolled
CROSS JOIN LATERAL (SELECT * FROM control_event l WHERE l.flag = rolled.flag ORDER BY control_event_id DESC LIMIT 1) e
WHERE e.who = 'rollback' ORDER BY e.flag
"""

SWEEP_AGE_SQL = "SELECT extract(epoch FROM clock_timestamp() - swept_at)::float8 FROM sweep_mark"


def read(tx: Tx, *, stale_cutoff: float, restart_grace: float, unknown_after: float) -> AlertFacts:
    """The facts of this moment; bounds in seconds."""
    oldest = _all(tx, OLDEST_DUE_SQL, {})
    backlog = tx.exec_driver_sql(BACKLOG_SQL, {"backlog_max": BACKLOG_MAX}).scalar_one()
    runs = _all(tx, RUNS_SQL, {"stale_cutoff": stale_cutoff, "restart_grace": restart_grace})
    last = _all(tx, LAST_DECISION_SQL, {})
    (sends,) = _all(tx, SENDS_SQL, {"unknown_after": unknown_after})
    return AlertFacts(
        oldest_due_age=max(0.0, oldest[0]["age"]) if oldest else 0.0,
        oldest_due_kind=oldest[0]["kind"] if oldest else None,
        oldest_due_job=oldest[0]["job_id"] if oldest else None,
        backlog=backlog,
        backlog_is_floor=backlog >= BACKLOG_MAX,
        runs=tuple(RunFact(**row) for row in runs),
        stale_decisions=tuple(DecisionFact(**row) for row in _all(tx, STALE_DECISIONS_SQL, {})),
        last_decision=DecisionFact(**last[0]) if last else None,
        last_sweep_age=tx.exec_driver_sql(SWEEP_AGE_SQL).scalar_one_or_none(),
        samples=tuple(SampleFact(**row) for row in _all(tx, SAMPLES_SQL, {})),
        duplicate_sends=health.duplicate_sends(tx, seconds=DUPLICATES_SECONDS),
        rollbacks=tuple(RollbackFact(**row) for row in _all(tx, ROLLBACKS_SQL, {})),
        **sends,
    )


def _all(tx: Tx, sql: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [dict(row) for row in tx.exec_driver_sql(sql, dict(parameters)).mappings()]
