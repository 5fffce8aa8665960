"""Canaries: their rows and moves, who is in one, and what was measured of both cohorts."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from queue_pipeline.domain.canary import CohortSample
from queue_pipeline.store.queries import statement
from queue_pipeline.store.session import Tx

#: Times without those that it was held. `watching_seconds` is NULL until the window began.
_COLUMNS = """
canary_id, state, candidate, share::float8 AS share, allow, warm_up_seconds, window_seconds, samples_min, started_min,
started_at, started_by, why, watching_since, ended_at, ended_by, end_reason,
extract(epoch FROM coalesce(ended_at, held_since, clock_timestamp()) - coalesce(watching_since, started_at))::float8
    - held_seconds AS phase_seconds,
extract(epoch FROM clock_timestamp() - started_at)::float8 AS age_seconds
"""

ACTIVE_SQL = f"SELECT {_COLUMNS} FROM canary WHERE ended_at IS NULL"
ACTIVE_TO_MOVE_SQL = f"{ACTIVE_SQL} FOR UPDATE"
LATEST_SQL = f"SELECT {_COLUMNS} FROM canary ORDER BY canary_id DESC LIMIT 1"
GET_SQL = f"SELECT {_COLUMNS} FROM canary WHERE canary_id = :canary_id"

START_SQL = """
INSERT INTO canary (candidate, share, allow, warm_up_seconds, window_seconds, samples_min, started_min, started_by, why)
VALUES (CAST(:candidate AS jsonb), :share, :allow, :warm_up_seconds, :window_seconds, :samples_min, :started_min, :who, :why)
ON CONFLICT DO NOTHING RETURNING canary_id
"""

#: What a move means for the times; a hold adds to `held_seconds` when it ends, and the window starts with none.
MOVE_SQL = """
UPDATE canary SET
    state = :to_state,
    watching_since = CASE WHEN state = 'WARMING' AND :to_state = 'WATCHING' THEN clock_timestamp() ELSE watching_since END,
    held_seconds = CASE WHEN state = 'WARMING' AND :to_state = 'WATCHING' THEN 0
                        WHEN state = 'HELD' THEN held_seconds + extract(epoch FROM clock_timestamp() - held_since)
                        ELSE held_seconds END,
    held_since = CASE WHEN :to_state = 'HELD' THEN clock_timestamp() END,
    ended_at = CASE WHEN :ends THEN clock_timestamp() END,
    ended_by = CASE WHEN :ends THEN :who END,
    end_reason = CASE WHEN :ends THEN :why END
WHERE canary_id = :canary_id AND state = :from_state
"""

EVENT_SQL = """
INSERT INTO canary_event (canary_id, from_state, to_state, who, why) VALUES (:canary_id, :from_state, :to_state, :who, :why)
"""
EVENTS_SQL = """
SELECT at, from_state, to_state, who, why FROM canary_event WHERE canary_id = :canary_id ORDER BY canary_event_id
"""

#: Nobody waits for a turn: whoever has it does the work of all, and loses its session when it stops in the middle.
TAKE_TURN_SQL = """
SELECT pg_try_advisory_xact_lock(hashtext('queue_pipeline.canary'), hashtext(current_database())) AS is_ours,
       set_config('idle_in_transaction_session_timeout', '5000', true), set_config('statement_timeout', '10000', true)
"""

LAST_SAMPLE_SQL = "SELECT max(sampled_at) FROM canary_sample WHERE canary_id = :canary_id"

RECORD_SAMPLE_SQL = """
INSERT INTO canary_sample (canary_id, cohort, sampled_at, phase, workspaces, pending_due, oldest_due_age_seconds, started_jobs,
    finished_jobs, failed_jobs, wait_p95_seconds, late_writes_refused, recoveries, duplicate_sends)
VALUES (:canary_id, :cohort, :sampled_at, :phase, :workspaces, :pending_due, :oldest_due_age_seconds, :started_jobs,
    :finished_jobs, :failed_jobs, :wait_p95_seconds, :late_writes_refused, :recoveries, :duplicate_sends)
