"""What an alert says, before any sink gives it its own form."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from queue_pipeline.domain.incident import IncidentKind, IncidentStatus, Severity

TITLES: Mapping[IncidentKind, str] = {
    IncidentKind.STALE_RUN: "Stale function run",
    IncidentKind.QUEUE_AGE: "Queue age",
    IncidentKind.UNKNOWN_SENDS: "Unknown sends",
    IncidentKind.DUPLICATE_SENDS: "Duplicate sends",
    IncidentKind.ROLLBACK: "Automatic rollback",
    IncidentKind.WATCHDOG_SILENT: "Watchdog silent",
    IncidentKind.STARVATION: "Starvation",
    IncidentKind.PAUSED: "Forgotten pause",
    IncidentKind.VACUUM_HELD: "Dead rows pile up",
}

#: What happens by itself, and what does not.
NEXT: Mapping[IncidentKind, str] = {
    IncidentKind.STALE_RUN: (
        "By itself: recovery is requested within seconds; it fences the run, gives its jobs back and opens one"
        " successor window. See `queue-pipeline recover --dry-run`."
    ),
    IncidentKind.QUEUE_AGE: (
        "By itself: the watch sensor asks for one relief drain for each shard concerned. See `queue-pipeline health`."
    ),
    IncidentKind.UNKNOWN_SENDS: (
        "By itself: reconciliation goes on looking; nothing is sent again blindly. A message that needs a person waits"
        " for one: `queue-pipeline sends`."
    ),
    IncidentKind.DUPLICATE_SENDS: (
        "By itself: nothing; a customer may have got a message twice. Look at `queue-pipeline audit sends`, and switch"
        " sends off with `queue-pipeline flags` if it goes on."
    ),
    IncidentKind.ROLLBACK: (
        "By itself: nothing more; its candidate is gone. `queue-pipeline canary status` says why. End this with"
        " `queue-pipeline canary acknowledge`, or with `canary undo`, which takes back flags that were flipped."
    ),
    IncidentKind.WATCHDOG_SILENT: (
        "By itself: nothing, as whoever recovers is what is missing. Run `queue-pipeline recover`, then bring the"
        " Dagster daemon back."
    ),
    IncidentKind.STARVATION: (
        "By itself: nothing more than fair claims, which did not reach these workspaces. `queue-pipeline workspace"
        " list` names them; look at their quota, weight and shard."
    ),
    IncidentKind.PAUSED: (
        "By itself: nothing; it stays paused until somebody ends it. `queue-pipeline pause list` says by whom and why,"
        " `queue-pipeline resume` ends it."
    ),
    IncidentKind.VACUUM_HELD: (
        "By itself: nothing, as long as somebody holds an old snapshot; claims become slower meanwhile."
        " `queue-pipeline health` says who it is."
    ),
}


class Post(StrEnum):
    """The messages about an incident."""

    ROOT = "root"
    UPDATE = "update"
    REPEAT = "repeat"
    RESOLVE = "resolve"


@dataclass(frozen=True)
class IncidentFacts:
    """An incident as its messages tell it."""

    incident_id: int
    dedup_key: str
    generation: int
    kind: IncidentKind
    severity: Severity
    status: IncidentStatus
    opened_at: datetime
    fired_at: datetime | None
    resolved_at: datetime | None
    observations: int
    evidence: Mapping[str, Any]


@dataclass(frozen=True)
class AlertText:
    """One alert in words. `mention` is whom it calls, in the sink's own notation, or empty."""

    headline: str
    facts: tuple[tuple[str, str], ...]
    happens_next: str
    mention: str
    runbook: str
    context: str
    identity: Mapping[str, str | int]

    @property
    def line(self) -> str:
        """The alert on one line, as notifications and consoles show it."""
        return f"{self.headline} Runbook: {self.runbook}"


def worded(
    incident: IncidentFacts, post: Post, *, seq: int, environment: str, mention: str | None, runbook_url: str
) -> AlertText:
    """The words of a post. Only a page calls somebody, and only when it begins or is repeated."""
    is_over = incident.status is IncidentStatus.RESOLVED
    calls = incident.severity is Severity.PAGE and not is_over and post in (Post.ROOT, Post.REPEAT)
    facts = tuple((str(label), str(text)) for label, text in incident.evidence.get("facts", []))
    return AlertText(
        headline=_headline(incident, post, environment),
        facts=(*facts, *_times(incident)),
        happens_next="It is over; nothing remains to be done." if is_over else NEXT[incident.kind],
        mention=mention if calls and mention else "",
        runbook=f"{runbook_url}#{incident.kind.replace('_', '-')}",
        context=f"{incident.dedup_key} · generation {incident.generation} · environment {environment}",
        identity={
            "dedup_key": incident.dedup_key,
            "generation": incident.generation,
            "seq": seq,
            "what": post.value,
        },
    )


def _headline(incident: IncidentFacts, post: Post, environment: str) -> str:
    said = incident.evidence.get("headline", "no evidence is on record")
    if incident.status is IncidentStatus.RESOLVED:
        state = "RESOLVED"
    else:
        state = "STILL FIRING" if post is Post.REPEAT else "FIRING"
    return f"[{environment}] {state} ({incident.severity}) {TITLES[incident.kind]}: {said}."


def _times(incident: IncidentFacts) -> list[tuple[str, str]]:
    times = [("Since", _utc(incident.opened_at))]
    if incident.resolved_at is not None:
        minutes = (incident.resolved_at - incident.opened_at).total_seconds() / 60
        times.append(("Resolved", f"{_utc(incident.resolved_at)}, after {minutes:.0f} min"))
    return times


def _utc(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
