"""Pauses: what is stopped, by whom and why, and the jobs that are parked meanwhile.

A paused lane is never ready, and a paused kind is parked by the claim that meets it; shards and everything are left
alone by the drains that look. Parking and unparking a backlog happens in short transactions, which whoever looks repeats.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from queue_pipeline.store.session import Tx

_COLUMNS = """
pause_id, scope, name, since, until, who, why, ended_at, ended_by, end_reason,
extract(epoch FROM coalesce(ended_at, clock_timestamp()) - since)::float8 AS lasted_seconds
"""

BEGIN_SQL = """
INSERT INTO pause (scope, name, until, who, why)
VALUES (:scope, :name, clock_timestamp() + make_interval(secs => CAST(:seconds AS float8)), :who, :why)
ON CONFLICT DO NOTHING RETURNING pause_id
"""
GET_SQL = f"SELECT {_COLUMNS} FROM pause WHERE pause_id = :pause_id"
OPEN_SQL = f"SELECT {_COLUMNS} FROM pause WHERE ended_at IS NULL ORDER BY since"
LATEST_SQL = f"SELECT {_COLUMNS} FROM pause ORDER BY pause_id DESC LIMIT :limit"

END_SQL = f"""
UPDATE pause SET ended_at = clock_timestamp(), ended_by = :who, end_reason = :why
WHERE scope = :scope AND name = :name AND ended_at IS NULL
RETURNING {_COLUMNS}
"""
END_OVERDUE_SQL = f"""
UPDATE pause SET ended_at = clock_timestamp(), ended_by = 'clock', end_reason = 'its time was over'
WHERE ended_at IS NULL AND until <= clock_timestamp()
RETURNING {_COLUMNS}
"""

#: The lane of a workspace that never had a job is made, so that its pause holds from its first job on.
STOP_LANE_SQL = """
INSERT INTO workspace_lane AS l (workspace, shard, paused)
VALUES (:workspace, shard_of_workspace(:workspace, :shards), true)
ON CONFLICT (workspace) DO UPDATE SET paused = true, ready = false
"""
START_LANE_SQL = """
WITH started AS (UPDATE workspace_lane SET paused = false WHERE workspace = :workspace AND paused RETURNING workspace)
INSERT INTO lane_wake (workspace) SELECT workspace FROM started
"""

#: The pending jobs of paused workspaces, out of the way of everything that measures waiting.
PARK_SQL = """
WITH waiting AS (
    SELECT j.job_id FROM pause p JOIN job j ON j.workspace = p.name AND j.state = 'PENDING'
    WHERE p.scope = 'workspace' AND p.ended_at IS NULL
    LIMIT :limit FOR UPDATE OF j SKIP LOCKED
)
UPDATE job j SET state = 'SCHEDULED', parked = true FROM waiting w WHERE j.job_id = w.job_id RETURNING j.job_id
"""

#: What a pause of this workspace or kind had parked, and no other pause still holds. It becomes due where it stood.
_HELD = """NOT EXISTS (SELECT FROM pause p WHERE p.ended_at IS NULL
        AND (p.scope = 'workspace' AND p.name = j.workspace OR p.scope = 'kind' AND p.name = j.kind))"""
UNPARK_SQL = f"""
WITH ended AS (
    SELECT pause_id, scope, name FROM pause WHERE ended_at IS NOT NULL AND released_at IS NULL ORDER BY pause_id LIMIT 1
), waiting AS (
    (SELECT j.job_id FROM ended e JOIN job j ON j.parked AND j.workspace = e.name
     WHERE e.scope = 'workspace' AND {_HELD} LIMIT :limit)
    UNION ALL
    (SELECT j.job_id FROM ended e JOIN job j ON j.parked AND j.kind = e.name
     WHERE e.scope = 'kind' AND {_HELD} LIMIT :limit)
), locked AS (
    SELECT job_id FROM job WHERE job_id = ANY (ARRAY(SELECT job_id FROM waiting)) AND parked
    ORDER BY job_id FOR UPDATE SKIP LOCKED
)
UPDATE job j SET parked = false FROM locked w WHERE j.job_id = w.job_id RETURNING j.job_id
"""

#: A drain that had not heard of the end may still park for a moment; what is left after that is looked for again.
RELEASED_SQL = """
UPDATE pause p SET released_at = clock_timestamp()
WHERE p.pause_id = (SELECT pause_id FROM pause WHERE ended_at IS NOT NULL AND released_at IS NULL ORDER BY pause_id LIMIT 1)
  AND (p.scope NOT IN ('workspace', 'kind') OR p.ended_at < clock_timestamp() - make_interval(secs => :settle_seconds))
