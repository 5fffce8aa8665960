"""An incident is one thing that is wrong, from its first observation until it has been right for five minutes.

The rules are level-triggered: each evaluation looks at what is true now, so a missed or repeated one does no harm.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any


class IncidentKind(StrEnum):
    """What can be wrong."""

    STALE_RUN = "stale_run"
    QUEUE_AGE = "queue_age"
    UNKNOWN_SENDS = "unknown_sends"
    DUPLICATE_SENDS = "duplicate_sends"
    ROLLBACK = "rollback"
    WATCHDOG_SILENT = "watchdog_silent"
    STARVATION = "starvation"
    PAUSED = "paused"
    VACUUM_HELD = "vacuum_held"


class Severity(StrEnum):
    """Whether somebody is called now, or it can wait for the morning."""

    PAGE = "page"
    TICKET = "ticket"


class IncidentStatus(StrEnum):
    """Pending is seen and not yet told; firing is told; resolved is over for good."""

    PENDING = "pending"
    FIRING = "firing"
    RESOLVED = "resolved"


MOVES: Mapping[IncidentStatus, frozenset[IncidentStatus]] = {
    IncidentStatus.PENDING: frozenset({IncidentStatus.FIRING, IncidentStatus.RESOLVED}),
    IncidentStatus.FIRING: frozenset({IncidentStatus.RESOLVED}),
    IncidentStatus.RESOLVED: frozenset(),
}

SEVERITIES: Mapping[IncidentKind, Severity] = {
    IncidentKind.STALE_RUN: Severity.PAGE,
    IncidentKind.QUEUE_AGE: Severity.PAGE,
    IncidentKind.DUPLICATE_SENDS: Severity.PAGE,
    IncidentKind.WATCHDOG_SILENT: Severity.PAGE,
    IncidentKind.UNKNOWN_SENDS: Severity.TICKET,
    IncidentKind.ROLLBACK: Severity.TICKET,
    IncidentKind.STARVATION: Severity.TICKET,
    IncidentKind.PAUSED: Severity.TICKET,
    IncidentKind.VACUUM_HELD: Severity.TICKET,
}


@dataclass(frozen=True)
class AlertRules:
    """The bounds of alerting, in seconds. Tests shorten some of them; nothing else does."""

    resolve_after: float = 300.0
    """Failure contract: five healthy minutes, so that a flap is one incident and one message."""
    pending_clears_after: float = 60.0
    """What was never told may be forgotten sooner."""
    repeat_every: float = 1800.0
    """A thread that stays silent for longer looks solved."""
    update_every: float = 60.0
    """The root message is edited at most this often, and only when the evidence says something new."""
    gap: float = 60.0
    """Nobody evaluated for this long: what was counted as continuous before is not."""
    silence_before_page: float = 60.0
    """After a night off the sweepers get this long to start before the watchdog calls somebody."""
    sample_gap: float = 90.0
    """A health sample is due each minute; later than this it is missing, and a missing sample counts as bad."""
    sample_silence: float = 180.0
    """Without a health sample for this long the queue is not being watched."""
    age_at_once: float = 900.0
    """Older than the outer bound of the contract: no second sample is waited for."""
    unknown_after: float = 600.0
    """Reconciliation resolves most unknown sends within minutes; what is older needs a person."""


@dataclass(frozen=True)
class Condition:
    """One thing that may be wrong, as it is now.

    `due` says that its debounce is over: it is to be told at once. `held_for` is a debounce that counts from when the
    incident was opened, in seconds; it applies when `due` is false. When `material` changes, it is worth an edit.
    """

    kind: IncidentKind
    scope: str
    due: bool
    material: str
    evidence: Mapping[str, Any]
    held_for: float | None = None

    @property
    def severity(self) -> Severity:
        """Whom it calls."""
        return SEVERITIES[self.kind]


@dataclass(frozen=True)
class Incident:
    """An open incident as the rules see it. `waiting` says that a message about it is wanted and not yet posted."""

    status: IncidentStatus
    opened_at: datetime
    last_seen_at: datetime
    healthy_since: datetime | None = None
    fired_at: datetime | None = None
    resolved_at: datetime | None = None
    updated_at: datetime | None = None
    next_repeat_at: datetime | None = None
    material: str = ""
    waiting: bool = False


@dataclass(frozen=True)
class Transition:
    """What an evaluation made of an incident; `tell` says that it must become visible."""

    incident: Incident
    tell: bool = False


def dedup_key(environment: str, kind: str, scope: str) -> str:
    """The identity of what is wrong: no ids, times or counts, so that the same trouble is always the same key."""
    return f"{environment}:{kind}:{scope}"


def opened(condition: Condition, now: datetime, rules: AlertRules) -> Transition:
    """The first observation of a condition without an open incident."""
    return _breached(Incident(IncidentStatus.PENDING, opened_at=now, last_seen_at=now), condition, now, rules)


def observed(
    incident: Incident, condition: Condition | None, now: datetime, rules: AlertRules, *, interrupted: bool
) -> Transition:
    """The next state of an open incident; `condition` is None when nothing is wrong any more.

    `interrupted` says that nobody evaluated for a while: health and pendency then count from now.
    """
    incident = _without_future(incident, now, rules)
    if condition is None:
        return _healthy(incident, now, rules, interrupted)
    if incident.status is IncidentStatus.PENDING and (interrupted or incident.healthy_since is not None):
        incident = replace(incident, opened_at=now)
    return _breached(incident, condition, now, rules)


def _breached(incident: Incident, condition: Condition, now: datetime, rules: AlertRules) -> Transition:
    seen = replace(incident, last_seen_at=now, healthy_since=None)
    if seen.status is IncidentStatus.PENDING:
        held = condition.held_for is not None and _seconds(seen.opened_at, now) >= condition.held_for
        if not (condition.due or held):
            return Transition(seen)
        fired = replace(
            seen,
            status=IncidentStatus.FIRING,
            fired_at=now,
            updated_at=now,
            next_repeat_at=now + timedelta(seconds=rules.repeat_every),
            material=condition.material,
        )
        return Transition(fired, tell=True)
    if seen.waiting:
        return Transition(seen)  # what waits will tell the latest evidence anyway
    is_news = condition.material != seen.material and _is_past(seen.updated_at, now, rules.update_every)
    if is_news or (seen.next_repeat_at is not None and seen.next_repeat_at <= now):
        return Transition(replace(seen, updated_at=now, material=condition.material), tell=True)
    return Transition(seen)


def _healthy(incident: Incident, now: datetime, rules: AlertRules, interrupted: bool) -> Transition:
    since = now if incident.healthy_since is None or interrupted else incident.healthy_since
    was_told = incident.status is IncidentStatus.FIRING
    if _seconds(since, now) < (rules.resolve_after if was_told else rules.pending_clears_after):
        return Transition(replace(incident, healthy_since=since))
    over = replace(incident, status=IncidentStatus.RESOLVED, healthy_since=since, resolved_at=now)
    return Transition(over, tell=was_told)


def _without_future(incident: Incident, now: datetime, rules: AlertRules) -> Incident:
    """After the database's clock was set back, times in the future would hold everything up until it catches up."""
    latest_repeat = now + timedelta(seconds=rules.repeat_every)
    return replace(
        incident,
        opened_at=min(incident.opened_at, now),
        healthy_since=None if incident.healthy_since is None else min(incident.healthy_since, now),
        updated_at=None if incident.updated_at is None else min(incident.updated_at, now),
        next_repeat_at=None if incident.next_repeat_at is None else min(incident.next_repeat_at, latest_repeat),
    )


def _seconds(since: datetime, now: datetime) -> float:
    return (now - since).total_seconds()


def _is_past(moment: datetime | None, now: datetime, seconds: float) -> bool:
    return moment is None or _seconds(moment, now) >= seconds
