"""A health snapshot is what was measured of the queue at one instant; a finding is what is wrong in it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal

from queue_pipeline.domain.limits import Limits

Verdict = Literal["pass", "breach", "inconclusive"]


@dataclass(frozen=True)
class ShardHealth:
    """One shard at the instant of the snapshot. `function_run_id` is the living function run that was heard last."""

    pending_due: int = 0
    running: int = 0
    oldest_due_age_seconds: float = 0.0
    function_run_id: int | None = None
    heartbeat_age_seconds: float | None = None
    is_paused: bool = False


@dataclass(frozen=True)
class HealthSnapshot:
    """The queue at one instant, by the database's clock; ages and waits in seconds.

    `oldest_due_age_seconds` is 0 when nothing is due; what is paused is not due, and `parked` counts it. `pauses` says
    in sentences what is paused. `starved_workspaces` have due work and were not served for long although others were;
    `longest_unserved_seconds` is how long the worst of them was not. Waits are those of the last minute's claims
    together with the waits so far of jobs that still wait. `late_writes_refused` and `duplicate_sends` look back one
    day, `started_jobs` and `finished_jobs` one minute. `last_sweep_age_seconds` is None when nobody ever swept.
    `open_incidents` are those that somebody was told of and that are not over. `horizon_age_*` say how old the oldest
    snapshot is that keeps dead rows from being removed, `dead_rows` are those of the hot table that has most, and
    `growth_notes` what of that is beyond its bound: a note is no breach, because nothing is late yet.
    When `counts_are_floors`, there are more pending, scheduled or dead jobs than were counted.
    """

    sampled_at: datetime
    pending_due: int
    scheduled: int
    running: int
    dead: int
    oldest_due_age_seconds: float
    stale_function_runs: int
    orphaned_windows: int
    unknown_sends: int
    duplicate_sends: int
    late_writes_refused: int
    last_sweep_age_seconds: float | None
    wait_p50_seconds: float | None
    wait_p95_seconds: float | None
    wait_max_seconds: float | None
    started_jobs: int
    finished_jobs: int
    needs_human: int = 0
    open_incidents: int = 0
    parked: int = 0
    pauses: tuple[str, ...] = ()
    starved_workspaces: int = 0
    longest_unserved_seconds: float = 0.0
    horizon_age_seconds: float | None = None
    horizon_age_transactions: int = 0
    dead_rows: int = 0
    transaction_age: int = 0
    growth_notes: tuple[str, ...] = ()
    counts_are_floors: bool = False
    by_shard: Mapping[str, ShardHealth] = field(default_factory=dict)
    findings: tuple[str, ...] = ()
    verdict: Verdict = "inconclusive"


def judged(snapshot: HealthSnapshot, limits: Limits) -> HealthSnapshot:
    """The snapshot with its findings and its verdict.

    "breach" when a limit is broken, else "inconclusive" when something could not be measured, else "pass".
    """
    breaches = breaches_in(snapshot, limits)
    gaps = gaps_in(snapshot)
    verdict: Verdict = "breach" if breaches else "inconclusive" if gaps else "pass"
    return replace(snapshot, findings=(*breaches, *gaps, *snapshot.growth_notes), verdict=verdict)


def breaches_in(snapshot: HealthSnapshot, limits: Limits) -> list[str]:
    """The limits that this snapshot breaks, one sentence each."""
    found = []
    if is_too_old(snapshot.oldest_due_age_seconds, limits):
        found.append(_age_sentence(snapshot, limits))
    if snapshot.stale_function_runs:
        found.append(
            f"{_count(snapshot.stale_function_runs, 'function run')} with an expired lease or without progress for "
            f"{limits.stale_cutoff_seconds:g} s."
        )
    if snapshot.orphaned_windows:
        found.append(f"{_count(snapshot.orphaned_windows, 'dispatch window')} not taken within the launch grace.")
    if is_silent(snapshot.last_sweep_age_seconds, limits):
        found.append(
            f"Nobody has looked for stale function runs for {snapshot.last_sweep_age_seconds:.0f} s; "
            f"the limit is {limits.sweep_silence_seconds:g} s."
        )
    if snapshot.duplicate_sends:
        found.append(f"{_count(snapshot.duplicate_sends, 'idempotency key')} with more than one message at a provider.")
    if snapshot.starved_workspaces:
        found.append(
            f"{_count(snapshot.starved_workspaces, 'workspace')} with due work not served for up to "
            f"{snapshot.longest_unserved_seconds:.0f} s; the bound is {limits.starvation_waits_max:g} median waits."
        )
    return found


def gaps_in(snapshot: HealthSnapshot) -> list[str]:
    """What could not be measured, one sentence each."""
    return [] if snapshot.last_sweep_age_seconds is not None else ["Nobody has ever looked for stale function runs."]


def starved_after(median_wait_seconds: float | None, limits: Limits) -> float:
    """After how many seconds without being served a workspace with due work is starved."""
    return max(limits.starvation_min_seconds, limits.starvation_waits_max * (median_wait_seconds or 0.0))


def is_too_old(oldest_due_age_seconds: float, limits: Limits) -> bool:
    """Whether the oldest due job has waited longer than the contract allows."""
    return oldest_due_age_seconds > limits.queue_age_limit_seconds


def is_silent(last_sweep_age_seconds: float | None, limits: Limits) -> bool:
    """Whether the dead man's switch has fallen; a queue that was never swept is not silent but unmeasured."""
    return last_sweep_age_seconds is not None and last_sweep_age_seconds > limits.sweep_silence_seconds


def _age_sentence(snapshot: HealthSnapshot, limits: Limits) -> str:
    late = [
        shard
        for shard, health in snapshot.by_shard.items()
        if not health.is_paused and is_too_old(health.oldest_due_age_seconds, limits)
    ]
    where = f" ({', '.join(sorted(late))})" if late else ""
    return (
        f"The oldest due job has waited {snapshot.oldest_due_age_seconds:.0f} s{where}; "
        f"the limit is {limits.queue_age_limit_seconds:g} s."
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
