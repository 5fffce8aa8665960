"""Evidence: what providers say exists, whom it proves to be sent, and what the embedded outbox accepted."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from queue_pipeline.store.session import Tx

EVIDENCE_SQL = """
INSERT INTO provider_message AS p (provider, account, kind, provider_message_id, outbound_message_id, direction, author,
    workspace, channel, recipient, thread_id, idempotency_key, body_norm_sha256, body_length, epoch, observed_via, sent_at)
VALUES (:provider, :account, :kind, :provider_message_id, :outbound_message_id, :direction, :author,
    :workspace, :channel, :recipient, :thread_id, :idempotency_key, :body_norm_sha256, :body_length, :epoch, :observed_via,
    coalesce(:sent_at, clock_timestamp()))
ON CONFLICT (provider, account, kind, provider_message_id) DO UPDATE SET
    outbound_message_id = coalesce(p.outbound_message_id, excluded.outbound_message_id),
    author = CASE WHEN excluded.outbound_message_id IS NOT NULL THEN 'automation' ELSE p.author END,
    workspace = coalesce(p.workspace, excluded.workspace), channel = coalesce(p.channel, excluded.channel),
    recipient = coalesce(p.recipient, excluded.recipient), thread_id = coalesce(p.thread_id, excluded.thread_id),
    idempotency_key = coalesce(p.idempotency_key, excluded.idempotency_key),
    body_norm_sha256 = coalesce(p.body_norm_sha256, excluded.body_norm_sha256),
    body_length = coalesce(p.body_length, excluded.body_length), epoch = coalesce(p.epoch, excluded.epoch)
RETURNING p.outbound_message_id, (xmax = 0) AS is_new
"""

#: A late acknowledgement, an echo or a lookup settles the doubt, whoever holds the message now, unless it is being sent.
ADOPT_SQL = """
UPDATE outbound_message
SET state = 'SENT', sent_at = coalesce(:sent_at, clock_timestamp()), unknown_since = NULL, in_doubt = false,
    reason = :reason, decided_by = :decided_by, updated_at = clock_timestamp()
WHERE outbound_message_id = :outbound_message_id AND state IN ('READY', 'UNKNOWN', 'NEEDS_HUMAN')
RETURNING 1
"""

#: A provider that echoes no key: the one message in doubt that it can be, by recipient and text. What was sent before
#: the first attempt, even by a clock that is a little late, is another message with the same text.
MATCH_SQL = """
SELECT min(m.outbound_message_id) AS outbound_message_id FROM outbound_message m
WHERE m.state IN ('SENDING', 'UNKNOWN', 'NEEDS_HUMAN') AND m.provider = :provider AND m.account = :account
  AND lower(m.recipient) = lower(:recipient) AND m.body_norm_sha256 = :body_norm_sha256
  AND m.first_sending_at IS NOT NULL AND m.first_sending_at > clock_timestamp() - interval '2 days'
  AND m.first_sending_at < coalesce(CAST(:sent_at AS timestamptz), clock_timestamp()) + interval '1 minute'
HAVING count(*) = 1
"""

BY_KEY_SQL = "SELECT outbound_message_id FROM outbound_message WHERE idempotency_key = :idempotency_key"


def keep_evidence(tx: Tx, **evidence: Any) -> tuple[int | None, bool]:
    """Write down what a provider says exists; gives the message that it proves, if known, and whether it is new."""
    row = tx.execute(sa.text(EVIDENCE_SQL), evidence).one()
    return row.outbound_message_id, bool(row.is_new)


def adopt(tx: Tx, outbound_message_id: int, *, sent_at: datetime | None, reason: str, decided_by: str) -> bool:
    """Take evidence as the end of a doubt: SENT. False when there was no doubt, or it is being sent now."""
    values = {
        "outbound_message_id": outbound_message_id,
        "sent_at": sent_at,
        "reason": reason,
        "decided_by": decided_by,
    }
    return tx.execute(sa.text(ADOPT_SQL), values).one_or_none() is not None


def meant_by(
    tx: Tx,
    *,
    provider: str,
    account: str,
    idempotency_key: str | None,
    recipient: str | None,
    body_norm_sha256: str | None,
    sent_at: datetime | None,
) -> int | None:
    """The message that an observation is about: by the key it echoes, else the only one in doubt that fits."""
    if idempotency_key is not None:
        found = tx.execute(sa.text(BY_KEY_SQL), {"idempotency_key": idempotency_key}).scalar_one_or_none()
        return None if found is None else int(found)
    if recipient is None or body_norm_sha256 is None:
        return None
    values = {
        "provider": provider,
        "account": account,
        "recipient": recipient,
        "body_norm_sha256": body_norm_sha256,
        "sent_at": sent_at,
    }
    found = tx.execute(sa.text(MATCH_SQL), values).scalar_one_or_none()
    return None if found is None else int(found)
