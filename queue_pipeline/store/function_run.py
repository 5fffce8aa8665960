"""The ledger of function runs: begin, keep the lease, end; and the presence lock that tells a dead process."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
import sqlalchemy as sa

from queue_pipeline.store.session import Direct, Tx, outages_translated

#: First key of the session-level advisory locks; the second is the function run's id, modulo 2^31.
PRESENCE_CLASS = 7_316_402

COUNTERS = (
    "claimed", "succeeded", "retried", "snoozed", "cancelled", "failed", "timed_out", "released", "lost", "abandoned_threads",
)  # fmt: skip

BEGIN_SQL = """
INSERT INTO function_run (function_run_id, shard, host, pid, dagster_run_id, lease_until)
OVERRIDING SYSTEM VALUE
VALUES (%(function_run_id)s, %(shard)s, %(host)s, %(pid)s, %(dagster_run_id)s,
        clock_timestamp() + make_interval(secs => %(lease_seconds)s))
RETURNING fence
"""

TAKE_WINDOW_SQL = """
UPDATE dispatch_window SET state = 'DRAINING', taken_at = clock_timestamp(), function_run_id = %(function_run_id)s
WHERE dispatch_key = %(dispatch_key)s AND state = 'OPEN'
RETURNING window_id
"""

#: What capacity control measures of a drain: claims, those that other drains' locks turned away, handlers at once, and the
#: wait for a connection in seconds. A function run that ended has no workers.
MEASURES = ("claims", "claim_conflicts", "workers", "connect_wait_p95")

HEARTBEAT_SQL = f"""
UPDATE function_run SET
    heartbeat_at = clock_timestamp(),
    lease_until = clock_timestamp() + make_interval(secs => %(lease_seconds)s),
    progress_at = CASE WHEN %(progressed)s THEN clock_timestamp() ELSE progress_at END,
    {", ".join(f"{name} = %({name})s" for name in (*COUNTERS, *MEASURES))}
WHERE function_run_id = %(function_run_id)s AND fence = %(fence)s AND state = 'RUNNING'
RETURNING stop_requested_at IS NOT NULL, stop_reason
"""

END_SQL = f"""
WITH ended AS (
    UPDATE function_run SET
        state = %(state)s, ended_at = clock_timestamp(), end_reason = %(end_reason)s, end_detail = %(end_detail)s,
        {", ".join(f"{name} = %({name})s" for name in (*COUNTERS, *MEASURES))}
    WHERE function_run_id = %(function_run_id)s AND fence = %(fence)s AND state = 'RUNNING'
    RETURNING function_run_id, end_reason
)
UPDATE dispatch_window w SET state = 'CLOSED', closed_at = clock_timestamp(), reason = e.end_reason
FROM ended e WHERE w.function_run_id = e.function_run_id AND w.state = 'DRAINING'
RETURNING w.window_id
"""

#: A living function run holds its lock; a process that died lost it with its connection.
LIVING_SQL = f"""
SELECT r.function_run_id, r.fence, r.shard, r.dagster_run_id, r.host, r.pid,
       extract(epoch FROM clock_timestamp() - r.started_at)::float8   AS age_seconds,
       extract(epoch FROM clock_timestamp() - r.heartbeat_at)::float8 AS heartbeat_age_seconds,
       extract(epoch FROM r.lease_until - clock_timestamp())::float8  AS lease_left_seconds,
       extract(epoch FROM clock_timestamp() - r.progress_at)::float8  AS progress_age_seconds,
       r.stop_requested_at IS NOT NULL AS stopping,
       extract(epoch FROM clock_timestamp() - pg_postmaster_start_time())::float8 AS server_age_seconds,
       EXISTS (
           SELECT FROM pg_locks k
           WHERE k.locktype = 'advisory' AND k.classid = {PRESENCE_CLASS} AND k.granted AND k.objsubid = 2
             AND k.objid = (r.function_run_id % 2147483648)::oid
             AND k.database = (SELECT oid FROM pg_database WHERE datname = current_database())
       ) AS present
FROM function_run r
WHERE r.state = 'RUNNING'
ORDER BY r.function_run_id
"""


@dataclass(frozen=True)
class LivingRun:
    """A function run in state RUNNING and what is known of its life; ages in seconds by the database's clock."""

    function_run_id: int
    fence: int
    shard: str
    dagster_run_id: str | None
    host: str
    pid: int
    age_seconds: float
    heartbeat_age_seconds: float
    lease_left_seconds: float
    progress_age_seconds: float
    stopping: bool
    server_age_seconds: float
    present: bool