"""
RECORD_CONTENTION_SQL = """
INSERT INTO contention_sample (sampled_at, sessions, lock_waiting, longest_lock_wait_seconds, deadlocks, connections_used,
    connections_max)
VALUES (:sampled_at, :sessions, :lock_waiting, :longest_lock_wait_seconds, :deadlocks, :connections_used, :connections_max)
ON CONFLICT DO NOTHING
"""
SAMPLES_SQL = """
SELECT cohort, sampled_at, phase, workspaces, pending_due, oldest_due_age_seconds, started_jobs, finished_jobs, failed_jobs,
       wait_p95_seconds, late_writes_refused, recoveries, duplicate_sends
FROM canary_sample WHERE canary_id = :canary_id ORDER BY sampled_at, cohort
"""
LATEST_SAMPLES_SQL = """
SELECT cohort, sampled_at, phase, workspaces, pending_due, oldest_due_age_seconds, started_jobs, finished_jobs, failed_jobs,
       wait_p95_seconds, late_writes_refused, recoveries, duplicate_sends
FROM canary_sample WHERE canary_id = :canary_id AND cohort = 'canary' AND sampled_at > :since
ORDER BY sampled_at DESC LIMIT :limit
"""
ATTEMPTS_SINCE_SQL = """
SELECT coalesce(sum(finished_jobs), 0)::bigint AS finished, coalesce(sum(failed_jobs), 0)::bigint AS failed
FROM canary_sample WHERE canary_id = :canary_id AND cohort = 'canary' AND sampled_at > :since
"""
#: Samples of a canary's own instants: those of another one are at others.
CONTENTION_SQL = """
SELECT sampled_at, sessions, lock_waiting, longest_lock_wait_seconds, deadlocks, connections_used, connections_max
FROM contention_sample JOIN canary_sample USING (sampled_at)
WHERE canary_id = :canary_id AND cohort = 'canary' ORDER BY sampled_at
"""


@dataclass(frozen=True)
class Canary:
    """One canary as it is stored; `phase_seconds` since its warm-up or window began, without holds, `age_seconds` in all."""

    canary_id: int
    state: str
    candidate: Mapping[str, str]
    share: float
    allow: Sequence[str]
    warm_up_seconds: int
    window_seconds: int
    samples_min: int
    started_min: int
    started_at: datetime
    started_by: str
    why: str
    watching_since: datetime | None
    ended_at: datetime | None
    ended_by: str | None
    end_reason: str | None
    phase_seconds: float
    age_seconds: float


@dataclass(frozen=True)
class Move:
    """One move of a canary: who made it, and why."""

    at: datetime
    from_state: str | None
    to_state: str
    who: str
    why: str


@dataclass(frozen=True)
class Contention:
    """The database at one instant."""

    sampled_at: datetime
    sessions: int
    lock_waiting: int
    longest_lock_wait_seconds: float
    deadlocks: int
    connections_used: int
    connections_max: int


def take_turn(tx: Tx) -> bool:
    """Whether this transaction may look at the canary; another one is at it otherwise."""
    return bool(tx.execute(sa.text(TAKE_TURN_SQL)).one().is_ours)


def active(tx: Tx, *, to_move: bool = False) -> Canary | None:
    """The canary that has not ended, if there is one; locked if it is to be moved."""
    return _one(tx, ACTIVE_TO_MOVE_SQL if to_move else ACTIVE_SQL, {})


def latest(tx: Tx) -> Canary | None:
    """The canary that was started last."""
    return _one(tx, LATEST_SQL, {})


def get(tx: Tx, canary_id: int) -> Canary | None:
    """The canary of this number."""
    return _one(tx, GET_SQL, {"canary_id": canary_id})


def start(
    tx: Tx, *, candidate: Mapping[str, str], allow: Sequence[str], who: str, why: str, **plan: float
) -> int | None:
    """Write down a new canary with its first event; None when another one is under way."""
    values = {
        **plan,
        "candidate": json.dumps(dict(candidate), sort_keys=True),
        "allow": list(allow),
        "who": who,
        "why": why,
    }
    number = tx.execute(sa.text(START_SQL), values).scalar_one_or_none()
    if number is not None:
        _record_move(tx, int(number), (None, "WARMING"), who, why)
    return None if number is None else int(number)


def move(tx: Tx, canary: Canary, *, to_state: str, ends: bool, who: str, why: str) -> bool:
    """Move a canary on and record it; False when it has moved meanwhile."""
    values = {
        "canary_id": canary.canary_id,
        "from_state": canary.state,
        "to_state": to_state,
        "ends": ends,
        "who": who,
        "why": why,
    }
    moved = tx.execute(sa.text(MOVE_SQL), values).rowcount == 1
    if moved:
        _record_move(tx, canary.canary_id, (canary.state, to_state), who, why)
    return moved


def moves(tx: Tx, canary_id: int) -> list[Move]:
    """Every move of a canary, oldest first."""
    return [Move(**row._mapping) for row in tx.execute(sa.text(EVENTS_SQL), {"canary_id": canary_id})]


def last_sample_at(tx: Tx, canary_id: int) -> datetime | None:
    """The instant of the canary's latest sample."""
    at: datetime | None = tx.execute(sa.text(LAST_SAMPLE_SQL), {"canary_id": canary_id}).scalar_one()
    return at


