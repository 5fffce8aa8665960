"""Forced breaches that reached a sink."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from queue_pipeline.domain.alert_proof import AlertProof
from queue_pipeline.store.session import Tx

#: The root message of an open incident, in whichever sink it was posted last.
ROOT_SQL = """
SELECT i.incident_id, i.generation, i.fired_at, i.wanted_seq AS seq, p.sink, p.ts, p.posted_at, i.last_error
FROM alert_incident i LEFT JOIN LATERAL (
    SELECT sink, ts, posted_at FROM alert_post
    WHERE incident_id = i.incident_id AND what = 'root' AND outcome IN ('posted', 'adopted')
    ORDER BY alert_post_id DESC LIMIT 1) p ON true
WHERE i.dedup_key = :dedup_key AND i.status <> 'resolved'
"""

RECORD_SQL = """
INSERT INTO alert_proof (kind, incident_id, forced_at, forced_by, reached_at, sink, ts, seen_by_reading_back)
VALUES (:kind, :incident_id, :forced_at, :forced_by, :reached_at, :sink, :ts, :seen_by_reading_back)
RETURNING alert_proof_id
"""

LATEST_SQL = """
SELECT alert_proof_id, kind, incident_id, forced_at, forced_by, reached_at, sink, ts, seen_by_reading_back
FROM alert_proof ORDER BY alert_proof_id DESC LIMIT :limit
"""


@dataclass(frozen=True)
class ForcedRoot:
    """A forced incident, and its root message once it is posted."""

    incident_id: int
    generation: int
    fired_at: datetime
    seq: int
    sink: str | None
    ts: str | None
    posted_at: datetime | None
    last_error: str | None


def root(tx: Tx, dedup_key: str) -> ForcedRoot | None:
    """The open incident of this key."""
    row = tx.execute(sa.text(ROOT_SQL), {"dedup_key": dedup_key}).one_or_none()
    return None if row is None else ForcedRoot(**row._mapping)


def record(
    tx: Tx,
    *,
    kind: str,
    incident_id: int,
    forced_at: datetime,
    forced_by: str,
    reached_at: datetime,
    sink: str,
    ts: str,
    seen_by_reading_back: bool,
) -> AlertProof:
    """Keep a proof."""
    values: dict[str, Any] = {"kind": kind, "incident_id": incident_id, "forced_at": forced_at, "forced_by": forced_by}
    values |= {"reached_at": reached_at, "sink": sink, "ts": ts, "seen_by_reading_back": seen_by_reading_back}
    return AlertProof(alert_proof_id=tx.execute(sa.text(RECORD_SQL), values).scalar_one(), **values)


def latest(tx: Tx, *, limit: int) -> list[AlertProof]:
    """Proofs, newest first."""
    return [AlertProof(**row._mapping) for row in tx.execute(sa.text(LATEST_SQL), {"limit": limit})]
