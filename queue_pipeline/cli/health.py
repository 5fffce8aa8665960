"""`health` and `running`: measure the queue, and see where its long jobs hang."""

import click

from queue_pipeline.cli.console import json_option, plain, print_json, print_table, say
from queue_pipeline.cli.session import opened
from queue_pipeline.domain.duration import duration
from queue_pipeline.domain.health import HealthSnapshot
from queue_pipeline.domain.lane import shard_names
from queue_pipeline.domain.limits import Limits
from queue_pipeline.engine import health

_EXIT_CODES = {"pass": 0, "breach": 1, "inconclusive": 2}
_RUNNING_COLUMNS = (
    "Job", "Kind", "Workspace", "Shard", "Function run", "Attempt", "Runs for", "Deadline in", "Step", "Progress",
)  # fmt: skip


@click.command("health")
@json_option
def health_command(*, as_json: bool) -> None:
    """Measure the queue now and judge it against the failure contract.

    Exit code 0: pass; 1: a limit is broken; 2: it could not be measured.
    """
    with opened() as session:
        snapshot = health.measure(session.db, limits=Limits(), shards=shard_names(session.settings.shards))
    if as_json:
        print_json(snapshot)
    else:
        _show(snapshot)
    raise SystemExit(_EXIT_CODES[snapshot.verdict])


def _show(snapshot: HealthSnapshot) -> None:
    rows = [
        (
            shard,
            s.pending_due,
            s.running,
            duration(s.oldest_due_age_seconds),
            s.function_run_id,
            _ago(s.heartbeat_age_seconds),
        )
        for shard, s in snapshot.by_shard.items()
    ]
    columns = ("Shard", "Pending", "Running", "Oldest due", "Function run", "Heartbeat")
    print_table(columns, rows, empty="No shards.")
    swept = snapshot.last_sweep_age_seconds
    facts = [
        ("pending and due", snapshot.pending_due),
        ("scheduled", snapshot.scheduled),
        ("parked by a pause", snapshot.parked),
        ("running", snapshot.running),
        ("dead letters", snapshot.dead),
        ("oldest due job", duration(snapshot.oldest_due_age_seconds)),
        ("wait p50 / p95 / max", " / ".join(_seconds(w) for w in _waits(snapshot))),
        ("stale function runs", snapshot.stale_function_runs),
        ("orphaned windows", snapshot.orphaned_windows),
        ("unknown sends", snapshot.unknown_sends),
        ("sends that need a person", snapshot.needs_human),
        ("duplicate sends", snapshot.duplicate_sends),
        ("open incidents", snapshot.open_incidents),
        ("late writes refused, 1 day", snapshot.late_writes_refused),
        ("oldest snapshot", _seconds(snapshot.horizon_age_seconds)),
        ("dead rows of one table", snapshot.dead_rows),
        ("last sweep", _ago(swept) or "never"),
    ]
    print_table(("Measured", "Value"), facts, empty="")
    for sentence in (*snapshot.pauses, *snapshot.findings):
        say(sentence)
    say(f"Verdict: {snapshot.verdict}")


def _waits(snapshot: HealthSnapshot) -> tuple[float | None, float | None, float | None]:
    return snapshot.wait_p50_seconds, snapshot.wait_p95_seconds, snapshot.wait_max_seconds


def _seconds(value: float | None) -> str:
    return "none" if value is None else duration(value)


def _ago(seconds: float | None) -> str:
    return "" if seconds is None else f"{duration(seconds)} ago"


@click.command("running")
@click.option("--stacks/--no-stacks", default=True, show_default=True, help="Print the last sampled Python stacks.")
@click.option(
    "--limit", type=click.IntRange(1, 10_000), default=100, show_default=True, metavar="N", help="At most N jobs."
)
@json_option
def running_command(*, stacks: bool, limit: int, as_json: bool) -> None:
    """List running jobs, longest first, and where the long ones hang: step, progress and Python stack."""
    with opened() as session:
        jobs = health.running(session.db, limit=limit)
    if as_json:
        print_json(jobs)
        return
    rows = [
        (
            j.job_id,
            j.kind,
            j.workspace,
            j.shard,
            j.function_run_id,
            j.attempt,
            duration(j.running_seconds),
            duration(j.deadline_in_seconds) if j.deadline_in_seconds > 0 else "passed",
            j.step,
            j.progress,
        )
        for j in jobs
    ]
    columns = (
        "Job",
        "Kind",
        "Workspace",
        "Shard",
        "Function run",
        "Attempt",
        "Runs for",
        "Deadline in",
        "Step",
        "Progress",
    )
    print_table(columns, rows, empty="No job is running.")
    for job in jobs:
        if stacks and job.stack:
            click.echo(f"\nJob {job.job_id} was last seen here:\n{plain(job.stack.rstrip())}")


commands: list[click.Command] = [health_command, running_command]
