"""Providers carry messages to customers. Each declares what it can do; nothing else is assumed of it."""

from dataclasses import dataclass
from typing import Protocol

from queue_pipeline.domain.errors import InvalidInput
from queue_pipeline.domain.outbound import Capabilities, LookupBy, SendOutcome
from queue_pipeline.store import outbox
from queue_pipeline.store.session import Database

OUTBOX = "outbox"


@dataclass(frozen=True)
class Parcel:
    """What a provider is asked to deliver. `idempotency_key` is the same for every attempt of the message."""

    idempotency_key: str
    workspace: str
    channel: str
    recipient: str
    subject: str
    body: str
    in_reply_to: str | None = None


@dataclass(frozen=True)
class ProviderReply:
    """What an attempt came to. `outcome` is AMBIGUOUS whenever the provider may have taken the message.

    `retry_after_seconds` is what the provider asked for; `error` must not contain the recipient or the text.
    """

    outcome: SendOutcome
    provider_message_id: str | None = None
    http_status: int | None = None
    error_class: str | None = None
    error: str | None = None
    retry_after_seconds: float | None = None


@dataclass(frozen=True)
class LookupReply:
    """What the provider says about a key: found, absent, or (None) it could not be asked."""

    found: bool | None
    provider_message_id: str | None = None
    error: str | None = None


class SendProvider(Protocol):
    """An adapter to one account of one provider. It never tries a second time by itself."""

    name: str
    account: str
    capabilities: Capabilities

    def send(self, parcel: Parcel, *, seconds: float) -> ProviderReply:
        """Try once, and be done within `seconds`. What is raised counts as an ambiguous outcome."""
        ...

    def lookup(self, idempotency_key: str, *, seconds: float) -> LookupReply:
        """Ask whether the provider has the message of this key, within `seconds`."""
        ...


class SendProviders:
    """The providers of this process, by name."""

    def __init__(self) -> None:
        self._providers: dict[str, SendProvider] = {}
        self._default = OUTBOX

    def register(self, provider: SendProvider, *, default: bool = False) -> None:
        """Know this provider from now on; with `default` it carries what names no provider."""
        self._providers[provider.name] = provider
        if default:
            self._default = provider.name

    def get(self, name: str | None, database: Database) -> SendProvider:
        """The provider of this name, or the default one. Raises InvalidInput that lists the known ones."""
        wanted = name or self._default
        if wanted == OUTBOX and wanted not in self._providers:
            return EmbeddedOutbox(database)
        if wanted not in self._providers:
            known = ", ".join(sorted({OUTBOX, *self._providers}))
            raise InvalidInput("provider", wanted, f"Known providers: {known}.")
        return self._providers[wanted]


#: The providers that `ctx.send` and reconciliation use. Register your own before the first send.
send_providers = SendProviders()


class EmbeddedOutbox:
    """The default provider: it keeps the messages in the queue's own database, for people to read."""

    name = OUTBOX
    account = "embedded"
    #: It knows every key for ever, and has nothing in transit.
    capabilities = Capabilities(idempotency_seconds=float("inf"), lookup=LookupBy.KEY, settle_seconds=0.0)

    def __init__(self, database: Database) -> None:
        self._database = database

    def send(self, parcel: Parcel, *, seconds: float) -> ProviderReply:
        """Keep the message; keeping the same one again changes nothing."""
        message_id = _outbox_id(parcel.idempotency_key)
        with self._database.begin() as tx:
            outbox.accept(
                tx,
                provider_message_id=message_id,
                workspace=parcel.workspace,
                channel=parcel.channel,
                recipient=parcel.recipient,
                body=parcel.body,
                idempotency_key=parcel.idempotency_key,
            )
        return ProviderReply(SendOutcome.ACCEPTED, provider_message_id=message_id)

    def lookup(self, idempotency_key: str, *, seconds: float) -> LookupReply:
        """Whether it has the message."""
        message_id = _outbox_id(idempotency_key)
        with self._database.begin() as tx:
            found = outbox.has(tx, message_id)
        return LookupReply(found, message_id if found else None)


def _outbox_id(idempotency_key: str) -> str:
    return f"outbox-{idempotency_key[:32]}"
