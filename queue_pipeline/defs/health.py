"""The health snapshot as an asset with history, and the contract as checks that can be run alone."""

from collections.abc import Iterable, Mapping
from datetime import timedelta

import dagster as dg

from queue_pipeline.defs.alerts import alert_incidents
from queue_pipeline.defs.capacity import capacity_decisions
from queue_pipeline.defs.chart import history_chart
from queue_pipeline.defs.lead_flow import lead_flow
from queue_pipeline.defs.quota import quota_decisions
from queue_pipeline.defs.resources import ROLE_TAG, Cell, QueueResource, table, told_plainly
from queue_pipeline.defs.sources import sources
from queue_pipeline.domain.health import HealthSnapshot, is_silent, is_too_old
from queue_pipeline.domain.limits import Limits
from queue_pipeline.engine.health import history, measure, record, running

CHART_HOURS = 6.0
LONG_HANDLERS_SHOWN = 50


@dg.asset(
    deps=sources,
    group_name="health",
    kinds={"postgres"},
    description=(
        "How the queue is: backlog, ages, waits and what stands still, measured and kept each minute. The history is in"
        " the table `health_sample`."
    ),
    freshness_policy=dg.FreshnessPolicy.time_window(
        fail_window=timedelta(minutes=15), warn_window=timedelta(minutes=5)
    ),
)
def queue_health_snapshot(context: dg.AssetExecutionContext, queue: QueueResource) -> dg.MaterializeResult[None]:
    """Measure, record, and show."""
    with told_plainly():
        snapshot = measure(queue.db, limits=queue.limits, shards=queue.shards)
        record(queue.db, snapshot)
        samples = history(queue.db, hours=CHART_HOURS)
    metadata = {  # the UI keeps this order: what an operator wants at a glance comes first
        "summary": dg.MetadataValue.md(summary_of(snapshot)),
        "last_hours": dg.MetadataValue.md(history_chart(samples, limits=queue.limits, hours=CHART_HOURS)),
        "by_shard": table(
            ["shard", "pending_due", "running", "oldest_due_seconds", "function_run", "heartbeat_seconds_ago"],
            _shard_rows(snapshot),
        ),
        "long_handlers": table(
            ["job", "kind", "shard", "function_run", "seconds", "step", "progress", "last_seen_at"],
            _long_handlers(queue),
        ),
        "drains_now": dg.MetadataValue.md(_drains_now(context.instance)),
        **numbers_of(snapshot),
    }
    return dg.MaterializeResult(metadata=metadata)


health_job = dg.define_asset_job(
    name="measure_health",
    selection=dg.AssetSelection.assets(
        queue_health_snapshot, lead_flow, alert_incidents, quota_decisions, capacity_decisions
    ),
    description="Measure the queue, keep the sample, check the contract, show the latest leads, incidents and quotas.",
    executor_def=dg.in_process_executor,
    tags={ROLE_TAG: "health", "dagster/max_runtime": "120"},
)

health_schedule = dg.ScheduleDefinition(
    name="measure_health_each_minute",
    job=health_job,
    cron_schedule="* * * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Each minute: a health snapshot, and the checks of the contract.",
)

_CHECKS: Mapping[str, str] = {
    "queue_age_within_limit": "The oldest due job has waited at most 300 s.",
    "no_stale_function_run": "No function run has an expired lease or made no progress for 15 minutes.",
    "no_orphaned_window": "No dispatch window passed its launch grace without being taken.",
    "watchdog_is_alive": "Somebody looked for stale function runs within the last 60 s.",
}


@dg.multi_asset_check(
    name="queue_contract",
    specs=[
        dg.AssetCheckSpec(name=name, asset=queue_health_snapshot, description=description)
        for name, description in _CHECKS.items()
    ],
    can_subset=True,
)
def queue_contract(context: dg.AssetCheckExecutionContext, queue: QueueResource) -> Iterable[dg.AssetCheckResult]:
    """Measure once, and judge each selected point of the contract."""
    with told_plainly():
        snapshot = measure(queue.db, limits=queue.limits, shards=queue.shards)
    for key in sorted(context.selected_asset_check_keys, key=lambda key: key.name):
        passed, said = judge(key.name, snapshot, queue.limits)
        yield dg.AssetCheckResult(
            check_name=key.name,
            asset_key=key.asset_key,
            passed=passed,
            severity=dg.AssetCheckSeverity.ERROR,
            description=said,
            metadata=numbers_of(snapshot),
        )


