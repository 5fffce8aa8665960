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
    priority_step_seconds: float = 30.0
    pause_settle_seconds: float = 10.0
    pause_reminder_seconds: float = 3600.0
    starvation_waits_max: float = 20.0
    starvation_min_seconds: float = 120.0
    wake_batch: int = 2000
    queue_age_limit_seconds: float = 300.0
    sweep_silence_seconds: float = 60.0
    max_attempts_default: int = 5
    backoff_base_seconds: float = 2.0
    backoff_max_seconds: float = 900.0
    payload_max_bytes: int = 262_144
    payload_max_depth: int = 64
    lane_quota_default: int = 64
    lane_quota_promoted: int = 100
    lane_quota_max: int = 1024
    escalation_hours_max: float = 72.0
    drains_per_shard_max: int = 4
    workers_per_drain_max: int = 16
    vanished_client_seconds: int = 35
    horizon_age_limit_seconds: float = 120.0
    horizon_transactions_limit: int = 1_000_000
    dead_rows_limit: int = 500_000
    transaction_age_limit: int = 500_000_000
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
    "priority_step_seconds": (
        "s",
        "What a step of priority is worth in waiting: urgent work goes first, and 10 steps outweigh 5 minutes.",
    ),
    "pause_settle_seconds": (
        "s",
        "Drains hear of the end of a pause within 2 s; until then they may park a job, and this much later none does.",
    ),
    "pause_reminder_seconds": ("s", "A pause without an end that nobody remembers is a queue that stands still."),
    "starvation_waits_max": (
        "times",
        "A workspace whose oldest job waits this many times the median wait is not served fairly, whatever the reason.",
    ),
    "starvation_min_seconds": ("s", "Below this nobody is starved: medians of a few milliseconds prove nothing."),
    "wake_batch": ("rows", "Bounds the transaction that makes workspace lanes ready."),
    "queue_age_limit_seconds": ("s", "Failure contract: oldest due-pending age, p95 over the canary window."),
    "sweep_silence_seconds": ("s", "Dead man's switch: nobody looked for stale runs for this long."),
    "max_attempts_default": ("attempts", "Five tries with exponential backoff span about a minute."),
    "backoff_base_seconds": ("s", "First retry after about 2 s, doubling."),
    "backoff_max_seconds": ("s", "A retry never waits longer than 15 minutes."),
    "payload_max_bytes": ("bytes", "Payloads are read on every claim; large bodies belong in their own table."),
    "payload_max_depth": ("levels", "Deeper JSON is an attack or an accident."),
    "lane_quota_default": ("jobs", "Jobs of one workspace that may be claimed at the same time."),
    "lane_quota_promoted": ("jobs", "The same, for a workspace that the rules promoted."),
    "lane_quota_max": (
        "jobs",
        "What a person may give to one workspace: never more than the capacity floor of the whole installation.",
    ),
    "escalation_hours_max": ("h", "An escalation spans a weekend; what is needed for longer is decided anew."),
    "drains_per_shard_max": (
        "function runs",
        "One is normal, and a relief drain beside it; capacity control may ask for more, each a process.",
    ),
    "workers_per_drain_max": (
        "handlers",
        "Threads of one Python process share its interpreter: beyond this, capacity control asks for another drain.",
    ),
    "vanished_client_seconds": (
        "s",
        "PostgreSQL ends the sessions and locks of a host that no longer answers: after the lease, which decides.",
    ),
    "horizon_age_limit_seconds": (
        "s",
        "Ours end within 30 s. Measured at 200 jobs/s: behind one held for 100 s a drain does a fifth of its usual.",
    ),
    "horizon_transactions_limit": (
        "transactions",
        "A replication slot has no age in seconds; at 200 jobs/s a million transactions are about two hours.",
    ),
    "dead_rows_limit": (
        "rows",
        "Autovacuum looks once a minute; 2,000 jobs/s leave 400,000 dead rows meanwhile: with more it is behind.",
    ),
    "transaction_age_limit": (
        "transactions",
        "Freezing begins at 200 million; at 2,147 million PostgreSQL takes no more writes. Half a billion leaves days.",
    ),
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
            limits.lease_seconds < limits.vanished_client_seconds,
            "a vanished host must lose its lease before PostgreSQL ends its sessions",
        ),
        (
            limits.deadline_default_seconds <= limits.deadline_max_seconds,
            "the default deadline must not exceed the longest",
        ),
        (limits.backoff_base_seconds <= limits.backoff_max_seconds, "the first backoff must not exceed the longest"),
        (limits.lane_quota_default < limits.lane_quota_promoted, "a promotion must raise the quota"),
        (
            limits.lane_quota_promoted < limits.lane_quota_max,
            "a person must be able to give more than a promotion does",
        ),
        (
            limits.send_deadline_seconds + limits.send_margin_seconds < limits.lease_seconds,
            "a send must end within the lease of the function run that began it",
        ),
        (
            limits.send_margin_seconds * 2 < limits.send_deadline_seconds,
            "the sender's margin must be a small part of its deadline",
        ),
        (
            limits.horizon_age_limit_seconds < limits.queue_age_limit_seconds,
            "a held snapshot must be told before the queue is too old because of it",
        ),
        (
            limits.inline_recovery_after_seconds < limits.queue_age_limit_seconds,
            "inline recovery must act before the queue age is breached",
        ),
    ]
    return [sentence for holds, sentence in relations if not holds]
