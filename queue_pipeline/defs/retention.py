"""What is forgotten each day: Dagster's runs, which it never purges by itself, and our history by its classes.

Purging a Dagster run also forgets its events: materializations, plots and run keys. What must be kept longer is in
our own tables.
"""

import shutil
import time
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

import dagster as dg
from pydantic import Field

from queue_pipeline.defs.resources import ROLE_TAG, QueueResource, table, told_plainly
from queue_pipeline.domain.retention import BY_NAME, DAY_SECONDS, days_kept
from queue_pipeline.engine.dagster_run import database_time
from queue_pipeline.engine.pruning import Pruned, prune_classes
from queue_pipeline.store.dagster_schema import forget_checks
from queue_pipeline.wiring import dagster_database_url

_ENDED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]


class RetentionConfig(dg.Config):
    """How much history is kept, and how long the forgetting may take."""

    dagster_runs_days: int = Field(
        default=7,
        ge=1,
        le=3650,
        description="Delete ended Dagster runs, with their events and logs, after so many days.",
    )
    days: dict[str, int] = Field(
        default={},
        description=(
            "Days for retention classes by name, such as {jobs: 7}; the others as `queue-pipeline prune --help` says."
        ),
    )
    runs_max: int = Field(
        default=100_000, ge=1, le=1_000_000, description="Delete at most so many Dagster runs at once, oldest first."
    )
    minutes_max: int = Field(
        default=50,
        ge=2,
        le=55,
        description="Stop after so many minutes, half of them for Dagster's runs; the next run goes on.",
    )


@dg.op(description="Delete old Dagster runs, and old rows by their retention classes, in small batches.")
def purge_history(context: dg.OpExecutionContext, config: RetentionConfig, queue: QueueResource) -> None:
    """Purge, and say how much of what."""
    ends = time.monotonic() + config.minutes_max * 60
    with told_plainly():
        days = days_kept(queue.settings.keep_jobs_days, config.days)
        before = database_time(queue.db) - timedelta(days=config.dagster_runs_days)
        runs = purge_runs(
            context.instance, before=before, runs_max=config.runs_max, seconds=(ends - time.monotonic()) / 2
        )
        checks = forget_checks(dagster_database_url(queue.settings))
        ages = {name: each * DAY_SECONDS for name, each in days.items()}
        pruned = prune_classes(queue.db, ages, seconds=ends - time.monotonic())
    for each in pruned:
        if not each.done:
            context.log.warning("The time was over before all %s were deleted; the next run goes on.", each.name)
    context.add_output_metadata(
        {
            "dagster_runs": runs,
            "dagster_check_executions": checks,
            "rows": sum(each.rows for each in pruned),
            "by_class": table(["class", "days", "rows", "done", "what"], [_row(each, days) for each in pruned]),
        }
    )


@dg.job(
    name="retention",
    description="Forget old Dagster runs and what our retention classes no longer keep. What customers saw stays.",
    executor_def=dg.in_process_executor,
    tags={ROLE_TAG: "retention", "dagster/max_runtime": "3600"},
)
def retention_job() -> None:
    """Purge what is old."""
    purge_history()


retention_schedule = dg.ScheduleDefinition(
    name="retention_each_day",
    job=retention_job,
    cron_schedule="17 3 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description=(
        "Each day at 03:17 UTC: delete Dagster runs older than 7 days, and what its retention class no longer keeps."
    ),
)


def purge_runs(instance: dg.DagsterInstance, *, before: datetime, runs_max: int, seconds: float) -> int:
    """Delete ended Dagster runs that were created before then, oldest first, for at most so many seconds; how many."""
    filters = dg.RunsFilter(statuses=_ENDED, created_before=before)
    storage = Path(instance.storage_directory())
    ends = time.monotonic() + seconds
    purged = 0
    while purged < runs_max and time.monotonic() < ends:
        runs = instance.get_run_records(filters, limit=min(100, runs_max - purged), ascending=True)
        if not runs:
            break
        for record in runs:
            run_id = str(UUID(record.dagster_run.run_id))  # it becomes a path below
            instance.delete_run(run_id)
            shutil.rmtree(storage / run_id, ignore_errors=True)
        purged += len(runs)
    return purged


def _row(pruned: Pruned, days: dict[str, int]) -> dict[str, str | int | bool]:
    return {
        "class": pruned.name,
        "days": days[pruned.name],
        "rows": pruned.rows,
        "done": pruned.done,
        "what": BY_NAME[pruned.name].what,
    }
