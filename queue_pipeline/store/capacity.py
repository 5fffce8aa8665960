"""Capacity: samples of the queue and its database, and the decisions that were made on them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from queue_pipeline.domain.capacity import CapacityDecision
from queue_pipeline.domain.limits import Limits
from queue_pipeline.store import canary, health
from queue_pipeline.store.session import Tx

#: Nobody waits for a turn: whoever has it does the work of all, and loses its session when it stops in the middle.
TAKE_TURN_SQL = """
SELECT pg_try_advisory_xact_lock(hashtext('queue_pipeline.capacity'), hashtext(current_database())) AS is_ours,
       set_config('idle_in_transaction_session_timeout', '5000', true), set_config('statement_timeout', '10000', true)
"""

#: What ended since; a released job only went back. An attempt that took no time at all had no handler.
ATTEMPTS_SQL = """
SELECT count(*)::bigint AS finished,
       count(*) FILTER (WHERE outcome IN ('FAILED', 'TIMED_OUT', 'LOST'))::bigint AS failed,
       count(*) FILTER (WHERE outcome = 'RETRY')::bigint AS retried,
       coalesce(sum(extract(epoch FROM finished_at - coalesce(started_at, finished_at))), 0)::float8 AS handler_seconds
FROM job_attempt WHERE finished_at > :since AND finished_at <= now() AND outcome <> 'RELEASED'
"""

#: The ledger's counters, of function runs that live or ended since.
RUNS_SQL = """
SELECT function_run_id, true AS living, claims, claim_conflicts, workers, connect_wait_p95
FROM function_run WHERE state = 'RUNNING'
UNION ALL
SELECT function_run_id, false, claims, claim_conflicts, workers, connect_wait_p95
FROM function_run WHERE ended_at > :since
"""

PROVIDERS_SQL = """
SELECT count(*)::bigint AS provider_answers, count(*) FILTER (WHERE http_status = 429)::bigint AS provider_throttled
FROM send_attempt
WHERE started_at > CAST(:since AS timestamptz) - interval '1 minute' AND finished_at > :since AND http_status IS NOT NULL
"""

#: Waits of jobs claimed since, and of those that still wait (right-censored): without them a queue that stands still
#: would look best. Of a long backlog every `stride`-th job stands for `stride` jobs.
AGE_SQL = """
WITH wait AS (
    SELECT extract(epoch FROM claimed_at - due_at)::float8 AS seconds, 1::bigint AS weight
    FROM job_attempt WHERE finished_at > :since AND claimed_at > :since
    UNION ALL
    SELECT extract(epoch FROM claimed_at - run_at)::float8, 1 FROM job WHERE state = 'RUNNING' AND claimed_at > :since
    UNION ALL
    SELECT extract(epoch FROM now() - run_at)::float8, :stride
    FROM (SELECT run_at, job_id FROM job WHERE state = 'PENDING' LIMIT :count_max) p WHERE job_id % :stride = 0
), ranked AS (
    SELECT seconds, sum(weight) OVER (ORDER BY seconds) AS upto, sum(weight) OVER () AS total FROM wait
)
SELECT greatest(0, min(seconds) FILTER (WHERE upto >= 0.95 * total)) AS p95 FROM ranked
"""

#: Workspaces that have work, or had some in the last five minutes.
ACTIVE_SQL = """
SELECT count(*)::int FROM workspace_lane WHERE ready OR served_at > now() - interval '5 minutes'
"""

LAST_SQL = """
SELECT max(decided_at) AS decided_at, extract(epoch FROM now() - max(decided_at))::float8 AS age_seconds FROM capacity_decision
"""

#: How many handlers each shard could use now: what is due or running, of each lane no more than its quota. Who has a
#: mountain needs no more handlers than may serve it at once.
NEED_SQL = """
SELECT coalesce(l.shard, shard_of_workspace(h.workspace, :shards)) AS shard,
       sum(least(h.jobs, coalesce(l.quota, :quota)))::bigint AS handlers
