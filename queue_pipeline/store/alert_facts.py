"""What the alert rules need to know, asked so that it may be asked every few seconds."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from queue_pipeline.domain.alert_condition import AlertFacts, DecisionFact, PauseFact, RollbackFact, RunFact, SampleFact
from queue_pipeline.store import health
from queue_pipeline.store.queries import statement
from queue_pipeline.store.session import Tx

#: The backlog is counted up to here; more is "at least".
BACKLOG_MAX = 10_000
#: Providers' evidence of this last stretch is read at each evaluation; what is older is in the health samples.
DUPLICATES_SECONDS = 900.0

BACKLOG_SQL = "SELECT count(*) FROM (SELECT FROM job WHERE state = 'PENDING' LIMIT %(backlog_max)s) due"

_RUN = tuple(field.name for field in fields(RunFact))

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
SELECT extract(epoch FROM clock_timestamp() - sampled_at)::float8 AS age, oldest_due_age_seconds AS oldest_due_age, duplicate_sends,
       starved_workspaces, longest_unserved_seconds AS longest_unserved
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

#: See store.rollback: in earnest, not taken back, nobody took note of it, and no later canary.
ROLLBACKS_SQL = """
SELECT r.rollback_id, r.canary_id, r.rule, r.why,
       (SELECT coalesce(string_agg(c ->> 'flag' || ' from ' || (c ->> 'from_value') || ' to ' || (c ->> 'to_value'), ', '), '')
        FROM jsonb_array_elements(r.changes) c) AS changes,
       extract(epoch FROM clock_timestamp() - r.decided_at)::float8 AS age
FROM rollback r
WHERE r.mode = 'enforce' AND r.undone_at IS NULL AND r.acknowledged_at IS NULL
  AND NOT EXISTS (SELECT FROM canary c WHERE c.canary_id > r.canary_id)
ORDER BY r.rollback_id DESC LIMIT 1
"""

#: A pause that ends by itself needs no reminder.
PAUSES_SQL = """
SELECT pause_id, scope, who, why, extract(epoch FROM clock_timestamp() - since)::float8 AS age
FROM pause WHERE ended_at IS NULL AND until IS NULL ORDER BY since LIMIT 100
"""

SWEEP_AGE_SQL = "SELECT extract(epoch FROM clock_timestamp() - swept_at)::float8 FROM sweep_mark"


def read(
    tx: Tx, *, stale_cutoff: float, restart_grace: float, unknown_after: float, queue_age_limit: float
) -> AlertFacts:
    """The facts of this moment; bounds in seconds."""
    oldest = tx.execute(statement("queue_age"), {"queue_age_limit": queue_age_limit}).one()
    backlog = tx.exec_driver_sql(BACKLOG_SQL, {"backlog_max": BACKLOG_MAX}).scalar_one()
    runs = _runs(tx, stale_cutoff, restart_grace)
    last = _all(tx, LAST_DECISION_SQL, {})
    (sends,) = _all(tx, SENDS_SQL, {"unknown_after": unknown_after})
    return AlertFacts(
        oldest_due_age=oldest.value,
        oldest_due_kind=oldest.kind,
        oldest_due_job=oldest.job_id,
        backlog=backlog,
        backlog_is_floor=backlog >= BACKLOG_MAX,
        runs=tuple(runs),
        stale_decisions=tuple(DecisionFact(**row) for row in _all(tx, STALE_DECISIONS_SQL, {})),
        last_decision=DecisionFact(**last[0]) if last else None,
        last_sweep_age=tx.exec_driver_sql(SWEEP_AGE_SQL).scalar_one_or_none(),
        samples=tuple(SampleFact(**row) for row in _all(tx, SAMPLES_SQL, {})),
        duplicate_sends=health.duplicate_sends(tx, seconds=DUPLICATES_SECONDS),
        pauses=tuple(PauseFact(**row) for row in _all(tx, PAUSES_SQL, {})),
        rollbacks=tuple(RollbackFact(**row) for row in _all(tx, ROLLBACKS_SQL, {})),
        **sends,
    )


def stale_function_runs(tx: Tx, *, stale_cutoff: float, restart_grace: float) -> int:
    """How many living function runs are stale; bounds in seconds."""
    values = {"stale_cutoff": stale_cutoff, "restart_grace": restart_grace}
    return int(tx.execute(statement("stale_run"), values).all()[0].value)


def _runs(tx: Tx, stale_cutoff: float, restart_grace: float) -> list[RunFact]:
    rows = tx.execute(statement("stale_run"), {"stale_cutoff": stale_cutoff, "restart_grace": restart_grace})
    return [RunFact(**{name: getattr(row, name) for name in _RUN}) for row in rows if row.function_run_id is not None]


def _all(tx: Tx, sql: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [dict(row) for row in tx.exec_driver_sql(sql, dict(parameters)).mappings()]
