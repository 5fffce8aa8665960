"""The outbound ledger: what we mean to send, and every attempt to do so.

Every move is a compare-and-set on the state and the epoch, so that two senders never hold one message.
"""

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from queue_pipeline.store.session import Tx

CLAIM_HELD_SQL = "SELECT 1 FROM job WHERE job_id = :job_id AND fence = :fence AND state = 'RUNNING' FOR SHARE"

RESERVE_SQL = """
INSERT INTO outbound_message (workspace, job_id, trigger_key, channel, purpose, part_index, recipient, subject, body,
    in_reply_to, lead_id, draft_id, provider, account, idempotency_key, payload_sha256, body_norm_sha256, state, not_before)
VALUES (:workspace, :job_id, :trigger_key, :channel, :purpose, :part_index, :recipient, :subject, :body,
    :in_reply_to, :lead_id, :draft_id, :provider, :account, :idempotency_key, :payload_sha256, :body_norm_sha256,
    'READY', clock_timestamp())
ON CONFLICT DO NOTHING
RETURNING outbound_message_id
"""

COLUMNS = """
    m.outbound_message_id, m.workspace, m.job_id, m.trigger_key, m.channel, m.purpose, m.part_index, m.recipient, m.subject,
    m.body, m.in_reply_to, m.lead_id, m.draft_id, m.provider, m.account, m.idempotency_key, m.payload_sha256, m.state,
    m.epoch, m.attempt, m.in_doubt, m.tries, m.reason
"""

FIND_SQL = f"""
SELECT {COLUMNS} FROM outbound_message m
WHERE m.idempotency_key = :idempotency_key
   OR (m.workspace = :workspace AND m.trigger_key = :trigger_key AND m.channel = :channel AND m.purpose = :purpose
       AND m.part_index = :part_index AND m.state <> 'CANCELLED')
ORDER BY (m.state = 'CANCELLED'), m.outbound_message_id LIMIT 1
"""

GET_SQL = f"SELECT {COLUMNS} FROM outbound_message m WHERE m.outbound_message_id = :outbound_message_id"

#: Held for the length of the transaction, so that an opt-out that commits first is seen, and one that comes later waits.
LEAD_OPTED_OUT_SQL = "SELECT opted_out_at IS NOT NULL FROM lead WHERE lead_id = :lead_id FOR SHARE"

#: The event that a reply answers is that of the job named by its trigger `lead:<job id>`.
OVERTAKEN_SQL = """
WITH answered AS (
    SELECT workspace, lead_address, accepted_at, inbound_event_id FROM inbound_event WHERE job_id = :trigger_job_id
)
SELECT
    EXISTS (SELECT FROM inbound_event e, answered a
            WHERE e.workspace = a.workspace AND e.lead_address = a.lead_address AND e.inbound_event_id > a.inbound_event_id)
        AS wrote_again,
    EXISTS (SELECT FROM provider_message p, answered a
            WHERE p.direction = 'outbound' AND p.author = 'person' AND lower(p.recipient) = a.lead_address
              AND (p.workspace IS NULL OR p.workspace = a.workspace)
              AND coalesce(p.sent_at, p.first_seen_at) > a.accepted_at)
        AS person_answered
"""

#: Whatever says that the provider has the message already ends the doubt instead of another attempt.
BEGIN_SQL = f"""
UPDATE outbound_message m
SET state = 'SENDING', epoch = m.epoch + 1, attempt = m.attempt + 1, tries = m.tries + 1, unknown_since = NULL, reason = NULL,
    deadline_at = clock_timestamp() + make_interval(secs => :seconds),
    first_sending_at = coalesce(m.first_sending_at, clock_timestamp()), updated_at = clock_timestamp()
WHERE m.outbound_message_id = :outbound_message_id AND m.state = :from_state AND m.epoch = :epoch
  AND NOT EXISTS (SELECT FROM provider_message p
                  WHERE p.outbound_message_id = m.outbound_message_id AND p.direction = 'outbound')
RETURNING {COLUMNS}, m.deadline_at
"""

