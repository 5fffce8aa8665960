"""Lanes: make them ready when work is due, and rest them when it is gone.

Only this module's statements change `ready`, always in short transactions of our own. An enqueue writes a
row into `lane_wake` instead, which blocks nobody however long the application's transaction stays open.
"""

from typing import Any

from queue_pipeline.store.session import Direct, outages_translated

#: The virtual time at which lanes join is asked once for each shard: it is found by an index that old versions of lanes may fill.
#: A drain serves the wake-ups of its own shard only: while it held those of another, that shard's drain would look in vain.
WAKE_LANES_SQL = """
WITH taken AS (
    DELETE FROM lane_wake
    WHERE wake_id = ANY (ARRAY(
        SELECT w.wake_id FROM lane_wake w LEFT JOIN workspace_lane l USING (workspace)
        WHERE %(shard)s::text IS NULL OR coalesce(l.shard, shard_of_workspace(w.workspace, %(shards)s)) = %(shard)s
        ORDER BY w.wake_id LIMIT %(limit)s
        FOR UPDATE OF w SKIP LOCKED))
    RETURNING workspace
), woken AS MATERIALIZED (
    SELECT t.workspace, coalesce(l.shard, shard_of_workspace(t.workspace, %(shards)s)) AS shard
    FROM (SELECT DISTINCT workspace FROM taken) t LEFT JOIN workspace_lane l USING (workspace)
), times AS MATERIALIZED (
    SELECT shard, lane_virtual_time(shard) AS vtime FROM (SELECT DISTINCT shard FROM woken) s
)
INSERT INTO workspace_lane AS l (workspace, shard, ready, ready_at, vtime)
SELECT workspace, shard, true, clock_timestamp(), vtime FROM woken JOIN times USING (shard) ORDER BY workspace
ON CONFLICT (workspace) DO UPDATE SET ready = true, ready_at = excluded.ready_at, vtime = greatest(l.vtime, excluded.vtime)
WHERE NOT l.ready AND NOT l.paused
"""

PROMOTE_SQL = """
WITH due AS (
    SELECT job_id FROM job WHERE state = 'SCHEDULED' AND NOT parked AND run_at <= now()
    ORDER BY run_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED
), promoted AS (
    UPDATE job j SET state = 'PENDING'
    WHERE j.job_id = ANY (ARRAY(SELECT job_id FROM due)) AND j.state = 'SCHEDULED'
    RETURNING j.workspace
)
INSERT INTO lane_wake (workspace) SELECT DISTINCT workspace FROM promoted
"""

#: First half of resting lanes: lock those that look empty.
LOCK_DRY_LANES_SQL = """
SELECT l.workspace FROM workspace_lane l
WHERE l.shard = %(shard)s AND l.ready
  AND NOT EXISTS (SELECT FROM job j WHERE j.workspace = l.workspace AND j.state = 'PENDING')
ORDER BY l.vtime, l.workspace LIMIT %(limit)s
FOR UPDATE OF l SKIP LOCKED
"""

#: Second half: a snapshot taken after the lock sees every job whose wake-up was served before it, and a
#: wake-up served later waits for the lock; so no job is left behind in a resting lane.
REST_LANES_SQL = """
UPDATE workspace_lane l SET ready = false
WHERE l.workspace = ANY (%(workspaces)s)
  AND NOT EXISTS (SELECT FROM job j WHERE j.workspace = l.workspace AND j.state = 'PENDING')
"""


def wake_lanes_sql() -> str:
    """Serve up to `limit` wake-ups of one shard (NULL: of all); parameters `limit`, `shard`, `shards`."""
    return WAKE_LANES_SQL


def promote_sql() -> str:
    """Make up to `limit` scheduled jobs that are due pending; parameter `limit`."""
    return PROMOTE_SQL


def promote_and_wake(connection: Direct, *, promote_limit: int, wake_limit: int, shards: int) -> None:
    """Make due scheduled jobs pending and the lanes of all woken workspaces ready; wakes drains if there were any."""
    with outages_translated(), connection.transaction():
        connection.execute(PROMOTE_SQL, {"limit": promote_limit})
        woken = connection.execute(WAKE_LANES_SQL, {"limit": wake_limit, "shard": None, "shards": shards})
        if woken.rowcount:
            connection.execute("SELECT pg_notify('queue_pipeline', 'due')")


def rest_dry_lanes(connection: Direct, shard: str, *, limit: int = 500) -> int:
    """Take lanes without a pending job out of the fair order; returns how many looked empty."""
    with outages_translated(), connection.transaction():
        rows: list[Any] = connection.execute(LOCK_DRY_LANES_SQL, {"shard": shard, "limit": limit}).fetchall()
        if rows:
            connection.execute(REST_LANES_SQL, {"workspaces": [row[0] for row in rows]})
        return len(rows)
