"""Notifications that wait to be delivered: leased while a sink has them, retried with backoff, delivered once on record."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from queue_pipeline.store.session import Tx

#: Oldest first among those that are due; a time far in the future was written before the clock was set back.
CLAIM_SQL = """
WITH due AS MATERIALIZED (
    SELECT notification_id, posting_by IS NOT NULL AS unresolved FROM notification
    WHERE delivered_at IS NULL AND (next_post_at <= now() OR next_post_at > now() + interval '20 minutes')
      AND (posting_until IS NULL OR posting_until < now() OR posting_until > now() + interval '10 minutes')
    ORDER BY next_post_at, notification_id LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
), token AS (SELECT format('%%s #%%s', %(by)s::text, nextval('fence_seq')) AS token)
UPDATE notification n
SET posting_until = clock_timestamp() + make_interval(secs => %(lease)s), posting_by = token.token
FROM due, token WHERE n.notification_id = due.notification_id
RETURNING n.notification_id, n.text, n.kind, n.created_at, n.failures, n.posting_by AS token, due.unresolved
"""

DELIVERED_SQL = """
UPDATE notification SET delivered_at = clock_timestamp(), sink = %(sink)s, posting_until = NULL, posting_by = NULL, last_error = NULL
WHERE notification_id = ANY (%(ids)s) AND delivered_at IS NULL AND posting_by = %(token)s
"""

#: After an ambiguous post the mark of the one who tried stays, so that the next looks before posting.
FAILED_SQL = """
UPDATE notification SET failures = failures + 1, last_error = %(error)s, posting_until = NULL,
    next_post_at = clock_timestamp() + make_interval(secs => %(delay)s), posting_by = CASE WHEN %(unresolved)s THEN posting_by END
WHERE notification_id = ANY (%(ids)s) AND delivered_at IS NULL AND posting_by = %(token)s
"""

WAITING_SQL = """
SELECT count(*) AS waiting, max(last_error) AS last_error
FROM (SELECT last_error FROM notification WHERE delivered_at IS NULL LIMIT 10000) w
"""


@dataclass(frozen=True)
class Notice:
    """One notification, claimed. `unresolved` says that an earlier post of it may have arrived."""

    notification_id: int
    text: str
    kind: str
    created_at: datetime
    failures: int
    token: str
    unresolved: bool


def claim(tx: Tx, *, by: str, limit: int, lease_seconds: float) -> list[Notice]:
    """Lease up to `limit` undelivered notifications, oldest first; all of them have the same token."""
    rows = tx.exec_driver_sql(CLAIM_SQL, {"by": by, "limit": limit, "lease": lease_seconds}).mappings()
    return sorted((Notice(**row) for row in rows), key=lambda notice: notice.notification_id)


def delivered(tx: Tx, ids: Sequence[int], *, token: str, sink: str) -> int:
    """Note that a sink has taken these notifications; gives for how many that was still ours to say."""
    return tx.exec_driver_sql(DELIVERED_SQL, {"ids": list(ids), "token": token, "sink": sink}).rowcount


def failed(tx: Tx, ids: Sequence[int], *, token: str, error: str, delay: float, unresolved: bool) -> None:
    """Note why these notifications could not be delivered, and when to try again."""
    values = {"ids": list(ids), "token": token, "error": error, "delay": delay, "unresolved": unresolved}
    tx.exec_driver_sql(FAILED_SQL, values)


def waiting(tx: Tx) -> tuple[int, str | None]:
    """How many notifications are not delivered yet (at most 10,000), and one of the reasons."""
    row = tx.exec_driver_sql(WAITING_SQL).one()
    return row.waiting, row.last_error
