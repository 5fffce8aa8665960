"""Workspaces as an operator sees them: lane, quota, escalation, what waits and runs, and the latest decisions."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from queue_pipeline.store.claim import RANK
from queue_pipeline.store.session import Tx

#: Waiting jobs are counted up to here, and the oldest is looked for among so many next ones.
COUNT_MAX = 10_000

#: A lane that no job has woken yet rests in the shard that its first job would put it in.
ENSURE_LANE_SQL = """
INSERT INTO workspace_lane (workspace, shard, vtime)
SELECT s.workspace, s.shard, lane_virtual_time(s.shard)
FROM (SELECT CAST(:workspace AS text) AS workspace, shard_of_workspace(:workspace, :shards) AS shard) s
ON CONFLICT DO NOTHING
"""
ENSURE_QUOTA_SQL = "INSERT INTO workspace_quota (workspace) VALUES (:workspace) ON CONFLICT DO NOTHING"

SET_WEIGHT_SQL = "UPDATE workspace_lane SET weight = :weight WHERE workspace = :workspace"

_COLUMNS = """
l.workspace, l.shard, l.weight, l.quota, coalesce(q.tier, 'standard') AS tier, coalesce(q.eligible, false) AS eligible, q.own_quota,
e.quota AS escalated_quota, e.expires_at AS escalated_until, e.approver AS escalated_by, e.why AS escalated_why,
l.paused, l.served_at
"""
_FROM = """
workspace_lane l
LEFT JOIN workspace_quota q USING (workspace)
LEFT JOIN quota_escalation e ON e.workspace = l.workspace AND e.ended_at IS NULL
"""
_COUNTED = f"""
SELECT c.*,
       (SELECT count(*) FROM job r WHERE r.workspace = c.workspace AND r.state = 'RUNNING') AS in_flight,
       (SELECT count(*) FROM (SELECT FROM job p WHERE p.workspace = c.workspace AND p.state = 'PENDING' LIMIT {COUNT_MAX}) p) AS pending,
       (SELECT greatest(0, extract(epoch FROM clock_timestamp() - min(n.first_due_at)))::float8 FROM (
            SELECT j.first_due_at FROM job j WHERE j.workspace = c.workspace AND j.state = 'PENDING'
            ORDER BY {RANK}, j.job_id LIMIT {COUNT_MAX}) n) AS oldest_due_age_seconds
FROM chosen c
"""
ONE_SQL = f"WITH chosen AS (SELECT {_COLUMNS} FROM {_FROM} WHERE l.workspace = :workspace) {_COUNTED}"

#: Those that somebody or something has decided about first, then those with most jobs in flight.
LIST_SQL = f"""
WITH flight AS MATERIALIZED (
    SELECT workspace, count(*) AS jobs FROM job WHERE state = 'RUNNING' GROUP BY workspace
), chosen AS MATERIALIZED (
    SELECT {_COLUMNS}, row_number() OVER (
        ORDER BY (e.quota IS NULL), (q.tier IS DISTINCT FROM 'promoted'), (q.own_quota IS NULL), (q.eligible IS NOT TRUE),
                 coalesce(f.jobs, 0) DESC, NOT l.ready, l.workspace) AS place
    FROM {_FROM} LEFT JOIN flight f ON f.workspace = l.workspace
    ORDER BY place LIMIT :limit
)
{_COUNTED}
ORDER BY c.place
"""

_DECISION = """
SELECT quota_decision_id, decided_at, workspace, from_quota, to_quota, from_tier, to_tier, reason_code, said, healthy_windows,
       breach_windows, signals, who
FROM quota_decision
"""
DECISIONS_SQL = f"{_DECISION} ORDER BY quota_decision_id DESC LIMIT :limit"
DECISIONS_OF_SQL = f"{_DECISION} WHERE workspace = :workspace ORDER BY quota_decision_id DESC LIMIT :limit"

ESCALATIONS_SQL = """
SELECT quota_escalation_id, workspace, quota, started_at, expires_at, who, approver, why,
       extract(epoch FROM expires_at - clock_timestamp())::float8 AS seconds_left
FROM quota_escalation WHERE ended_at IS NULL ORDER BY expires_at LIMIT :limit
"""


@dataclass(frozen=True)
class Workspace:
    """One workspace. `quota` is in force; `own_quota` was set by a person; `served_at` is when a claim last took a job of it.

    `pending` is counted up to 10,000; the oldest due job is looked for among as many. None when nothing is due.
    """

    workspace: str
    shard: str
    weight: int
    quota: int
    tier: str
    eligible: bool
    own_quota: int | None
    escalated_quota: int | None
    escalated_until: datetime | None
    escalated_by: str | None
    escalated_why: str | None
    paused: bool
    served_at: datetime | None
    in_flight: int
    pending: int
    oldest_due_age_seconds: float | None


@dataclass(frozen=True)
class QuotaDecision:
    """One row of the record: what was decided about a quota or a weight, by whom, on which numbers."""

    quota_decision_id: int
    decided_at: datetime
    workspace: str
    from_quota: int
    to_quota: int
    from_tier: str
    to_tier: str
    reason_code: str
    said: str
    healthy_windows: int
    breach_windows: int
    signals: Mapping[str, Any]
    who: str


@dataclass(frozen=True)
class Escalation:
    """An escalation that has not ended."""

    quota_escalation_id: int
    workspace: str
    quota: int
    started_at: datetime
    expires_at: datetime
    who: str
    approver: str
    why: str
    seconds_left: float


def ensure(tx: Tx, workspace: str, *, shards: int) -> None:
    """Make the rows of a workspace that nobody has decided about, or that never had a job."""
    tx.execute(sa.text(ENSURE_LANE_SQL), {"workspace": workspace, "shards": shards})
    tx.execute(sa.text(ENSURE_QUOTA_SQL), {"workspace": workspace})


def set_weight(tx: Tx, workspace: str, weight: int) -> None:
    """How large its share is beside others."""
    tx.execute(sa.text(SET_WEIGHT_SQL), {"workspace": workspace, "weight": weight})


def get(tx: Tx, workspace: str) -> Workspace | None:
    """One workspace; None when it never had a job and nobody decided about it."""
    row = tx.execute(sa.text(ONE_SQL), {"workspace": workspace}).mappings().one_or_none()
    return None if row is None else Workspace(**row)


def listed(tx: Tx, *, limit: int) -> list[Workspace]:
    """Workspaces, those that were decided about first, then the busiest."""
    rows = tx.execute(sa.text(LIST_SQL), {"limit": limit}).mappings()
    return [Workspace(**{name: row[name] for name in Workspace.__dataclass_fields__}) for row in rows]


def decisions(tx: Tx, *, workspace: str | None = None, limit: int) -> list[QuotaDecision]:
    """The latest decisions, of one workspace or of all, newest first."""
    sql = DECISIONS_SQL if workspace is None else DECISIONS_OF_SQL
    rows = tx.execute(sa.text(sql), {"workspace": workspace, "limit": limit})
    return [QuotaDecision(**row._mapping) for row in rows]


def escalations(tx: Tx, *, limit: int) -> list[Escalation]:
    """Escalations that have not ended, the next to expire first."""
    return [Escalation(**row._mapping) for row in tx.execute(sa.text(ESCALATIONS_SQL), {"limit": limit})]
