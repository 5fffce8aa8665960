"""Evidence packets and the decisions that were made on them: kept for good, never changed."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from queue_pipeline.domain.evidence_packet import EvidencePacket
from queue_pipeline.store.session import Tx

_COLUMNS = "sha256, canary_id, verdict, document, markdown, png, created_at, extract(epoch FROM clock_timestamp() - created_at)::float8 AS age_seconds"

KEEP_SQL = """
INSERT INTO evidence_packet (sha256, canary_id, verdict, document, markdown, png)
VALUES (:sha256, :canary_id, :verdict, CAST(:document AS jsonb), :markdown, :png)
ON CONFLICT (sha256) DO NOTHING
"""
BY_NAME_SQL = (
    f"SELECT {_COLUMNS} FROM evidence_packet WHERE starts_with(sha256, :name) ORDER BY created_at DESC LIMIT 2"
)
LATEST_SQL = f"SELECT {_COLUMNS} FROM evidence_packet ORDER BY created_at DESC LIMIT 1"

DECIDE_SQL = """
INSERT INTO rollout_decision (canary_id, packet_sha256, verdict, reasons)
VALUES (:canary_id, :packet_sha256, :verdict, CAST(:reasons AS jsonb))
RETURNING rollout_decision_id, canary_id, packet_sha256, decided_at, verdict, reasons
"""
DECISIONS_SQL = """
SELECT rollout_decision_id, canary_id, packet_sha256, decided_at, verdict, reasons
FROM rollout_decision ORDER BY rollout_decision_id DESC LIMIT :limit
"""


@dataclass(frozen=True)
class KeptPacket:
    """A packet as it is stored, and how old it is in seconds."""

    packet: EvidencePacket
    created_at: datetime
    age_seconds: float


@dataclass(frozen=True)
class KeptDecision:
    """A decision on record."""

    rollout_decision_id: int
    canary_id: int | None
    packet_sha256: str
    decided_at: datetime
    verdict: str
    reasons: Sequence[str]


def keep(tx: Tx, packet: EvidencePacket) -> bool:
    """Store a packet; False when the very same one was there."""
    values = {
        "sha256": packet.sha256,
        "canary_id": packet.canary_id,
        "verdict": packet.verdict,
        "document": json.dumps(packet.document),
        "markdown": packet.markdown,
        "png": packet.png,
    }
    return tx.execute(sa.text(KEEP_SQL), values).rowcount == 1


def by_name(tx: Tx, name: str) -> list[KeptPacket]:
    """The packets whose hash begins so, at most two."""
    return _packets(tx, BY_NAME_SQL, name=name)


def latest(tx: Tx) -> KeptPacket | None:
    """The packet that was made last."""
    return next(iter(_packets(tx, LATEST_SQL)), None)


def decide(tx: Tx, *, canary_id: int | None, packet_sha256: str, verdict: str, reasons: Sequence[str]) -> KeptDecision:
    """Put a decision on record."""
    values = {"canary_id": canary_id, "packet_sha256": packet_sha256, "verdict": verdict}
    row = tx.execute(sa.text(DECIDE_SQL), {**values, "reasons": json.dumps(list(reasons))}).one()
    return KeptDecision(**row._mapping)


def decisions(tx: Tx, *, limit: int) -> list[KeptDecision]:
    """Decisions, newest first."""
    return [KeptDecision(**row._mapping) for row in tx.execute(sa.text(DECISIONS_SQL), {"limit": limit})]


def _packets(tx: Tx, sql: str, **values: str) -> list[KeptPacket]:
    found = []
    for row in tx.execute(sa.text(sql), values).mappings():
        names = ("sha256", "canary_id", "verdict", "document", "markdown")
        packet = EvidencePacket(**{name: row[name] for name in names}, png=bytes(row["png"]))
        found.append(KeptPacket(packet, row["created_at"], row["age_seconds"]))
    return found
