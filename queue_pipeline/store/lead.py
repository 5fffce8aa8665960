"""Leads, how their messages ended, and the notifications that go with that."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from queue_pipeline.store.session import Tx

REMEMBER_SQL = """
INSERT INTO lead AS l (workspace, address, name) VALUES (:workspace, :address, :name)
ON CONFLICT (workspace, address) DO UPDATE
    SET name = coalesce(excluded.name, l.name), last_inbound_at = clock_timestamp()
RETURNING l.lead_id, l.opted_out_at IS NOT NULL AS opted_out, l.phone IS NOT NULL AS phone_known,
    EXISTS (SELECT FROM inbound_event e
            WHERE e.lead_address = l.address AND e.workspace = l.workspace AND e.job_id < :job_id) AS wrote_before
"""

OPT_OUT_SQL = "UPDATE lead SET opted_out_at = clock_timestamp() WHERE lead_id = :lead_id AND opted_out_at IS NULL"

NOTE_PHONE_SQL = "UPDATE lead SET phone = :phone WHERE lead_id = :lead_id AND phone IS DISTINCT FROM :phone"

#: What the lead wrote before this message and what we sent, the latest few, oldest first. A pruned job is left out.
THREAD_SQL = """
SELECT author, body, at FROM (
    (SELECT 'lead' AS author, left(j.payload ->> 'body', :length) AS body, e.accepted_at AS at
     FROM lead l
     JOIN inbound_event e ON e.workspace = l.workspace AND e.lead_address = l.address AND e.job_id < :job_id
     JOIN job j ON j.job_id = e.job_id
     WHERE l.lead_id = :lead_id
     ORDER BY e.accepted_at DESC LIMIT :limit)
    UNION ALL
    (SELECT 'us', left(m.body, :length), m.sent_at FROM outbound_message m
     WHERE m.lead_id = :lead_id AND m.state = 'SENT' AND m.job_id < :job_id
     ORDER BY m.sent_at DESC LIMIT :limit)
) turns WHERE coalesce(body, '') <> '' ORDER BY at DESC LIMIT :limit
"""

#: A handler's word outweighs what the database recorded for a job without one; what was recorded first stays.
CONCLUDE_SQL = """
INSERT INTO lead_outcome AS o (job_id, workspace, lead_id, outcome, code, reason, draft_id)
SELECT j.job_id, j.workspace, :lead_id, :outcome, :code, :reason, :draft_id
FROM job j WHERE j.job_id = :job_id AND j.state = 'RUNNING' FOR SHARE
ON CONFLICT (job_id) DO UPDATE SET lead_id = excluded.lead_id, outcome = excluded.outcome, code = excluded.code,
    reason = excluded.reason, draft_id = excluded.draft_id, recorded_at = clock_timestamp()
    WHERE o.code IN ('dead_letter', 'cancelled')
RETURNING job_id
"""

#: Of a draft that has an outcome already; `from_outcomes` guards against whatever moved it meanwhile.
CHANGE_SQL = """
UPDATE lead_outcome SET outcome = :outcome, code = :code, reason = :reason, recorded_at = clock_timestamp()
WHERE draft_id = :draft_id AND outcome = ANY (:from_outcomes)
RETURNING job_id
"""

NOTIFY_SQL = """
INSERT INTO notification (workspace, job_id, dedupe_key, text, kind)
VALUES (:workspace, :job_id, :dedupe_key, :text, :kind)
ON CONFLICT (dedupe_key) DO NOTHING
"""

#: A skip is told unless people were already asked to act on the same message.
NOTIFY_SKIP_SQL = """
INSERT INTO notification (workspace, job_id, dedupe_key, text, kind)
SELECT :workspace, :job_id, :dedupe_key, :text, 'skip'
WHERE NOT EXISTS (SELECT FROM notification WHERE job_id = :job_id AND kind = 'action')
ON CONFLICT (dedupe_key) DO NOTHING
"""

MESSAGE_OF_SQL = "SELECT payload FROM job WHERE job_id = :job_id AND kind = 'lead.inbound'"

#: Numbers only, no address and no text: what is shown in Dagster is kept there for ever. Whatever still needs a person is
#: first.
FLOW_SQL = """
SELECT e.inbound_event_id, e.workspace, e.provider, e.job_id, e.accepted_at, j.state AS job_state, j.attempt, o.lead_id, o.outcome,
       o.code, o.reason, t.kind || ', ' || lower(t.state) AS task, d.draft_id, d.drafter, d.state AS draft_state,
       jsonb_array_length(d.findings) AS findings,
       extract(epoch FROM d.created_at - e.accepted_at)::float8   AS drafted_after_seconds,
       extract(epoch FROM m.sent_at - e.accepted_at)::float8      AS sent_after_seconds,
       extract(epoch FROM n.delivered_at - e.accepted_at)::float8 AS notified_after_seconds
