"""What stands behind a finding of the audit: messages, evidence, attempts and deliveries, by id; and its reviews.

No recipient, no text and no name is read: a finding may be shown anywhere.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from psycopg.types.json import Jsonb

from queue_pipeline.domain.audit import Review
from queue_pipeline.store.session import Tx

OUTBOUND_SQL = """
SELECT outbound_message_id, workspace, job_id, lead_id, draft_id, channel, purpose, part_index, provider, state, epoch,
       created_at, sent_at, unknown_since, decided_by IS NOT NULL AS decided_outside_its_attempt
FROM outbound_message WHERE outbound_message_id = ANY(:outbound_message_ids) ORDER BY outbound_message_id
"""

EVIDENCE_SQL = """
SELECT p.provider, p.account, p.kind, p.provider_message_id, p.outbound_message_id, p.author, p.observed_via, p.sent_at,
       p.first_seen_at
FROM jsonb_array_elements(:evidence) k
JOIN provider_message p ON p.provider = k ->> 0 AND p.account = k ->> 1 AND p.kind = k ->> 2 AND p.provider_message_id = k ->> 3
ORDER BY coalesce(p.sent_at, p.first_seen_at), p.provider_message_id
"""

ATTEMPTS_SQL = """
SELECT outbound_message_id, attempt, epoch, sender, function_run_id, dagster_run_id, started_at, finished_at, outcome,
       http_status, provider_message_id
FROM send_attempt WHERE outbound_message_id = ANY(:outbound_message_ids) ORDER BY outbound_message_id, attempt
"""

INBOUND_SQL = """
SELECT e.inbound_event_id, e.workspace, e.provider, e.job_id, e.accepted_at, left(e.payload_sha256, 12) AS payload,
       (SELECT array_agg(left(c.payload_sha256, 12) ORDER BY c.seen_at) FROM inbound_conflict c
        WHERE c.inbound_event_id = e.inbound_event_id) AS other_payloads
FROM inbound_event e WHERE e.inbound_event_id = ANY(:inbound_event_ids) ORDER BY e.inbound_event_id
"""

REVIEWS_SQL = "SELECT fingerprint, who, why, reviewed_at FROM audit_review WHERE fingerprint = ANY(:fingerprints)"

REVIEW_SQL = """
INSERT INTO audit_review (fingerprint, who, why) VALUES (:fingerprint, :who, :why) ON CONFLICT (fingerprint) DO NOTHING
"""

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Trail:
    """The rows behind a set of findings."""

    outbound_messages: Sequence[Row] = field(default=())
    provider_messages: Sequence[Row] = field(default=())
    attempts: Sequence[Row] = field(default=())
    inbound_events: Sequence[Row] = field(default=())


def trail(
    tx: Tx,
    *,
    outbound_message_ids: Collection[int],
    evidence: Sequence[Sequence[str]],
    inbound_event_ids: Collection[int],
) -> Trail:
    """The rows with these ids; `evidence` holds (provider, account, kind, provider_message_id)."""
    messages = {"outbound_message_ids": sorted(outbound_message_ids)}
    return Trail(
        outbound_messages=_rows(tx, OUTBOUND_SQL, messages),
        provider_messages=_rows(tx, EVIDENCE_SQL, {"evidence": Jsonb(list(evidence))}),
        attempts=_rows(tx, ATTEMPTS_SQL, messages),
        inbound_events=_rows(tx, INBOUND_SQL, {"inbound_event_ids": sorted(inbound_event_ids)}),
    )


def reviews(tx: Tx, fingerprints: Collection[str]) -> Mapping[str, Review]:
    """The reviews of these findings, by fingerprint."""
    rows = tx.execute(sa.text(REVIEWS_SQL), {"fingerprints": sorted(fingerprints)})
    return {row.fingerprint: Review(**row._mapping) for row in rows}


def review(tx: Tx, *, fingerprint: str, who: str, why: str) -> bool:
    """Put a review on record; False when there is one already."""
    return tx.execute(sa.text(REVIEW_SQL), {"fingerprint": fingerprint, "who": who, "why": why}).rowcount > 0


def _rows(tx: Tx, statement: str, parameters: Row) -> Sequence[Row]:
    return [dict(row) for row in tx.execute(sa.text(statement), dict(parameters)).mappings()]