ATTEMPT_SQL = """
INSERT INTO send_attempt (outbound_message_id, attempt, epoch, sender, job_fence, function_run_id, dagster_run_id, deadline_at,
                          request_sha256, idempotency_key)
SELECT :outbound_message_id, :attempt, :epoch, :sender, CAST(:job_fence AS bigint), r.function_run_id, r.dagster_run_id, :deadline_at,
       :request_sha256, :idempotency_key
FROM (SELECT 1) one
LEFT JOIN job j ON j.job_id = :job_id AND j.fence = CAST(:job_fence AS bigint)
LEFT JOIN function_run r ON r.function_run_id = j.function_run_id
"""

END_ATTEMPT_SQL = """
UPDATE send_attempt
SET outcome = :outcome, finished_at = clock_timestamp(), error_class = :error_class, error = :error,
    http_status = :http_status, provider_message_id = :provider_message_id
WHERE outbound_message_id = :outbound_message_id AND epoch = :epoch AND outcome IS NULL
"""

#: `wait` is the time until the message is tried or looked at again.
FINISH_SQL = """
UPDATE outbound_message
SET state = :state, reason = :reason, deadline_at = NULL, updated_at = clock_timestamp(),
    in_doubt = in_doubt AND :state <> 'SENT' OR :state = 'UNKNOWN',
    unknown_since = CASE WHEN :state = 'UNKNOWN' THEN clock_timestamp() END,
    not_before = clock_timestamp() + make_interval(secs => :wait),
    sent_at = CASE WHEN :state = 'SENT' THEN clock_timestamp() END
WHERE outbound_message_id = :outbound_message_id AND state = 'SENDING' AND epoch = :epoch
RETURNING 1
"""

#: From a state that is not SENDING, by a decision of reconciliation or of a person. Only a person gives new tries.
DECIDE_SQL = """
UPDATE outbound_message
SET state = :state, reason = :reason, decided_by = :decided_by, updated_at = clock_timestamp(),
    in_doubt = in_doubt AND :state NOT IN ('READY', 'SENT'),
    tries = CASE WHEN :state = 'READY' AND state = 'NEEDS_HUMAN' THEN 0 ELSE tries END,
    unknown_since = CASE WHEN :state = 'UNKNOWN' THEN unknown_since END,
    sent_at = CASE WHEN :state = 'SENT' THEN clock_timestamp() END,
    not_before = clock_timestamp() + make_interval(secs => :wait)
WHERE outbound_message_id = :outbound_message_id AND state = :from_state AND epoch = :epoch
RETURNING 1
"""

#: The message waits where it is; whatever drove it comes back to it at once when it may be tried again.
HOLD_BACK_SQL = """
UPDATE outbound_message SET reason = :reason, updated_at = clock_timestamp()
WHERE outbound_message_id = :outbound_message_id AND state = 'READY' AND epoch = :epoch
"""


@dataclass(frozen=True)
class Message:
    """An outbound message as it stands."""

    outbound_message_id: int
    workspace: str
    job_id: int
    trigger_key: str
    channel: str
    purpose: str
    part_index: int
    recipient: str
    subject: str
    body: str
    in_reply_to: str | None
    lead_id: int | None
    draft_id: int | None
    provider: str
    account: str
    idempotency_key: str
    payload_sha256: str
    state: str
    epoch: int
    attempt: int
    in_doubt: bool
    tries: int
    reason: str | None


def hold_claim(tx: Tx, *, job_id: int, fence: int) -> bool:
    """Whether the claim stands; it cannot be taken away until the transaction ends."""
    return tx.execute(sa.text(CLAIM_HELD_SQL), {"job_id": job_id, "fence": fence}).one_or_none() is not None


def reserve(tx: Tx, **message: Any) -> Message | None:
    """Write the intent; None when the same message, by any of its keys, exists."""
    created = tx.execute(sa.text(RESERVE_SQL), message).scalar_one_or_none()
    return None if created is None else get(tx, created)