FROM (SELECT * FROM inbound_event ORDER BY inbound_event_id DESC LIMIT :limit) e
LEFT JOIN job j ON j.job_id = e.job_id
LEFT JOIN lead_outcome o ON o.job_id = e.job_id
LEFT JOIN draft d ON d.draft_id = o.draft_id
LEFT JOIN LATERAL (SELECT min(sent_at) AS sent_at FROM outbound_message
                   WHERE job_id = e.job_id OR draft_id = o.draft_id) m ON true
LEFT JOIN LATERAL (SELECT min(delivered_at) AS delivered_at FROM notification WHERE job_id = e.job_id) n ON true
LEFT JOIN LATERAL (SELECT kind, state FROM lead_task WHERE job_id = e.job_id ORDER BY state = 'DONE' LIMIT 1) t ON true
ORDER BY (o.outcome IN ('needs_action', 'failed') AND t.state IS DISTINCT FROM 'DONE') IS TRUE DESC, e.inbound_event_id DESC
"""


@dataclass(frozen=True)
class LeadStep:
    """One inbound message on its way: job, outcome, and seconds from acceptance to draft, send and notification.

    `job_state` is None once the job was pruned.
    """

    inbound_event_id: int
    workspace: str
    provider: str
    job_id: int
    accepted_at: datetime
    job_state: str | None
    attempt: int | None
    lead_id: int | None
    outcome: str | None
    code: str | None
    reason: str | None
    task: str | None
    draft_id: int | None
    drafter: str | None
    draft_state: str | None
    findings: int | None
    drafted_after_seconds: float | None
    sent_after_seconds: float | None
    notified_after_seconds: float | None


def remember(tx: Tx, *, workspace: str, job_id: int, address: str, name: str | None) -> dict[str, Any]:
    """Insert or refresh the lead of an address; gives lead_id, opted_out, phone_known, wrote_before."""
    values = {"workspace": workspace, "job_id": job_id, "address": address, "name": name}
    return dict(tx.execute(sa.text(REMEMBER_SQL), values).one()._mapping)


def opt_out(tx: Tx, *, lead_id: int) -> None:
    """Note when the lead first asked not to be contacted."""
    tx.execute(sa.text(OPT_OUT_SQL), {"lead_id": lead_id})


def note_phone(tx: Tx, *, lead_id: int, phone: str) -> None:
    """Note the telephone number that the lead named last."""
    tx.execute(sa.text(NOTE_PHONE_SQL), {"lead_id": lead_id, "phone": phone})


def thread(tx: Tx, *, lead_id: int, job_id: int, limit: int, length: int) -> list[dict[str, Any]]:
    """Earlier turns with a lead (author `lead` or `us`, body, at), oldest first, bodies cut to `length` characters."""
    values = {"lead_id": lead_id, "job_id": job_id, "limit": limit, "length": length}
    return [dict(row._mapping) for row in tx.execute(sa.text(THREAD_SQL), values)][::-1]


def conclude(tx: Tx, **outcome: Any) -> bool:
    """Record how a job's message ended, while the job is running; False when it is not, or has an outcome already."""
    return tx.execute(sa.text(CONCLUDE_SQL), outcome).one_or_none() is not None


def change_outcome(tx: Tx, *, draft_id: int, from_outcomes: list[str], outcome: str, code: str, reason: str) -> bool:
    """Change the outcome of the message that a draft answers; False when it is none of `from_outcomes` any more."""
    values = {
        "draft_id": draft_id,
        "from_outcomes": from_outcomes,
        "outcome": outcome,
        "code": code,
        "reason": reason,
    }
    return tx.execute(sa.text(CHANGE_SQL), values).first() is not None


def notify(tx: Tx, *, workspace: str, job_id: int, dedupe_key: str, text: str, kind: str = "outcome") -> None:
    """Leave a notification to be delivered, once per key; one of kind `skip` only if nothing asked for action before."""
    values = {"workspace": workspace, "job_id": job_id, "dedupe_key": dedupe_key, "text": text}
    if kind == "skip":
        tx.execute(sa.text(NOTIFY_SKIP_SQL), values)
    else:
        tx.execute(sa.text(NOTIFY_SQL), {**values, "kind": kind})


def message_of(tx: Tx, job_id: int) -> Any | None:
    """The payload of a lead job, None once it was pruned."""
    return tx.execute(sa.text(MESSAGE_OF_SQL), {"job_id": job_id}).scalar_one_or_none()


def flow(tx: Tx, *, limit: int) -> list[LeadStep]:
    """The latest inbound messages and how far each has come: what needs a person first, then the newest."""
    return [LeadStep(**row._mapping) for row in tx.execute(sa.text(FLOW_SQL), {"limit": limit})]


def database_time(tx: Tx) -> datetime:
    """The instant by the database's clock (aware)."""
    now: datetime = tx.execute(sa.text("SELECT clock_timestamp()")).scalar_one()
    return now
