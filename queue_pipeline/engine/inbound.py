"""Accept each inbound message once: its event and its job are written in one transaction, or neither is."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from queue_pipeline.domain.dedupe import FOREVER, Dedupe
from queue_pipeline.domain.errors import InvalidInput, Transient
from queue_pipeline.engine.enqueue import enqueue
from queue_pipeline.store import inbound as store
from queue_pipeline.store.session import Database, Tx

KIND = "lead.inbound"
#: PostgreSQL's index holds rows of at most 2,700 bytes; longer keys are replaced by their hash, longer names refused.
KEY_BYTES_MAX = 1000
NAME_BYTES_MAX = {"workspace": 800, "provider": 200, "account": 200}
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


class Acceptance(StrEnum):
    """What became of a delivery."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    CONFLICTING = "conflicting"
    REFUSED = "refused"


@dataclass(frozen=True)
class Delivery:
    """One message as a provider handed it over. `payload` is checked by the model of `lead.inbound`.

    `dedupe_key` says which delivery this is (a provider's event id, a Message-ID); None derives one from the content.
    """

    workspace: str
    provider: str
    payload: Mapping[str, Any]
    account: str = "default"
    dedupe_key: str | None = None


@dataclass(frozen=True)
class Accepted:
    """The answer to one delivery; both ids are those of the earlier delivery for a duplicate, None when refused."""

    acceptance: Acceptance
    job_id: int | None
    reason: str = ""
    inbound_event_id: int | None = field(default=None, compare=False)


def accept(db: Database, deliveries: Sequence[Delivery], *, kind: str = KIND) -> list[Accepted]:
    """Accept deliveries in one transaction, in order; one answer for each.

    A delivery whose key, or whose provider's own event id, is known does nothing; with other content than the first
    time it is kept for a person to compare, and does nothing either. A refused one does not hinder the others.
    Raises DatabaseUnavailable or Transient; then nothing of this call was written.
    """
    with db.begin() as tx:
        return [_accept_one(tx, delivery, kind) for delivery in deliveries]


def content_sha256(payload: Mapping[str, Any]) -> str:
    """SHA-256 of the payload's canonical JSON."""
    text = json.dumps(payload, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _accept_one(tx: Tx, delivery: Delivery, kind: str) -> Accepted:
    try:
        digest = content_sha256(delivery.payload)
        names = {"workspace": delivery.workspace, "provider": delivery.provider, "account": delivery.account}
        for name, value in names.items():
            _check_name(name, value)
        place = store.Place(
            **names,
            dedupe_key=_checked_key("dedupe_key", delivery.dedupe_key) or f"sha256:{digest}",
            provider_event_id=_checked_key("provider_event_id", _text(delivery.payload, "provider_event_id")),
        )
        earlier = store.find(tx, place)
        if earlier is not None:
            return _repeated(tx, earlier, delivery, digest)
        accepted = _written(tx, delivery, kind, place, digest)
    except InvalidInput as error:
        return Accepted(Acceptance.REFUSED, None, str(error))
    if accepted is None:
        # Another transaction accepted it since we looked. It has ended, so its event can be seen now.
        earlier = store.find(tx, place)
        if earlier is None:
            raise Transient("This delivery was accepted and withdrawn by somebody else meanwhile; deliver it again.")
        accepted = _repeated(tx, earlier, delivery, digest)
    return accepted


def _written(tx: Tx, delivery: Delivery, kind: str, place: store.Place, digest: str) -> Accepted | None:
    """The job and its event, or neither: None when somebody else has just accepted this delivery."""
    # The job's own key serves two processes that accept the same delivery at this very moment.
    key = hashlib.sha256(f"{place.provider}|{place.account}|{place.dedupe_key}".encode()).hexdigest()
    with tx.begin_nested() as savepoint:
        enqueued = enqueue(
            tx,
            kind,
            workspace=place.workspace,
            payload=dict(delivery.payload),
            dedupe_key=f"inbound:{key}",
            dedupe=Dedupe(window=FOREVER),
        )
        event_id = store.record(
            tx,
            place,
            payload_sha256=digest,
            lead_address=_address(delivery.payload),
            channel=_text(delivery.payload, "channel"),
            thread_id=_text(delivery.payload, "thread_id"),
            job_id=enqueued.job_id,
        )
        if event_id is None:
            savepoint.rollback()
            return None
    acceptance = Acceptance.DUPLICATE if enqueued.deduplicated else Acceptance.ACCEPTED
    return Accepted(acceptance, enqueued.job_id, inbound_event_id=event_id)


def _repeated(tx: Tx, earlier: store.RecordedEvent, delivery: Delivery, digest: str) -> Accepted:
    if earlier.payload_sha256 == digest:
        return Accepted(Acceptance.DUPLICATE, earlier.job_id, inbound_event_id=earlier.inbound_event_id)
    store.keep_conflict(
        tx,
        inbound_event_id=earlier.inbound_event_id,
        payload_sha256=digest,
        payload_json=_storable_json(delivery.payload),
    )
    reason = f"job {earlier.job_id} was accepted under the same key with other content; this one is kept, not run"
    return Accepted(Acceptance.CONFLICTING, earlier.job_id, reason, earlier.inbound_event_id)


def _storable_json(payload: Mapping[str, Any]) -> str:
    """The payload as JSON that PostgreSQL can keep, even where `lead.inbound` would have refused it."""
    text = json.dumps(payload, ensure_ascii=False, default=str)
    return _LONE_SURROGATE.sub("\ufffd", text).replace("\\u0000", "\\ufffd")


def _checked_key(field_name: str, key: str | None) -> str | None:
    if key is None or not key.strip():
        return None
    raw = key.encode("utf-8", "surrogatepass")
    if len(raw) > KEY_BYTES_MAX:
        return f"sha256:{hashlib.sha256(raw).hexdigest()}"
    _check_text(field_name, key)
    return key


def _check_name(field_name: str, value: str) -> None:
    _check_text(field_name, value)
    if len(value.encode()) > NAME_BYTES_MAX[field_name]:
        raise InvalidInput(field_name, value, f"Use at most {NAME_BYTES_MAX[field_name]} bytes of UTF-8.")


def _check_text(field_name: str, value: str) -> None:
    if not value or "\x00" in value or any("\ud800" <= letter <= "\udfff" for letter in value):
        raise InvalidInput(field_name, value, "Give text without NUL or lone surrogate characters.")


def _text(payload: Mapping[str, Any], name: str) -> str | None:
    value = payload.get(name)
    return value if isinstance(value, str) else None


def _address(payload: Mapping[str, Any]) -> str | None:
    address = _text(payload, "from_address")
    return address.strip().lower() or None if address is not None else None


def ever_used(db: Database) -> bool:
    """Whether the queue ever had a job. Raises DatabaseUnavailable."""
    with db.begin() as tx:
        return store.ever_used(tx)