RETURNING p.pause_id
"""


@dataclass(frozen=True)
class Pause:
    """One pause; `until` is when it ends by itself, `lasted_seconds` how long it lasted so far."""

    pause_id: int
    scope: str
    name: str
    since: datetime
    until: datetime | None
    who: str
    why: str
    ended_at: datetime | None
    ended_by: str | None
    end_reason: str | None
    lasted_seconds: float


def begin(tx: Tx, *, scope: str, name: str, seconds: float | None, who: str, why: str) -> Pause | None:
    """Write down a pause; None when the same is paused already."""
    values = {"scope": scope, "name": name, "seconds": seconds, "who": who, "why": why}
    number = tx.execute(sa.text(BEGIN_SQL), values).scalar_one_or_none()
    if number is None:
        return None
    return Pause(**tx.execute(sa.text(GET_SQL), {"pause_id": number}).one()._mapping)


def end(tx: Tx, *, scope: str, name: str, who: str, why: str) -> Pause | None:
    """End a pause; None when there is none."""
    row = tx.execute(sa.text(END_SQL), {"scope": scope, "name": name, "who": who, "why": why}).one_or_none()
    return None if row is None else Pause(**row._mapping)


def end_overdue(tx: Tx) -> list[Pause]:
    """End every pause whose time is over."""
    return [Pause(**row._mapping) for row in tx.execute(sa.text(END_OVERDUE_SQL))]


def open_pauses(tx: Tx) -> list[Pause]:
    """Every pause that has not ended, oldest first."""
    return [Pause(**row._mapping) for row in tx.execute(sa.text(OPEN_SQL))]


def latest(tx: Tx, *, limit: int) -> list[Pause]:
    """Pauses, newest first."""
    return [Pause(**row._mapping) for row in tx.execute(sa.text(LATEST_SQL), {"limit": limit})]


def stop_lane(tx: Tx, workspace: str, *, shards: int) -> None:
    """Take a workspace's lane out of the fair order. A claim that holds it is waited for."""
    tx.execute(sa.text(STOP_LANE_SQL), {"workspace": workspace, "shards": shards})


def start_lane(tx: Tx, workspace: str) -> None:
    """Let a workspace's lane be woken again."""
    tx.execute(sa.text(START_LANE_SQL), {"workspace": workspace})


def park(tx: Tx, *, limit: int) -> int:
    """Park up to `limit` pending jobs of paused workspaces; returns how many."""
    return len(tx.execute(sa.text(PARK_SQL), {"limit": limit}).all())


def unpark(tx: Tx, *, limit: int) -> int:
    """Let up to `limit` jobs of one ended pause be due again; returns how many."""
    return len(tx.execute(sa.text(UNPARK_SQL), {"limit": limit}).all())


def release(tx: Tx, *, settle_seconds: float) -> bool:
    """Note that nothing of the oldest ended pause is parked any more; False while something may still come, or none is."""
    return tx.execute(sa.text(RELEASED_SQL), {"settle_seconds": settle_seconds}).scalar_one_or_none() is not None


def notify(tx: Tx) -> None:
    """Tell drains to look at what is paused."""
    tx.execute(sa.text("SELECT pg_notify('queue_pipeline', 'rule')"))


def names_of(pauses: Sequence[Pause], scope: str) -> list[str]:
    """The names of what is paused in a scope."""
    return [pause.name for pause in pauses if pause.scope == scope]
