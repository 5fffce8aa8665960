"""What is forgotten, when, and why: one table of retention classes, and the tables that nothing is deleted from.

A class is the smallest thing that is kept or forgotten together. Ages count from when the row came to its end.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from queue_pipeline.domain.errors import InvalidInput

DAYS_MAX = 36_500
DAY_SECONDS = 86_400.0


@dataclass(frozen=True)
class RetentionClass:
    """Rows that are forgotten together; `days` is None for what goes only when somebody says so."""

    name: str
    days: int | None
    what: str
    reason: str


#: In the order in which they are pruned: small ones first, so that a night too short forgets those.
CLASSES: tuple[RetentionClass, ...] = (
    RetentionClass(
        "handler_samples", 1, "samples of handlers that do not run any more", "A handler runs 14 minutes at most."
    ),
    RetentionClass("health_samples", 31, "health samples", "The longest stretch that a chart or a report reads."),
    RetentionClass(
        "capacity_samples",
        31,
        "capacity samples",
        "One each minute; a decision repeats the numbers that it was made on.",
    ),
    RetentionClass(
        "capacity_decisions",
        90,
        "capacity decisions that changed nothing, but the latest",
        "One each minute: a quarter shows the season and its peaks. What changed something stays.",
    ),
    RetentionClass("late_writes", 90, "writes that came too late", "Evidence of a recovery, while its drain is kept."),
    RetentionClass(
        "recovery_observations",
        90,
        "what recovery would have done",
        "An observation is about a switch that somebody considers now.",
    ),
    RetentionClass(
        "recovery_decisions", 400, "what recovery did, and why", "Few rows, and asked for a year after an incident."
    ),
    RetentionClass(
        "canary_samples",
        400,
        "samples of canaries that are over",
        "Evidence packets hold their numbers; a year allows a second look.",
    ),
    RetentionClass("contention_samples", 400, "samples of locks and sessions", "They belong to the canary's samples."),
    RetentionClass(
        "workspace_samples",
        7,
        "samples of workspaces whose quota is watched",
        "A row a minute for each; rules look at windows of minutes, and what they decided stays.",
    ),
    RetentionClass(
        "incidents",
        400,
        "resolved incidents with their messages, but the latest of each key",
        "A year shows the season; the latest keeps the numbering of generations.",
    ),
    RetentionClass(
        "notifications", 400, "delivered notifications", "A trace of a lead says who was told, as long as it says more."
    ),
    RetentionClass(
        "drains",
        90,
        "ended function runs with the window that each took",
        "Three times as long as the jobs that name them. A decision names its run by number and stays.",
    ),
    RetentionClass("untaken_windows", 90, "closed windows that nobody took", "As long as the drains beside them."),
    RetentionClass(
        "attempts",
        400,
        "attempts of jobs that never end, or that stay",
        "A job that snoozes each minute makes half a million a year.",
    ),
    RetentionClass(
        "jobs",
        30,
        "finished jobs with attempts and steps",
        "The largest table: a month covers an invoice and a complaint.",
    ),
    RetentionClass(
        "lead_jobs",
        400,
        "finished jobs that brought a lead's message in, with attempts and steps",
        "Their payload is the only copy of what the lead wrote; traces and replays read it.",
    ),
    RetentionClass(
        "dead_letters", None, "dead letters with attempts and steps", "They wait for a person, however long that takes."
    ),
)

#: What says what a customer saw, who decided it, or recognises a repetition: it stays.
NEVER: Mapping[str, str] = {
    "outbound_message": "What a customer was sent, and the key that keeps it from being sent again.",
    "send_attempt": "Each time that a provider was asked.",
    "provider_message": "What providers say they have: the duplicate-send audit believes nothing else.",
    "inbound_event": "It recognises a repeated delivery, however late.",
    "inbound_conflict": "The only copy of what was not run.",
    "lead": "A person, with the wish not to be written to.",
    "lead_outcome": "How each lead's message ended.",
    "lead_task": "What a person was asked to do.",
    "draft": "What was proposed, and who decided.",
    "control_event": "Who flipped a switch, and why.",
    "capacity_override": "What an operator set by hand, and why.",
    "canary": "What was tried, for whom, and how it ended.",
    "canary_event": "Every move of a canary.",
    "rollback": "Why a canary went back.",
    "evidence_packet": "What was known when a rollout was decided.",
    "rollout_decision": "GO or NO-GO, and the reasons.",
    "replay_run": "The verdict that a rollout was measured by.",
    "pause": "What stood still, by whose word.",
    "workspace_quota": "What is in force for a workspace.",
    "quota_escalation": "Who asked for more, and who agreed.",
    "quota_decision": "Why a workspace's quota changed.",
    "audit_review": "A finding that a person looked at is not found again.",
    "alert_proof": "That alerts arrive, as it was proved.",
}

BY_NAME: Mapping[str, RetentionClass] = {each.name: each for each in CLASSES}
#: Jobs with everything that belongs to their execution.
JOB_CLASSES = ("jobs", "lead_jobs")


def days_kept(keep_jobs_days: int, changes: Mapping[str, int] | None = None) -> dict[str, int]:
    """Days for each class that is pruned by itself: the table's, the operator's for jobs, then `changes` by name.

    Attempts never go before the jobs that they belong to. Raises InvalidInput.
    """
    given = {name: checked_days(days) for name, days in (changes or {}).items()}
    known_classes(given)
    days = {each.name: each.days for each in CLASSES if each.days is not None}
    days |= {"jobs": checked_days(keep_jobs_days)} | given
    if "attempts" not in given:
        days["attempts"] = max(days["attempts"], *(days[name] for name in JOB_CLASSES))
    return days


def known_classes(names: Iterable[str]) -> tuple[str, ...]:
    """The names, if each is a class. Raises InvalidInput."""
    wanted = tuple(names)
    for name in wanted:
        if name not in BY_NAME:
            raise InvalidInput("class", name, f"Use one of {', '.join(BY_NAME)}.")
    return wanted


def checked_days(days: int) -> int:
    """The number, if it is one of days. Raises InvalidInput."""
    if not 0 <= days <= DAYS_MAX:
        raise InvalidInput("days", days, f"Use 0 to {DAYS_MAX}.")
    return days