@dataclass(frozen=True)
class Begun:
    """A function run that has just begun, with the window it took."""

    function_run_id: int
    fence: int
    window_id: int


@dataclass(frozen=True)
class HeartbeatAnswer:
    """What the ledger answered to a heartbeat; `living` is False when the run has been fenced."""

    living: bool
    stop_requested: bool = False
    stop_reason: str | None = None


def next_function_run_id(connection: Direct) -> int:
    """Reserve the id of a function run, so that its presence lock can be taken before it is seen."""
    with outages_translated():
        row = connection.execute("SELECT nextval(pg_get_serial_sequence('function_run', 'function_run_id'))").fetchone()
        assert row is not None
        return int(row[0])


def take_presence_lock(connection: Direct, function_run_id: int) -> bool:
    """Take the session's presence lock; False when another session still holds it."""
    with outages_translated():
        row = connection.execute(
            "SELECT pg_try_advisory_lock(%s, %s)", (PRESENCE_CLASS, function_run_id % 2_147_483_648)
        ).fetchone()
        return bool(row and row[0])


def begin(
    connection: Direct,
    *,
    function_run_id: int,
    dispatch_key: str,
    shard: str,
    host: str,
    pid: int,
    dagster_run_id: str | None,
    lease_seconds: float,
) -> Begun | None:
    """Write the ledger row and take the window in one transaction; None when the window is not OPEN any more."""
    who = {
        "function_run_id": function_run_id,
        "shard": shard,
        "host": host,
        "pid": pid,
        "dagster_run_id": dagster_run_id,
        "lease_seconds": lease_seconds,
        "dispatch_key": dispatch_key,
    }
    with outages_translated(), connection.transaction() as block:
        begun = connection.execute(BEGIN_SQL, who).fetchone()
        window = connection.execute(TAKE_WINDOW_SQL, who).fetchone()
        if begun is None or window is None:
            raise psycopg.Rollback(block)
        connection.execute(
            "UPDATE function_run SET window_id = %s WHERE function_run_id = %s", (window[0], function_run_id)
        )
        return Begun(function_run_id, begun[0], window[0])
    return None


def heartbeat(
    connection: Direct, begun: Begun, *, lease_seconds: float, progressed: bool, counters: Mapping[str, float | None]
) -> HeartbeatAnswer:
    """Renew the lease and publish the counters; refused when the run is no longer RUNNING with this fence."""
    values = _counted(counters)
    values.update(
        function_run_id=begun.function_run_id, fence=begun.fence, lease_seconds=lease_seconds, progressed=progressed
    )
    with outages_translated():
        row = connection.execute(HEARTBEAT_SQL, values).fetchone()
        return HeartbeatAnswer(False) if row is None else HeartbeatAnswer(True, row[0], row[1])


def end(
    connection: Direct,
    begun: Begun,
    *,
    state: str,
    end_reason: str,
    end_detail: str,
    counters: Mapping[str, float | None],
) -> bool:
    """End a function run and close its window; False when it had been fenced before."""
    values = _counted(counters)
    values.update(
        function_run_id=begun.function_run_id,
        fence=begun.fence,
        state=state,
        end_reason=end_reason,
        end_detail=end_detail,
    )
    with outages_translated():
        return connection.execute(END_SQL, values).fetchone() is not None


def _counted(counters: Mapping[str, float | None]) -> dict[str, Any]:
    values = {name: counters.get(name, 0) for name in (*COUNTERS, *MEASURES)}
    return {**values, "connect_wait_p95": counters.get("connect_wait_p95")}


def living_sql() -> sa.TextClause:
    """Every function run in state RUNNING with the facts by which its life is judged."""
    return sa.text(LIVING_SQL)


def living(tx: Tx, shards: Sequence[str] | None = None) -> list[LivingRun]:
    """Function runs in state RUNNING, oldest first; of the given shards only, if given."""
    runs = [LivingRun(**row._mapping) for row in tx.execute(living_sql())]
    return [run for run in runs if shards is None or run.shard in shards]


def request_stop(tx: Tx, *, reason: str, shard: str | None) -> int:
    """Ask living function runs to stop and wake them; returns how many were asked."""
    asked = tx.execute(
        sa.text(
            "UPDATE function_run SET stop_requested_at = clock_timestamp(), stop_reason = :reason "
            "WHERE state = 'RUNNING' AND stop_requested_at IS NULL AND (CAST(:shard AS text) IS NULL OR shard = :shard)"
        ),
        {"reason": reason, "shard": shard},
    ).rowcount
    tx.execute(sa.text("SELECT pg_notify('queue_pipeline', 'stop')"))
    return asked
