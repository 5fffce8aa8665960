"""Every bound of the failure contract, its reason, and the relations between them.

`check_relations` is called when settings load: a build whose bounds contradict each other does not start.
All durations are seconds unless the name says otherwise.
"""

from dataclasses import dataclass, fields


@dataclass(frozen=True)
class Limit:
    """One bound: its value, its unit, and why it is what it is."""

    value: float
    unit: str
    reason: str


@dataclass(frozen=True)
class Limits:
    """The bounds in force. Tests shorten some of them; nothing else does."""

    lease_seconds: float = 30.0
    heartbeat_seconds: float = 5.0
    fence_margin_seconds: float = 5.0
    stale_cutoff_seconds: float = 900.0
    loop_stall_seconds: float = 60.0
    launch_grace_seconds: float = 45.0
    presence_grace_seconds: float = 1.0
    database_restart_grace_seconds: float = 5.0
    deadline_default_seconds: int = 300
    deadline_max_seconds: int = 840
    deadline_grace_seconds: float = 15.0
    termination_grace_seconds: float = 10.0
    abandoned_threads_max: int = 8
    unstarted_release_seconds: float = 2.0
    handover_seconds: float = 45.0
    expected_seconds_default: float = 10.0
    sweep_every_seconds: float = 2.0
    sweep_batch: int = 100
    inline_recovery_after_seconds: float = 20.0
    promote_batch: int = 1000
    wake_batch: int = 2000
    queue_age_limit_seconds: float = 300.0
    sweep_silence_seconds: float = 60.0
    max_attempts_default: int = 5
    backoff_base_seconds: float = 2.0
    backoff_max_seconds: float = 900.0
    payload_max_bytes: int = 262_144
    payload_max_depth: int = 64
    lane_quota_default: int = 64
    drains_per_shard_max: int = 2
    send_deadline_seconds: float = 20.0
    send_margin_seconds: float = 1.0
    send_record_seconds: float = 10.0
    send_backoff_base_seconds: float = 5.0
    send_backoff_max_seconds: float = 300.0
    send_retry_after_max_seconds: float = 3600.0
    send_attempts_max: int = 20
    send_human_seconds: float = 1800.0
    send_batch: int = 50


