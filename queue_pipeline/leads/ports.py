"""What the lead handlers need from outside: a book of leads, a drafter, somebody to tell. Wiring says who that is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from queue_pipeline import QueuePipelineError
from queue_pipeline.leads.classification import MessageClass
from queue_pipeline.leads.inbound_lead import InboundLead, OfferedSlot


class LeadBook(Protocol):
    """Where leads, drafts, tasks and outcomes are kept. Every method may be called again with the same arguments."""

    def now(self) -> datetime:
        """The instant by the database's clock."""
        ...

    def auto_send(self, *, workspace: str) -> bool:
        """Whether a workspace's drafts that passed every gate may leave without a review."""
        ...

    def remember(self, *, workspace: str, job_id: int, address: str, name: str | None) -> dict[str, Any]:
        """Know this person from now on; gives `lead_id`, `opted_out`, `phone_known`, and `wrote_before` this job."""
        ...

    def opt_out(self, *, lead_id: int) -> None:
        """Note that this person wants no messages."""
        ...

    def note_phone(self, *, lead_id: int, phone: str) -> None:
        """Note the telephone number that this person named."""
        ...

    def thread(self, *, lead_id: int, before_job_id: int) -> list[dict[str, Any]]:
        """The latest turns before a message, oldest first: `author` (`lead` or `us`), `body`, `at`."""
        ...

    def save_draft(self, **draft: Any) -> int:
        """Keep a draft for review; gives its id."""
        ...

    def add_task(
        self,
        *,
        workspace: str,
        job_id: int,
        lead_id: int | None,
        kind: str,
        why: str,
        due_at: datetime | None,
        notice: str,
    ) -> int:
        """Leave a task for people together with the notification that asks for it; gives its id."""
        ...

    def conclude(
        self,
        *,
        workspace: str,
        job_id: int,
        lead_id: int | None,
        outcome: str,
        code: str,
        reason: str,
        draft_id: int | None,
        notice: str | None,
        kind: str = "outcome",
    ) -> None:
        """Record how the message ended, together with the notification that says so."""
        ...

    def release(self, *, draft_id: int) -> None:
        """Note that a draft is sent without a review."""
        ...

    def settle(self, *, workspace: str, job_id: int, draft_id: int, state: str, reason: str, notice: str) -> None:
        """Note how a send stands that was promised as the outcome."""
        ...

    def draft(self, *, draft_id: int) -> dict[str, Any] | None:
        """A draft as it stands, with the address that it is for."""
        ...

    def message_of(self, *, job_id: int) -> Any | None:
        """The payload of a message's job; None when it is no longer kept."""
        ...

    def back_to_review(
        self, *, draft_id: int, findings: Sequence[Mapping[str, Any]], code: str, reason: str, notice: str, key: str
    ) -> None:
        """Give an approved draft back to the reviewers and tell them why."""
        ...


class Notifier(Protocol):
    """Tells people what waits in the list of notifications."""

    def deliver(self) -> int:
        """See to it that what is not delivered yet will be; never waits for whoever is told."""
        ...


@dataclass(frozen=True)
class DraftRequest:
    """What a drafter may know. `slots` are those of the offered slots that are still to come; `seconds` is its time."""

    message: InboundLead
    message_class: MessageClass
    now: datetime
    timezone: str
    slots: Sequence[OfferedSlot] = ()
    thread: Sequence[Mapping[str, Any]] = ()
    allowed_links: Sequence[str] = ()
    ask_for_phone: bool = False
    seconds: float = 30.0


@dataclass(frozen=True)
class Drafted:
    """A reply. `drafter` says who wrote it, `usage` what that took (for a model: tokens, prompt and its version)."""

    subject: str
    body: str
    drafter: str
    is_template: bool
    usage: Mapping[str, Any] | None = None


class DrafterFailed(Exception):
    """There is no draft. `code` is what happened, `why` says it in words that hold nothing that the lead wrote.

    `worth_a_retry` says that the same request may succeed within seconds; `after_seconds` is when.
    """

    def __init__(self, code: str, why: str, *, worth_a_retry: bool = False, after_seconds: float | None = None) -> None:
        self.code = code
        self.why = why
        self.worth_a_retry = worth_a_retry
        self.after_seconds = after_seconds
        super().__init__(why)


class Drafter(Protocol):
    """Writes replies."""

    def draft(self, request: DraftRequest) -> Drafted:
        """A reply, within `request.seconds`. Raises DrafterFailed."""
        ...


@dataclass(frozen=True)
class LeadServices:
    """All that the lead handlers use. `timezone` is where the team is; without a model, `drafter` is the template."""

    book: LeadBook
    notifier: Notifier
    drafter: Drafter
    timezone: str = "UTC"
    allowed_links: Sequence[str] = ()
    draft_timeout_seconds: float = 30.0


@dataclass
class _Bound:
    services: LeadServices | None = field(default=None)


_bound = _Bound()


def bind(services: LeadServices) -> None:
    """Use these services from now on, in this process."""
    _bound.services = services


def services() -> LeadServices:
    """The services in use. Raises QueuePipelineError when nobody bound any."""
    if _bound.services is None:
        raise QueuePipelineError(
            "The lead handlers have no services: load them with queue_pipeline.wiring.load_registry."
        )
    return _bound.services
