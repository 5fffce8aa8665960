"""Inbound events: which deliveries were accepted, and which came again with other content."""

from dataclasses import asdict, dataclass

import sqlalchemy as sa

from queue_pipeline.store.session import Tx

#: Either key may be the one that is known; the delivery's own key is asked first, because it is the narrower one.
FIND_SQL = """
(SELECT inbound_event_id, job_id, payload_sha256, 0 AS place FROM inbound_event
 WHERE workspace = :workspace AND provider = :provider AND account = :account AND dedupe_key = :dedupe_key)
UNION ALL
(SELECT inbound_event_id, job_id, payload_sha256, 1 FROM inbound_event
 WHERE workspace = :workspace AND provider = :provider AND account = :account AND provider_event_id = :provider_event_id)
ORDER BY place LIMIT 1
"""

RECORD_SQL = """
INSERT INTO inbound_event
    (workspace, provider, account, provider_event_id, dedupe_key, payload_sha256, lead_address, channel, thread_id, job_id)
VALUES (:workspace, :provider, :account, :provider_event_id, :dedupe_key, :payload_sha256, :lead_address, :channel, :thread_id,
        :job_id)
ON CONFLICT DO NOTHING
RETURNING inbound_event_id
"""

KEEP_CONFLICT_SQL = """
INSERT INTO inbound_conflict (inbound_event_id, payload_sha256, payload)
VALUES (:inbound_event_id, :payload_sha256, CAST(:payload AS jsonb))
ON CONFLICT DO NOTHING
"""


@dataclass(frozen=True)
class RecordedEvent:
    """An inbound event that was accepted earlier."""

    inbound_event_id: int
    job_id: int
    payload_sha256: str


@dataclass(frozen=True)
class Place:
    """What makes a delivery unique: its key, and the provider's own id of the event if it has one."""

    workspace: str
    provider: str
    account: str
    dedupe_key: str
    provider_event_id: str | None


def find_sql() -> sa.TextClause:
    """The event of one delivery, by the keys that make it unique."""
    return sa.text(FIND_SQL)


def find(tx: Tx, place: Place) -> RecordedEvent | None:
    """The event that this delivery would repeat, if there is one."""
    row = tx.execute(find_sql(), asdict(place)).one_or_none()
    return None if row is None else RecordedEvent(row.inbound_event_id, row.job_id, row.payload_sha256)


def record(
    tx: Tx,
    place: Place,
    *,
    payload_sha256: str,
    lead_address: str | None,
    channel: str | None,
    thread_id: str | None,
    job_id: int,
) -> int | None:
    """Write down an accepted delivery and give its id; None when another transaction accepted it first."""
    values = {
        **asdict(place),
        "payload_sha256": payload_sha256,
        "lead_address": lead_address,
        "channel": channel,
        "thread_id": thread_id,
        "job_id": job_id,
    }
    found = tx.execute(sa.text(RECORD_SQL), values).scalar_one_or_none()
    return None if found is None else int(found)


def keep_conflict(tx: Tx, *, inbound_event_id: int, payload_sha256: str, payload_json: str) -> None:
    """Keep the content of a delivery that came again with a difference."""
    tx.execute(
        sa.text(KEEP_CONFLICT_SQL),
        {"inbound_event_id": inbound_event_id, "payload_sha256": payload_sha256, "payload": payload_json},
    )


def ever_used(tx: Tx) -> bool:
    """Whether this queue ever had a job, even if it was pruned since."""
    return bool(tx.execute(sa.text("SELECT is_called FROM job_job_id_seq")).scalar_one())