def find(tx: Tx, **business_key: Any) -> Message | None:
    """The message of a business key: idempotency_key, or workspace, trigger_key, channel, purpose, part_index."""
    row = tx.execute(sa.text(FIND_SQL), business_key).one_or_none()
    return None if row is None else Message(**row._mapping)


def get(tx: Tx, outbound_message_id: int) -> Message | None:
    """One message, or None."""
    row = tx.execute(sa.text(GET_SQL), {"outbound_message_id": outbound_message_id}).one_or_none()
    return None if row is None else Message(**row._mapping)


def lead_opted_out(tx: Tx, lead_id: int) -> bool:
    """Whether the lead wants no messages; the answer holds until the transaction ends."""
    return bool(tx.execute(sa.text(LEAD_OPTED_OUT_SQL), {"lead_id": lead_id}).scalar_one_or_none())


def overtaken(tx: Tx, *, trigger_job_id: int) -> str | None:
    """Why a reply to this job's message is out of date, or None."""
    row = tx.execute(sa.text(OVERTAKEN_SQL), {"trigger_job_id": trigger_job_id}).one()
    if row.wrote_again:
        return "the lead wrote again after the message that it answers"
    return "a person answered meanwhile" if row.person_answered else None


def begin(
    tx: Tx, message: Message, *, seconds: float, sender: str, request_sha256: str, job_id: int, job_fence: int | None
) -> Message | None:
    """Move to SENDING and write the attempt; None when the message has moved meanwhile, or a provider has it."""
    key = {
        "outbound_message_id": message.outbound_message_id,
        "from_state": message.state,
        "epoch": message.epoch,
        "seconds": seconds,
    }
    row = tx.execute(sa.text(BEGIN_SQL), key).one_or_none()
    if row is None:
        return None
    values = dict(row._mapping)
    deadline_at = values.pop("deadline_at")
    begun = Message(**values)
    tx.execute(
        sa.text(ATTEMPT_SQL),
        {
            "outbound_message_id": begun.outbound_message_id,
            "attempt": begun.attempt,
            "epoch": begun.epoch,
            "sender": sender,
            "job_id": job_id,
            "job_fence": job_fence,
            "deadline_at": deadline_at,
            "request_sha256": request_sha256,
            "idempotency_key": begun.idempotency_key,
        },
    )
    return begun


def end_attempt(
    tx: Tx,
    *,
    outbound_message_id: int,
    epoch: int,
    outcome: str,
    error_class: str | None = None,
    error: str | None = None,
    http_status: int | None = None,
    provider_message_id: str | None = None,
) -> None:
    """Write an attempt's outcome, once."""
    values = {
        "outbound_message_id": outbound_message_id,
        "epoch": epoch,
        "outcome": outcome,
        "error_class": error_class,
        "error": error,
        "http_status": http_status,
        "provider_message_id": provider_message_id,
    }
    tx.execute(sa.text(END_ATTEMPT_SQL), values)


def finish(tx: Tx, *, outbound_message_id: int, epoch: int, state: str, reason: str | None, wait: float) -> bool:
    """Leave SENDING; False when this epoch no longer holds the message."""
    values = {
        "outbound_message_id": outbound_message_id,
        "epoch": epoch,
        "state": state,
        "reason": reason,
        "wait": wait,
    }
    return tx.execute(sa.text(FINISH_SQL), values).one_or_none() is not None


def decide(tx: Tx, message: Message, *, state: str, reason: str | None, decided_by: str, wait: float = 0.0) -> bool:
    """Move a message that is not being sent; False when it has moved meanwhile."""
    values = {
        "outbound_message_id": message.outbound_message_id,
        "from_state": message.state,
        "epoch": message.epoch,
        "state": state,
        "reason": reason,
        "decided_by": decided_by,
        "wait": wait,
    }
    return tx.execute(sa.text(DECIDE_SQL), values).one_or_none() is not None


def hold_back(tx: Tx, message: Message, *, reason: str) -> None:
    """Say why a READY message is not tried now."""
    values = {"outbound_message_id": message.outbound_message_id, "epoch": message.epoch, "reason": reason}
    tx.execute(sa.text(HOLD_BACK_SQL), values)
