"""What the embedded outbox holds: the provider of those who have named none."""

from typing import Any

import sqlalchemy as sa

from queue_pipeline.store.session import Tx

ACCEPT_SQL = """
INSERT INTO provider_message (provider, account, kind, provider_message_id, direction, author, workspace, channel, recipient,
                              body, idempotency_key, observed_via, sent_at)
VALUES ('outbox', 'embedded', 'message', :provider_message_id, 'outbound', 'automation', :workspace, :channel, :recipient,
        :body, :idempotency_key, 'response', clock_timestamp())
ON CONFLICT DO NOTHING
"""

LOOKUP_SQL = """
SELECT provider_message_id FROM provider_message
WHERE provider = 'outbox' AND account = 'embedded' AND kind = 'message' AND provider_message_id = :provider_message_id
"""


def accept(tx: Tx, **message: Any) -> None:
    """The embedded outbox takes a message; the same one again changes nothing."""
    tx.execute(sa.text(ACCEPT_SQL), message)


def has(tx: Tx, provider_message_id: str) -> bool:
    """Whether the embedded outbox has taken this message."""
    found = tx.execute(sa.text(LOOKUP_SQL), {"provider_message_id": provider_message_id})
    return found.one_or_none() is not None
