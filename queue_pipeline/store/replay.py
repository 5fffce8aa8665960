"""Recorded leads as a replay needs them, and the record of finished replays."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from queue_pipeline.store.session import Tx

#: A draft that a person rewrote is not the drafter's any more.
_RECORDED = """
SELECT e.job_id, e.workspace, j.payload, e.accepted_at, l.lead_id, l.address, l.name, coalesce(l.phone IS NOT NULL, false) AS phone_known,
       o.outcome, o.code, CASE WHEN d.drafter NOT LIKE 'edited by %' THEN d.body END AS draft, d.created_at AS drafted_at
FROM inbound_event e
JOIN job j ON j.job_id = e.job_id
LEFT JOIN lead l ON l.workspace = e.workspace AND l.address = e.lead_address
LEFT JOIN lead_outcome o ON o.job_id = e.job_id
LEFT JOIN draft d ON d.draft_id = o.draft_id
"""

LATEST_SQL = f"{_RECORDED} WHERE e.workspace = :workspace ORDER BY e.inbound_event_id DESC LIMIT :limit"

#: An id is that of a job, a thread, a provider's event, or a delivery, each looked up through its index. A message that
#: names no channel came by e-mail.
BY_ID_SQL = f"""
{_RECORDED}
WHERE e.inbound_event_id = (
    SELECT max(inbound_event_id) FROM (
        SELECT inbound_event_id, channel FROM inbound_event WHERE job_id = :job_id
        UNION ALL SELECT inbound_event_id, channel FROM inbound_event WHERE thread_id = :id
        UNION ALL SELECT inbound_event_id, channel FROM inbound_event WHERE provider_event_id = :id
        UNION ALL SELECT inbound_event_id, channel FROM inbound_event WHERE dedupe_key = :id
    ) found WHERE CAST(:channel AS text) IS NULL OR coalesce(channel, 'email') = :channel)
"""

SAVE_SQL = """
INSERT INTO replay_run (run_id, created_at, manifest_id, manifest_sha256, verdict, exit_code, summary, artifact, artifact_sha256, who)
VALUES (:run_id, :created_at, :manifest_id, :manifest_sha256, :verdict, :exit_code, CAST(:summary AS jsonb),
        CAST(:artifact AS jsonb), :artifact_sha256, :who)
ON CONFLICT (run_id, artifact_sha256) DO NOTHING
"""

_RUN = "SELECT run_id, created_at, recorded_at, manifest_id, manifest_sha256, verdict, exit_code, summary, artifact_sha256, who FROM replay_run"

RUNS_SQL = f"""
{_RUN} WHERE CAST(:manifest_id AS text) IS NULL OR manifest_id = :manifest_id ORDER BY replay_run_id DESC LIMIT :limit
"""

ARTIFACT_SQL = "SELECT artifact FROM replay_run WHERE run_id = :run_id ORDER BY replay_run_id DESC LIMIT 1"

LATEST_GOOD_SQL = """
SELECT artifact FROM replay_run WHERE manifest_id = :manifest_id AND verdict = 'pass' ORDER BY replay_run_id DESC LIMIT 1
"""


@dataclass(frozen=True)
class ReplayRun:
    """A finished replay without its artifact."""

    run_id: str
    created_at: datetime
    recorded_at: datetime
    manifest_id: str
    manifest_sha256: str
    verdict: str
    exit_code: int
    summary: Mapping[str, Any]
    artifact_sha256: str
    who: str


def read_only(tx: Tx) -> None:
    """Refuse every change in this transaction; to be said first."""
    tx.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")


def latest(tx: Tx, *, workspace: str, limit: int) -> list[dict[str, Any]]:
    """The latest recorded leads of a workspace, newest first."""
    rows = tx.execute(sa.text(LATEST_SQL), {"workspace": workspace, "limit": limit})
    return [dict(row._mapping) for row in rows]


def by_id(tx: Tx, *, name: str, job_id: int | None, channel: str | None) -> dict[str, Any] | None:
    """The latest recorded lead that an id means, on that channel if one is given."""
    row = tx.execute(sa.text(BY_ID_SQL), {"id": name, "job_id": job_id, "channel": channel}).one_or_none()
    return None if row is None else dict(row._mapping)


def save(tx: Tx, **run: Any) -> None:
    """Keep a finished replay; the same one again changes nothing."""
    tx.execute(sa.text(SAVE_SQL), run)


def runs(tx: Tx, *, manifest_id: str | None, limit: int) -> list[ReplayRun]:
    """Finished replays, newest first."""
    rows = tx.execute(sa.text(RUNS_SQL), {"manifest_id": manifest_id, "limit": limit})
    return [ReplayRun(**row._mapping) for row in rows]


def artifact(tx: Tx, *, run_id: str) -> Any | None:
    """The latest artifact of a replay."""
    return tx.execute(sa.text(ARTIFACT_SQL), {"run_id": run_id}).scalar_one_or_none()


def last_pass(tx: Tx, *, manifest_id: str) -> Any | None:
    """The artifact of the latest replay of a manifest that passed."""
    return tx.execute(sa.text(LATEST_GOOD_SQL), {"manifest_id": manifest_id}).scalar_one_or_none()
