"""What a lead waited for after its job had answered: providers, switches, people, and whoever carries notifications."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from queue_pipeline.domain.duration import duration
from queue_pipeline.domain.gap import Cause, Stretch, clipped

#: States of a message that nothing moves any more but a person.
_ENDED = frozenset({"SENT", "REJECTED", "CANCELLED", "NEEDS_HUMAN"})


@dataclass(frozen=True)
class SendAttemptFacts:
    """One try to hand a message to its provider; `outcome` is None as long as nobody knows."""

    attempt: int
    started_at: datetime
    deadline_at: datetime
    finished_at: datetime | None
    outcome: str | None
    error_class: str | None = None
    error: str | None = None
    http_status: int | None = None

    @property
    def how(self) -> str:
        """Outcome, error class and HTTP status."""
        parts = [
            self.outcome or "no answer",
            self.error_class or "",
            f"HTTP {self.http_status}" * bool(self.http_status),
        ]
        return f"attempt {self.attempt}: {', '.join(part for part in parts if part)}"


@dataclass(frozen=True)
class MessageFacts:
    """One message to the customer. `ended_at` is when it reached its end, or a person's desk; None while under way."""

    outbound_message_id: int
    provider: str
    purpose: str
    state: str
    created_at: datetime
    ended_at: datetime | None
    sent_at: datetime | None = None
    reason: str | None = None
    settled_by: str | None = None
    attempts: tuple[SendAttemptFacts, ...] = ()

    @property
    def under_way(self) -> bool:
        """Whether the machine will still do something about it."""
        return self.state not in _ENDED


@dataclass(frozen=True)
class Switched:
    """A switch was flipped; `who` and `why` are what the person said."""

    at: datetime
    on: bool
    who: str
    why: str


def sending(message: MessageFacts, now: datetime) -> list[Stretch]:
    """Where the time of a message went, from its reservation to its end or to now."""
    name = f"message {message.outbound_message_id}"
    ended = message.ended_at or now
    first = message.attempts[0].started_at if message.attempts else ended
    found = [
        Stretch(message.created_at, first, Cause.SEND_BACKOFF, f"{name} waited for its turn", message.reason or "")
    ]
    for place, attempt in enumerate(message.attempts):
        answered = attempt.finished_at or min(attempt.deadline_at, ended)
        took = duration((answered - attempt.started_at).total_seconds())
        found.append(
            Stretch(
                attempt.started_at,
                answered,
                Cause.SLOW_PROVIDER,
                f"provider {message.provider} had {name} for {took} ({attempt.how})",
                attempt.error or "",
            )
        )
        later = message.attempts[place + 1 :]
        until = later[0].started_at if later else ended
        if attempt.outcome == "not_sent":
            sentence = f"{name} was not taken by provider {message.provider} ({attempt.how}) and was tried again later"
            found.append(Stretch(answered, until, Cause.SEND_BACKOFF, sentence, attempt.error or ""))
        elif attempt.outcome in (None, "ambiguous"):
            settled = f", until its {message.settled_by} settled it" if message.settled_by and not later else ""
            sentence = f"nobody knew whether provider {message.provider} had accepted {name} ({attempt.how}){settled}"
            found.append(Stretch(answered, until, Cause.UNKNOWN_SEND, sentence, attempt.error or ""))
    if message.state == "NEEDS_HUMAN":
        found.append(Stretch(ended, now, Cause.PERSON, f"{name} waits for a person to find out whether it left"))
    return found


def sends_off(message: MessageFacts, switched: Sequence[Switched], now: datetime) -> list[Stretch]:
    """The time in which a message could not leave because sends were switched off."""
    found: list[Stretch] = []
    for place, switch in enumerate(switched):
        if not switch.on:
            until = switched[place + 1].at if place + 1 < len(switched) else now
            off = Stretch(
                switch.at, until, Cause.SENDS_OFF, "sends were switched off", f"by {switch.who}, because {switch.why}"
            )
            found += clipped(off, message.created_at, message.ended_at or now)
    return found


def review(draft_id: int, created_at: datetime, decided_at: datetime | None, now: datetime) -> Stretch:
    """A draft waited for somebody to read it."""
    return Stretch(created_at, decided_at or now, Cause.PERSON, f"draft {draft_id} waited for a person to review it")


def task(lead_task_id: int, kind: str, created_at: datetime, done_at: datetime | None, now: datetime) -> Stretch:
    """A task waited for somebody to do it."""
    return Stretch(created_at, done_at or now, Cause.PERSON, f"task {lead_task_id} ({kind}) waited for a person")


def telling(
    notification_id: int,
    created_at: datetime,
    delivered_at: datetime | None,
    now: datetime,
    *,
    failures: int = 0,
    error: str = "",
) -> Stretch:
    """A notification waited for its sink; `error` is the last one."""
    tried = f" after {failures} failed posts" if failures else ""
    still = "waits for" if delivered_at is None else "waited for"
    sentence = f"notification {notification_id} {still} its delivery{tried}"
    return Stretch(created_at, delivered_at or now, Cause.NOTIFICATION, sentence, error)
