"""Dispatch windows: open once, look, close when nobody came."""

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from queue_pipeline.store.session import Direct, Tx, outages_translated

_OPENING_LOCK_CLASS = 7_316_403

OPEN_SQL = """
INSERT INTO dispatch_window (dispatch_key, shard, source, launch_by, succeeds_run_id, replaces_window_id)
VALUES (:dispatch_key, :shard, :source, clock_timestamp() + make_interval(secs => :launch_grace_seconds),
        :succeeds_run_id, :replaces_window_id)
ON CONFLICT DO NOTHING
RETURNING window_id
"""

#: Due work is a pending job in a ready lane that may be served, and nothing of a paused shard is.
SHARD_FACTS_SQL = """
SELECT s.shard,
       NOT EXISTS (SELECT FROM pause p WHERE p.ended_at IS NULL
                   AND (p.scope = 'everything' OR p.scope = 'shard' AND p.name = s.shard))
       AND EXISTS (SELECT FROM workspace_lane l
                   WHERE l.shard = s.shard AND l.ready AND l.quota > 0
                     AND EXISTS (SELECT FROM job j WHERE j.workspace = l.workspace AND j.state = 'PENDING')) AS due,
       r.function_run_id, r.heartbeat_age_seconds, r.living,
       w.dispatch_key AS open_key, w.age_seconds AS open_age_seconds
FROM unnest(CAST(:shards AS text[])) AS s(shard)
LEFT JOIN LATERAL (
    SELECT function_run_id, extract(epoch FROM clock_timestamp() - heartbeat_at)::float8 AS heartbeat_age_seconds,
           count(*) OVER () AS living
    FROM function_run WHERE shard = s.shard AND state = 'RUNNING' AND lease_until > clock_timestamp() AND stop_requested_at IS NULL
    ORDER BY function_run_id DESC LIMIT 1
) r ON true
LEFT JOIN LATERAL (
    SELECT dispatch_key, extract(epoch FROM clock_timestamp() - opened_at)::float8 AS age_seconds
    FROM dispatch_window WHERE shard = s.shard AND state = 'OPEN' AND launch_by > clock_timestamp()
    ORDER BY opened_at LIMIT 1
) w ON true
ORDER BY s.shard
"""

WAITING_SQL = """
SELECT window_id, dispatch_key, shard, source, extract(epoch FROM clock_timestamp() - opened_at)::float8 AS age_seconds
FROM dispatch_window WHERE state = 'OPEN' AND launch_by > clock_timestamp()
ORDER BY opened_at
"""

ORPHANED_SQL = """
SELECT window_id, dispatch_key, shard, source, extract(epoch FROM clock_timestamp() - opened_at)::float8 AS age_seconds
FROM dispatch_window WHERE state = 'OPEN' AND launch_by <= clock_timestamp()
ORDER BY opened_at LIMIT :limit
"""


@dataclass(frozen=True)
class ShardFacts:
    """What decides whether a shard needs a window: due work, a living function run, an open window."""

    shard: str
    due: bool
    function_run_id: int | None
    heartbeat_age_seconds: float | None
    living: int
    open_key: str | None
    open_age_seconds: float | None


@dataclass(frozen=True)
class OpenWindow:
    """A committed window that nobody has taken yet; age in seconds."""

    window_id: int
    dispatch_key: str
    shard: str
    source: str
    age_seconds: float


def lock_opening(tx: Tx, shard: str) -> None:
    """Let one transaction at a time decide about opening windows of this shard."""
    tx.execute(
        sa.text("SELECT pg_advisory_xact_lock(:lock_class, hashtext(:shard))"),
        {"lock_class": _OPENING_LOCK_CLASS, "shard": shard},
    )


def shard_facts(tx: Tx, shards: Sequence[str]) -> list[ShardFacts]:
    """The facts of each shard, in order."""
    rows = tx.execute(sa.text(SHARD_FACTS_SQL), {"shards": list(shards)})
    return [ShardFacts(**{**row._mapping, "living": row.living or 0}) for row in rows]


def database_now_epoch(tx: Tx) -> float:
    """Seconds since 1970 by the database's clock."""
    return float(tx.execute(sa.text("SELECT extract(epoch FROM clock_timestamp())::float8")).scalar_one())


def open_window(
    tx: Tx,
    *,
    dispatch_key: str,
    shard: str,
    source: str,
    launch_grace_seconds: float,
    succeeds_run_id: int | None = None,
    replaces_window_id: int | None = None,
) -> int | None:
    """Open a window; None when its key, or the place it would take, is taken already."""
    return tx.execute(
        sa.text(OPEN_SQL),
        {
            "dispatch_key": dispatch_key,
            "shard": shard,
            "source": source,
            "launch_grace_seconds": launch_grace_seconds,
            "succeeds_run_id": succeeds_run_id,
            "replaces_window_id": replaces_window_id,
        },
    ).scalar_one_or_none()


def waiting(tx: Tx) -> list[OpenWindow]:
    """Open windows that still have time to be taken, oldest first."""
    return [OpenWindow(**row._mapping) for row in tx.execute(sa.text(WAITING_SQL))]


def orphaned(tx: Tx, *, limit: int) -> list[OpenWindow]:
    """Open windows past their launch grace, oldest first."""
    return [OpenWindow(**row._mapping) for row in tx.execute(sa.text(ORPHANED_SQL), {"limit": limit})]


def mark_missed(tx: Tx, window_id: int, reason: str) -> bool:
    """Give up on a window that is still OPEN; False when somebody took it in the meantime."""
    return (
        tx.execute(
            sa.text(
                "UPDATE dispatch_window SET state = 'MISSED', closed_at = clock_timestamp(), reason = :reason "
                "WHERE window_id = :window_id AND state = 'OPEN'"
            ),
            {"window_id": window_id, "reason": reason},
        ).rowcount
        == 1
    )


def supersede(tx: Tx, function_run_id: int, reason: str) -> None:
    """Close the window of a function run that was recovered."""
    tx.execute(
        sa.text(
            "UPDATE dispatch_window SET state = 'SUPERSEDED', closed_at = clock_timestamp(), reason = :reason "
            "WHERE function_run_id = :function_run_id AND state = 'DRAINING'"
        ),
        {"function_run_id": function_run_id, "reason": reason},
    )


def link_successor(tx: Tx, function_run_id: int, window_id: int) -> None:
    """Note on a function run which window succeeds it."""
    tx.execute(
        sa.text("UPDATE function_run SET successor_window_id = :window_id WHERE function_run_id = :function_run_id"),
        {"window_id": window_id, "function_run_id": function_run_id},
    )


def state_of(connection: Direct, dispatch_key: str) -> tuple[str, int | None] | None:
    """State and function run of a window, or None when there is no such window."""
    with outages_translated():
        row = connection.execute(
            "SELECT state, function_run_id FROM dispatch_window WHERE dispatch_key = %s", (dispatch_key,)
        ).fetchone()
        return None if row is None else (row[0], row[1])
