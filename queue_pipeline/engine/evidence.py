"""What providers say exists: kept as evidence, and taken as the end of the doubt that it ends."""

from dataclasses import dataclass
from datetime import datetime

from queue_pipeline.domain.errors import InvalidInput
from queue_pipeline.domain.outbound import normalised_sha256
from queue_pipeline.store import evidence
from queue_pipeline.store.session import Database


@dataclass(frozen=True)
class Observation:
    """A message that a provider says exists, as it came by webhook or poll. `author` says who wrote it there."""

    provider: str
    account: str
    provider_message_id: str
    kind: str = "message"
    direction: str = "outbound"
    author: str = "unknown"
    workspace: str | None = None
    channel: str | None = None
    recipient: str | None = None
    body: str | None = None
    thread_id: str | None = None
    idempotency_key: str | None = None
    sent_at: datetime | None = None


def observe(db: Database, seen: Observation, *, via: str) -> str:
    """Keep a provider's word about a message, and end the doubt that it ends; says what came of it.

    `via` is `webhook` or `poll`. The same observation again changes nothing. Raises InvalidInput, DatabaseUnavailable.
    """
    if not seen.provider_message_id.strip():
        raise InvalidInput("provider_message_id", seen.provider_message_id, "An observation names the provider's id.")
    digest = None if seen.body is None else normalised_sha256(seen.body)
    with db.begin() as tx:
        meant = None
        if seen.direction == "outbound" and seen.author != "person" and seen.kind != "campaign_scheduled":
            meant = evidence.meant_by(
                tx,
                provider=seen.provider,
                account=seen.account,
                idempotency_key=seen.idempotency_key,
                recipient=seen.recipient,
                body_norm_sha256=digest,
                sent_at=seen.sent_at,
            )
        proves, is_new = evidence.keep_evidence(
            tx,
            provider=seen.provider,
            account=seen.account,
            kind=seen.kind,
            provider_message_id=seen.provider_message_id,
            outbound_message_id=meant,
            direction=seen.direction,
            author=seen.author,
            workspace=seen.workspace,
            channel=seen.channel,
            recipient=seen.recipient,
            thread_id=seen.thread_id,
            idempotency_key=seen.idempotency_key,
            body_norm_sha256=digest,
            body_length=None if seen.body is None else len(seen.body),
            epoch=None,
            observed_via=via,
            sent_at=seen.sent_at,
        )
        ended = proves is not None and evidence.adopt(
            tx, proves, sent_at=seen.sent_at, reason=f"the provider reported it by {via}", decided_by=via
        )
    if ended:
        return f"message {proves} was in doubt, and is sent"
    if not is_new:
        return "known already"
    return f"evidence for message {proves} was kept" if proves is not None else "kept as evidence"