def measure_cohorts(tx: Tx, canary: Canary, *, buckets_below: int, since: datetime) -> list[CohortSample]:
    """Both cohorts of a canary at this transaction's instant.

    Counts are of what happened after `since`, but duplicate sends of all the canary's time.
    """
    values = {
        "canary_below": buckets_below,
        "canary_allow": list(canary.allow),
        "since": since,
        "duplicates_since": canary.started_at,
    }
    rows = tx.execute(statement("canary_cohorts"), values)
    return [CohortSample(phase=canary.state, **row._mapping) for row in rows]


def measure_contention(tx: Tx) -> Contention:
    """The database now."""
    return Contention(**tx.execute(statement("contention")).one()._mapping)


def record(tx: Tx, canary_id: int, samples: Sequence[CohortSample], contention: Contention) -> None:
    """Keep the samples of one instant."""
    for sample in samples:
        tx.execute(sa.text(RECORD_SAMPLE_SQL), {"canary_id": canary_id, **vars(sample)})
    tx.execute(sa.text(RECORD_CONTENTION_SQL), {**vars(contention), "sampled_at": samples[0].sampled_at})


def samples(tx: Tx, canary_id: int) -> list[CohortSample]:
    """Every sample of a canary, both cohorts, oldest first."""
    return [CohortSample(**row._mapping) for row in tx.execute(sa.text(SAMPLES_SQL), {"canary_id": canary_id})]


def latest_samples(tx: Tx, canary_id: int, *, since: datetime, limit: int) -> list[CohortSample]:
    """The latest samples of the canary's own cohort after an instant, newest first."""
    values = {"canary_id": canary_id, "since": since, "limit": limit}
    return [CohortSample(**row._mapping) for row in tx.execute(sa.text(LATEST_SAMPLES_SQL), values)]


def attempts_since(tx: Tx, canary_id: int, *, since: datetime) -> tuple[int, int]:
    """How many attempts of the canary's cohort ended after an instant, and how many of them failed."""
    row = tx.execute(sa.text(ATTEMPTS_SINCE_SQL), {"canary_id": canary_id, "since": since}).one()
    return row.finished, row.failed


def contention(tx: Tx, canary_id: int) -> list[Contention]:
    """The database at the instants of a canary's samples, oldest first."""
    return [Contention(**row._mapping) for row in tx.execute(sa.text(CONTENTION_SQL), {"canary_id": canary_id})]


def _one(tx: Tx, sql: str, values: Mapping[str, Any]) -> Canary | None:
    row = tx.execute(sa.text(sql), dict(values)).one_or_none()
    return None if row is None else Canary(**row._mapping)


def _record_move(tx: Tx, canary_id: int, states: tuple[str | None, str], who: str, why: str) -> None:
    values = {"canary_id": canary_id, "from_state": states[0], "to_state": states[1], "who": who, "why": why}
    tx.execute(sa.text(EVENT_SQL), values)
