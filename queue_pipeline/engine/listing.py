"""Lists for operators: jobs by what they are, messages by how they stand, what the embedded outbox has accepted."""

from collections.abc import Sequence

from queue_pipeline.domain.errors import NotFound
from queue_pipeline.store import listing as store
from queue_pipeline.store.listing import ListedAttempt, ListedJob, ListedMessage, OutboxMessage
from queue_pipeline.store.session import Database


def jobs(
    db: Database, *, state: str | None = None, kind: str | None = None, workspace: str | None = None, limit: int = 50
) -> list[ListedJob]:
    """Jobs, newest first, at most `limit`. Raises DatabaseUnavailable."""
    with db.begin() as tx:
        return store.jobs(tx, state=state, kind=kind, workspace=workspace, limit=limit)


def outbox(db: Database, *, workspace: str | None = None, limit: int = 50) -> list[OutboxMessage]:
    """What the embedded outbox accepted, newest first, at most `limit`. Raises DatabaseUnavailable."""
    with db.begin() as tx:
        return store.outbox(tx, workspace=workspace, limit=limit)


def messages(
    db: Database, *, states: Sequence[str] | None = None, workspace: str | None = None, limit: int = 50
) -> list[ListedMessage]:
    """Messages to customers, newest first, at most `limit`. Raises DatabaseUnavailable."""
    with db.begin() as tx:
        return store.messages(tx, states=states, workspace=workspace, limit=limit)


def message(db: Database, outbound_message_id: int) -> tuple[ListedMessage, list[ListedAttempt]]:
    """One message and its attempts, oldest first. Raises NotFound."""
    with db.begin() as tx:
        found = store.message(tx, outbound_message_id)
        if found is None:
            raise NotFound("message", outbound_message_id, "There is no such message; see `queue-pipeline sends`.")
        return found, store.attempts(tx, outbound_message_id)