REASONS: dict[str, tuple[str, str]] = {
    "lease_seconds": (
        "s",
        "A host that vanished without closing its sockets is taken over soon, with six missed heartbeats of room.",
    ),
    "heartbeat_seconds": (
        "s",
        "Six renewals fit into one lease; a database restart of a few seconds costs none of it.",
    ),
    "fence_margin_seconds": (
        "s",
        "A worker that cannot renew stops starting sends this long before its lease ends, on its own monotonic clock.",
    ),
    "stale_cutoff_seconds": (
        "s",
        "Failure contract: no progress for 15 minutes is stale, whatever the heartbeat says.",
    ),
    "loop_stall_seconds": ("s", "A drain whose loop has not turned for this long stops renewing its own lease."),
    "launch_grace_seconds": (
        "s",
        "A cold Dagster run needs 2 to 16 s to take its window; later than this, nobody is coming.",
    ),
    "presence_grace_seconds": (
        "s",
        "A living drain whose connection broke has its presence lock back within this time; a dead one has not.",
    ),
    "database_restart_grace_seconds": (
        "s",
        "After a database restart every presence lock is gone; living drains take theirs again within this time.",
    ),
    "deadline_default_seconds": ("s", "For kinds that name none."),
    "deadline_max_seconds": (
        "s",
        "Below the stale cutoff, so that a slow handler is ended by its deadline and never by recovery of its run.",
    ),
    "deadline_grace_seconds": (
        "s",
        "How long after a deadline the sweep waits for the drain to end the job by itself.",
    ),
    "termination_grace_seconds": ("s", "What running handlers get when a drain is told to stop."),
    "abandoned_threads_max": (
        "threads",
        "Each abandoned handler thread holds memory and perhaps sockets; a fresh process is cheaper than more of them.",
    ),
    "unstarted_release_seconds": (
        "s",
        "A claimed job that no slot has started after this long is given back to other drains.",
    ),
    "handover_seconds": ("s", "How long a drain at its budget goes on while its successor starts."),
    "expected_seconds_default": ("s", "A handler that runs longer than this is sampled at each heartbeat."),
    "sweep_every_seconds": ("s", "Every living drain sweeps too, so recovery does not wait for a sensor."),
    "sweep_batch": ("rows", "Bounds one sweep; the rest is taken by the next, oldest first."),
    "inline_recovery_after_seconds": (
        "s",
        "If the recovery job has not acted on a finding by then, the sensor recovers inline.",
    ),
    "promote_batch": ("rows", "Bounds the transaction that makes scheduled jobs pending."),
    "wake_batch": ("rows", "Bounds the transaction that makes workspace lanes ready."),
    "queue_age_limit_seconds": ("s", "Failure contract: oldest due-pending age, p95 over the canary window."),
    "sweep_silence_seconds": ("s", "Dead man's switch: nobody looked for stale runs for this long."),
    "max_attempts_default": ("attempts", "Five tries with exponential backoff span about a minute."),
    "backoff_base_seconds": ("s", "First retry after about 2 s, doubling."),
    "backoff_max_seconds": ("s", "A retry never waits longer than 15 minutes."),
    "payload_max_bytes": ("bytes", "Payloads are read on every claim; large bodies belong in their own table."),
    "payload_max_depth": ("levels", "Deeper JSON is an attack or an accident."),
    "lane_quota_default": ("jobs", "Jobs of one workspace that may be claimed at the same time."),
    "drains_per_shard_max": ("function runs", "One drain and one relief drain beside it."),
    "send_deadline_seconds": ("s", "One attempt to hand a message to its provider; past it the outcome is unknown."),
    "send_margin_seconds": ("s", "The sender gives up this long before its deadline, so that no late sender is alive."),
    "send_record_seconds": (
        "s",
        "How long a sender tries to write down a provider's answer while the database is away; late is harmless.",
    ),
    "send_backoff_base_seconds": ("s", "First new try of a message that was certainly not sent, doubling."),
    "send_backoff_max_seconds": ("s", "A provider that is back is noticed within 5 minutes."),
    "send_retry_after_max_seconds": ("s", "A provider may ask for more patience than our backoff, but not for a day."),
    "send_attempts_max": ("attempts", "About 75 minutes of tries; then a person looks."),
    "send_human_seconds": ("s", "A message in doubt for 30 minutes is a person's to decide."),
    "send_batch": ("messages", "Bounds one turn of reconciliation."),
}


def described(limits: Limits) -> dict[str, Limit]:
    """Every bound with its unit and its reason, in declaration order."""
    return {f.name: Limit(getattr(limits, f.name), *REASONS[f.name]) for f in fields(limits)}


def check_relations(limits: Limits) -> list[str]:
    """The relations between bounds that do not hold, as sentences; an empty list is good."""
    relations = [
        (limits.heartbeat_seconds * 2 < limits.lease_seconds, "two heartbeats must fit into one lease"),
        (limits.fence_margin_seconds < limits.lease_seconds, "the fence margin must be shorter than the lease"),
        (
            limits.deadline_max_seconds + limits.deadline_grace_seconds < limits.stale_cutoff_seconds,
            "the longest deadline must end before the stale cutoff",
        ),
        (
            limits.lease_seconds + limits.sweep_every_seconds < limits.stale_cutoff_seconds,
            "a lost lease must be found long before the stale cutoff",
        ),
        (
            limits.loop_stall_seconds + limits.lease_seconds < limits.stale_cutoff_seconds,
            "a stalled loop must lose its lease before the stale cutoff",
        ),
        (
            limits.deadline_default_seconds <= limits.deadline_max_seconds,
            "the default deadline must not exceed the longest",
        ),
        (limits.backoff_base_seconds <= limits.backoff_max_seconds, "the first backoff must not exceed the longest"),
        (
            limits.send_deadline_seconds + limits.send_margin_seconds < limits.lease_seconds,
            "a send must end within the lease of the function run that began it",
        ),
        (
            limits.send_margin_seconds * 2 < limits.send_deadline_seconds,
            "the sender's margin must be a small part of its deadline",
        ),
        (
            limits.inline_recovery_after_seconds < limits.queue_age_limit_seconds,
            "inline recovery must act before the queue age is breached",
        ),
    ]
    return [sentence for holds, sentence in relations if not holds]
