"""Workspaces with due work that nobody serves although others are served: asked of the lanes, whatever order they are in."""

from dataclasses import dataclass

from queue_pipeline.store.claim import RANK
from queue_pipeline.store.session import Tx

#: So many of the lanes that were served longest ago are looked at; one that is starved is among them.
LANES_MAX = 200

#: A lane at its quota is served by as much as it may be; a paused shard is served by nobody, on purpose. The order of claims
#: is not asked: the alarm must not share a mistake with the rule that it watches.
STARVED_SQL = f"""
WITH waiting AS MATERIALIZED (
    SELECT l.workspace, l.quota, greatest(l.ready_at, l.served_at) AS served_at FROM workspace_lane l
    WHERE l.ready AND l.quota > 0 AND greatest(l.ready_at, l.served_at) < now() - make_interval(secs => %(longer_than)s)
      AND NOT EXISTS (SELECT FROM pause p WHERE p.ended_at IS NULL
                      AND (p.scope = 'everything' OR p.scope = 'shard' AND p.name = l.shard))
    ORDER BY 3 LIMIT {LANES_MAX}
), unserved AS (
    SELECT w.workspace, extract(epoch FROM now() - greatest(w.served_at, head.run_at))::float8 AS seconds
    FROM waiting w CROSS JOIN LATERAL (
        SELECT j.run_at FROM job j WHERE j.workspace = w.workspace AND j.state = 'PENDING' ORDER BY {RANK}, j.job_id LIMIT 1
    ) head
    WHERE w.quota > (SELECT count(*) FROM job r WHERE r.workspace = w.workspace AND r.state = 'RUNNING')
)
SELECT count(*) AS workspaces, coalesce(max(seconds), 0) AS longest_seconds FROM unserved WHERE seconds > %(longer_than)s
"""


@dataclass(frozen=True)
class Starvation:
    """How many workspaces are not served, at most `LANES_MAX`, and for how long the worst of them."""

    workspaces: int
    longest_seconds: float


def starved_sql() -> str:
    """Workspaces that were not served for longer than this; parameter `longer_than`, seconds."""
    return STARVED_SQL


def starved(tx: Tx, *, longer_than_seconds: float) -> Starvation:
    """What is starved at the transaction's instant."""
    row = tx.exec_driver_sql(STARVED_SQL, {"longer_than": longer_than_seconds}).one()
    return Starvation(row.workspaces, row.longest_seconds)