FROM (
    SELECT workspace, count(*) AS jobs FROM (
        (SELECT workspace FROM job WHERE state = 'PENDING' LIMIT :count_max)
        UNION ALL
        (SELECT workspace FROM job WHERE state = 'SCHEDULED' AND NOT parked AND run_at <= now() ORDER BY run_at LIMIT :late_max)
        UNION ALL
        SELECT workspace FROM job WHERE state = 'RUNNING'
    ) d GROUP BY workspace
) h LEFT JOIN workspace_lane l USING (workspace)
GROUP BY 1
"""

_MEASURED = """seconds, arrivals, finished, failed, retried, handler_seconds, due, age_p95_seconds, workers, active_workspaces,
    sessions, lock_waiting, deadlocks, claims, claim_conflicts, connect_wait_p95_seconds, connections_used, connections_max,
    provider_answers, provider_throttled"""
_KEPT = f"sampled_at, {_MEASURED}, running, by_shard, deadlocks_total, run_counters"
RECORD_SAMPLE_SQL = f"""
INSERT INTO capacity_sample ({_KEPT}) VALUES ({", ".join(f":{name.strip()}" for name in _KEPT.split(","))})
RETURNING capacity_sample_id
"""
SAMPLES_SQL = f"SELECT capacity_sample_id, {_KEPT} FROM capacity_sample ORDER BY capacity_sample_id DESC LIMIT :limit"

RECORD_DECISION_SQL = """
INSERT INTO capacity_decision (capacity_sample_id, mode, from_workers, to_workers, from_in_flight, to_in_flight, reason_code,
    required, target, global_target, guardrails, operator_override, why, state)
VALUES (:capacity_sample_id, :mode, :from_workers, :to_workers, :from_in_flight, :to_in_flight, :reason_code,
    :required, :target, :global_target, CAST(:guardrails AS jsonb), :operator_override, :why, CAST(:state AS jsonb))
RETURNING capacity_decision_id
"""
DECISIONS_SQL = """
SELECT d.capacity_decision_id, d.decided_at, d.mode, d.from_workers, d.to_workers, d.from_in_flight, d.to_in_flight,
       d.reason_code, d.required, d.target, d.global_target, d.guardrails, d.operator_override, d.why, d.state,
       s.arrivals / s.seconds AS arrivals_per_second, s.finished / s.seconds AS finished_per_second, s.due, s.age_p95_seconds,
       s.workers AS workers_running
FROM capacity_decision d LEFT JOIN capacity_sample s USING (capacity_sample_id)
ORDER BY d.capacity_decision_id DESC LIMIT :limit
"""


@dataclass(frozen=True)
class Measured:
    """A sample as it is stored: the numbers that rules look at, the instant, and what the next sample needs.

    `by_shard` is how many handlers each shard could use at the instant; shards without work are left out.
    """

    sampled_at: datetime
    numbers: Mapping[str, Any]
    running: int
    by_shard: Mapping[str, int]
    deadlocks_total: int
    run_counters: Mapping[str, Sequence[int]]
    capacity_sample_id: int | None = None


@dataclass(frozen=True)
class Decision:
    """A decision as it is stored, with the sample that it was made on; those numbers are None without one."""

    capacity_decision_id: int
    decided_at: datetime
    mode: str
    from_workers: int
    to_workers: int
    from_in_flight: int
    to_in_flight: int
    reason_code: str
    required: int | None
    target: int
    global_target: int
    guardrails: Sequence[Mapping[str, Any]]
    operator_override: bool
    why: str
    state: Mapping[str, Any]
    arrivals_per_second: float | None
    finished_per_second: float | None
    due: int | None
    age_p95_seconds: float | None
    workers_running: int | None


def take_turn(tx: Tx) -> bool:
    """Whether this transaction may measure and decide; another one is at it otherwise."""
    return bool(tx.execute(sa.text(TAKE_TURN_SQL)).one().is_ours)


def last_decision_age(tx: Tx) -> float | None:
    """Seconds since the latest decision; None when there was none."""
    age: float | None = tx.execute(sa.text(LAST_SQL)).one().age_seconds
    return age


def measure(tx: Tx, before: Measured | None, *, shards: Sequence[str], seconds: float) -> Measured:
    """The queue and its database at this transaction's instant, counted since the sample before, or over `seconds`."""
    row = tx.execute(
        sa.text("SELECT now() AS at, coalesce(:since, now() - make_interval(secs => :seconds)) AS since"),
        {"since": None if before is None else before.sampled_at, "seconds": seconds},
    ).one()
    load = health.shards(tx, shard_count=len(shards))
    due = sum(each.get("pending_due", 0) for each in load.values())
    running = sum(each.get("running", 0) for each in load.values())
    numbers = dict(tx.execute(sa.text(ATTEMPTS_SQL), {"since": row.since}).one()._mapping)
    numbers |= tx.execute(sa.text(PROVIDERS_SQL), {"since": row.since}).one()._mapping
    contention = canary.measure_contention(tx)
    counted, run_counters = _runs(tx, row.since, {} if before is None else before.run_counters)
    held_before = due + running if before is None else before.numbers["due"] + before.running
    numbers |= counted
    numbers |= {
        "seconds": max((row.at - row.since).total_seconds(), 1e-3),
        "arrivals": max(0, due + running - held_before + numbers["finished"]),
        "due": due,
        "age_p95_seconds": _age_p95(tx, row.since, due),
        "active_workspaces": tx.execute(sa.text(ACTIVE_SQL)).scalar_one(),
        "sessions": contention.sessions,
        "lock_waiting": contention.lock_waiting,
        "deadlocks": 0 if before is None else max(0, contention.deadlocks - before.deadlocks_total),
        "connections_used": contention.connections_used,
        "connections_max": contention.connections_max,
    }
    return Measured(
        sampled_at=row.at,
        numbers=numbers,
        running=running,
        by_shard=_need_by_shard(tx, len(shards)),
        deadlocks_total=contention.deadlocks,
        run_counters=run_counters,
    )