def judge(check: str, snapshot: HealthSnapshot, limits: Limits) -> tuple[bool, str]:
    """Whether one point of the contract holds, and the measured fact as a sentence."""
    age, sweep = snapshot.oldest_due_age_seconds, snapshot.last_sweep_age_seconds
    if check == "queue_age_within_limit":
        said = f"The oldest due job has waited {age:.0f} s." if snapshot.pending_due else "Nothing is due."
        return not is_too_old(age, limits), f"{said} The limit is {limits.queue_age_limit_seconds:g} s."
    if check == "no_stale_function_run":
        return not snapshot.stale_function_runs, f"Stale function runs: {snapshot.stale_function_runs}."
    if check == "no_orphaned_window":
        return not snapshot.orphaned_windows, f"Orphaned dispatch windows: {snapshot.orphaned_windows}."
    if sweep is None:
        return False, "Nobody has ever looked for stale function runs."
    said = f"The last sweep was {sweep:.0f} s ago; the limit is {limits.sweep_silence_seconds:g} s."
    return not is_silent(sweep, limits), said


def numbers_of(snapshot: HealthSnapshot) -> dict[str, dg.MetadataValue]:
    """The numbers that the UI plots over time."""
    counts = ("pending_due", "scheduled", "running", "dead", "stale_function_runs", "orphaned_windows")
    sends = ("unknown_sends", "needs_human", "duplicate_sends", "late_writes_refused")
    rest = ("open_incidents", "started_jobs", "finished_jobs", "parked", "starved_workspaces")
    seconds = ("oldest_due_age_seconds", "wait_p50_seconds", "wait_p95_seconds", "wait_max_seconds")
    numbers: dict[str, dg.MetadataValue] = {
        name: dg.MetadataValue.int(getattr(snapshot, name)) for name in (*counts, *sends, *rest)
    }
    for name in (*seconds, "last_sweep_age_seconds"):
        if (value := getattr(snapshot, name)) is not None:
            numbers[name] = dg.MetadataValue.float(round(value, 3))
    numbers["verdict"] = dg.MetadataValue.text(snapshot.verdict)
    return numbers


def summary_of(snapshot: HealthSnapshot) -> str:
    """The snapshot as a few sentences of Markdown."""
    floor = "at least " if snapshot.counts_are_floors else ""
    waits = (
        f" Waits: p50 {snapshot.wait_p50_seconds:.1f} s, p95 {snapshot.wait_p95_seconds:.1f} s, "
        f"max {snapshot.wait_max_seconds:.1f} s."
        if snapshot.wait_p50_seconds is not None and snapshot.wait_p95_seconds is not None
        and snapshot.wait_max_seconds is not None
        else ""
    )  # fmt: skip
    measured = (
        f"**{snapshot.verdict.upper()}**: {floor}{snapshot.pending_due:,} due, {snapshot.running:,} running, "
        f"{snapshot.scheduled:,} scheduled, {snapshot.dead:,} dead. "
        f"The oldest due job has waited {snapshot.oldest_due_age_seconds:.0f} s.{waits} "
        f"Last minute: {snapshot.started_jobs:,} started, {snapshot.finished_jobs:,} finished."
    )
    return "\n".join([measured, *(f"- {said}" for said in (*snapshot.pauses, *snapshot.findings))])


def _shard_rows(snapshot: HealthSnapshot) -> list[Mapping[str, Cell]]:
    return [
        {
            "shard": shard,
            "pending_due": health.pending_due,
            "running": health.running,
            "oldest_due_seconds": health.oldest_due_age_seconds,
            "function_run": health.function_run_id,
            "heartbeat_seconds_ago": health.heartbeat_age_seconds,
        }
        for shard, health in snapshot.by_shard.items()
    ]


def _long_handlers(queue: QueueResource) -> list[Mapping[str, Cell]]:
    """The handlers that run longer than expected, and the innermost frame of each as last sampled."""
    return [
        {
            "job": job.job_id,
            "kind": job.kind,
            "shard": job.shard,
            "function_run": job.function_run_id,
            "seconds": job.running_seconds,
            "step": job.step,
            "progress": job.progress,
            "last_seen_at": innermost_frame(job.stack),
        }
        for job in running(queue.db, limit=LONG_HANDLERS_SHOWN)
        if job.stack is not None
    ]


def innermost_frame(stack: str) -> str:
    """The last file, line and function of a sampled stack, with its source line."""
    return " ".join(line.strip() for line in stack.rstrip().splitlines()[-2:])


def _drains_now(instance: dg.DagsterInstance) -> str:
    """Links to the Dagster runs that drain at this moment."""
    runs = instance.get_runs(dg.RunsFilter(job_name="drain", statuses=[dg.DagsterRunStatus.STARTED]), limit=20)
    links = [f"[{run.tags.get('dagster/partition', run.run_id[:8])}](/runs/{run.run_id})" for run in runs]
    return ", ".join(links) or "No Dagster run drains at this moment."
