"""What people must do for leads: tasks that a message gave rise to."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from queue_pipeline.store.session import Tx

ADD_SQL = """
INSERT INTO lead_task AS t (workspace, lead_id, job_id, kind, why, due_at)
VALUES (:workspace, :lead_id, :job_id, :kind, :why, :due_at)
ON CONFLICT (job_id, kind) DO UPDATE SET why = t.why
RETURNING t.lead_task_id
"""

LIST_SQL = """
SELECT t.lead_task_id, t.workspace, t.lead_id, t.job_id, t.kind, t.why, t.due_at, t.state, t.created_at, t.done_at, t.done_by,
       l.address, l.phone
FROM lead_task t LEFT JOIN lead l USING (lead_id)
WHERE (CAST(:workspace AS text) IS NULL OR t.workspace = :workspace) AND (:with_done OR t.state = 'OPEN')
ORDER BY t.state <> 'OPEN', coalesce(t.due_at, t.created_at), t.lead_task_id LIMIT :limit
"""

DONE_SQL = """
UPDATE lead_task SET state = 'DONE', done_at = clock_timestamp(), done_by = :who
WHERE lead_task_id = :lead_task_id AND state = 'OPEN'
RETURNING lead_task_id
"""

STATE_SQL = "SELECT state, done_by FROM lead_task WHERE lead_task_id = :lead_task_id"


@dataclass(frozen=True)
class LeadTask:
    """One task with whom it is about. `address` and `phone` are personal data."""

    lead_task_id: int
    workspace: str
    lead_id: int | None
    job_id: int
    kind: str
    why: str
    due_at: datetime | None
    state: str
    created_at: datetime
    done_at: datetime | None
    done_by: str | None
    address: str | None
    phone: str | None


def add(
    tx: Tx, *, workspace: str, lead_id: int | None, job_id: int, kind: str, why: str, due_at: datetime | None
) -> int:
    """Keep a task, once per job and kind; gives its id."""
    values = {
        "workspace": workspace, "lead_id": lead_id, "job_id": job_id, "kind": kind, "why": why, "due_at": due_at,
    }  # fmt: skip
    return int(tx.execute(sa.text(ADD_SQL), values).scalar_one())


def tasks(tx: Tx, *, workspace: str | None, with_done: bool, limit: int) -> list[LeadTask]:
    """Tasks, open ones first, the most urgent first."""
    values = {"workspace": workspace, "with_done": with_done, "limit": limit}
    return [LeadTask(**row._mapping) for row in tx.execute(sa.text(LIST_SQL), values)]


def done(tx: Tx, lead_task_id: int, *, who: str) -> bool:
    """Note that a task is done; False when it is not open."""
    return tx.execute(sa.text(DONE_SQL), {"lead_task_id": lead_task_id, "who": who}).one_or_none() is not None


def state_of(tx: Tx, lead_task_id: int) -> tuple[str, str | None] | None:
    """The state of a task and who ended it."""
    row = tx.execute(sa.text(STATE_SQL), {"lead_task_id": lead_task_id}).first()
    return None if row is None else (row.state, row.done_by)