def record_sample(tx: Tx, sample: Measured) -> int:
    """Keep a sample; returns its number."""
    values = {
        **sample.numbers,
        "sampled_at": sample.sampled_at,
        "running": sample.running,
        "by_shard": json.dumps(sample.by_shard),
        "deadlocks_total": sample.deadlocks_total,
        "run_counters": json.dumps(sample.run_counters),
    }
    return int(tx.execute(sa.text(RECORD_SAMPLE_SQL), values).scalar_one())


def samples(tx: Tx, *, limit: int) -> list[Measured]:
    """The latest samples, newest first."""
    return [_sample(row._mapping) for row in tx.execute(sa.text(SAMPLES_SQL), {"limit": limit})]


def record_decision(
    tx: Tx, decision: CapacityDecision, *, mode: str, capacity_sample_id: int | None, state: Mapping[str, Any]
) -> int:
    """Append a decision; returns its number."""
    values = {
        "capacity_sample_id": capacity_sample_id,
        "mode": mode,
        "from_workers": decision.from_workers,
        "to_workers": decision.to_workers,
        "from_in_flight": decision.from_in_flight,
        "to_in_flight": decision.to_in_flight,
        "reason_code": str(decision.reason),
        "required": decision.required,
        "target": decision.target,
        "global_target": decision.in_flight_target,
        "guardrails": json.dumps([asdict(each) for each in decision.guardrails]),
        "operator_override": decision.override_active,
        "why": decision.why,
        "state": json.dumps(state),
    }
    return int(tx.execute(sa.text(RECORD_DECISION_SQL), values).scalar_one())


def decisions(tx: Tx, *, limit: int) -> list[Decision]:
    """The latest decisions, newest first."""
    return [Decision(**row._mapping) for row in tx.execute(sa.text(DECISIONS_SQL), {"limit": limit})]


def _need_by_shard(tx: Tx, shards: int) -> dict[str, int]:
    limits = {
        "shards": shards,
        "count_max": health.COUNT_MAX,
        "late_max": health.OLDEST_MAX,
        "quota": Limits().lane_quota_default,  # of a workspace whose first job has no lane yet
    }
    found = {row.shard: int(row.handlers) for row in tx.execute(sa.text(NEED_SQL), limits)}
    return {shard: handlers for shard, handlers in sorted(found.items()) if handlers}


def _age_p95(tx: Tx, since: datetime, due: int) -> float | None:
    values = {"since": since, "stride": max(1, -(-due // health.WAITS_MAX)), "count_max": health.COUNT_MAX}
    age: float | None = tx.execute(sa.text(AGE_SQL), values).scalar_one()
    return age


def _runs(
    tx: Tx, since: datetime, before: Mapping[str, Sequence[int]]
) -> tuple[dict[str, Any], dict[str, tuple[int, int]]]:
    """What the drains counted since the sample before, and the counters that the next sample starts from."""
    rows = tx.execute(sa.text(RUNS_SQL), {"since": since}).all()
    known = {row.function_run_id: before.get(str(row.function_run_id), (0, 0)) for row in rows}
    living = [row for row in rows if row.living]
    counted = {
        "claims": sum(max(0, row.claims - known[row.function_run_id][0]) for row in rows),
        "claim_conflicts": sum(max(0, row.claim_conflicts - known[row.function_run_id][1]) for row in rows),
        "workers": sum(row.workers for row in living),
        "connect_wait_p95_seconds": max(
            (row.connect_wait_p95 for row in living if row.connect_wait_p95 is not None), default=None
        ),
    }
    return counted, {str(row.function_run_id): (row.claims, row.claim_conflicts) for row in living}


def _sample(row: sa.RowMapping) -> Measured:
    names = [name.strip() for name in _MEASURED.split(",")]
    rest = ("sampled_at", "running", "by_shard", "deadlocks_total", "run_counters", "capacity_sample_id")
    return Measured(numbers={name: row[name] for name in names}, **{name: row[name] for name in rest})
