"""Reconciliation of messages, outside the queue that it serves: a sensor looks, a Dagster job asks the providers."""

import dagster as dg

from queue_pipeline.defs.resources import ROLE_TAG, QueueResource, told_plainly
from queue_pipeline.domain.errors import QueuePipelineError
from queue_pipeline.engine.dagster_run import database_time
from queue_pipeline.engine.reconcile import ReconcileReport, reconcile, settle, waiting

#: One run goes on while messages become due, so that an outage of a provider does not cost a launch per tick.
BUDGET_SECONDS = 120
#: A launch costs two seconds of a processor; while a provider is away there is always something due.
BETWEEN_RUNS_SECONDS = 15


@dg.op(description="Settle every message that is due or in doubt: look it up, try it again, or ask a person.")
def reconcile_messages(context: dg.OpExecutionContext, queue: QueueResource) -> None:
    """Reconcile until nothing is due, for at most two minutes."""
    with told_plainly():
        queue.registry()  # it names the providers
        report = reconcile(queue.db, by="reconcile job", limits=queue.limits, budget_seconds=BUDGET_SECONDS)
    context.log.info("%s", report.sentence())
    context.add_output_metadata({"summary": report.sentence(), **report.done})
    if report.errors:
        raise dg.Failure(description=report.sentence())


@dg.job(
    name="reconcile_sends",
    description="Settle messages to customers that are due or in doubt. The sensor starts it; it may be run by hand.",
    executor_def=dg.in_process_executor,
    tags={ROLE_TAG: "reconcile", "dagster/max_runtime": "600"},
)
def reconcile_job() -> None:
    """Reconcile messages."""
    reconcile_messages()


@dg.sensor(
    job=reconcile_job,
    minimum_interval_seconds=2,  # see dispatch_sensor
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=(
        "Every 5 s: attempts that ran past their deadline become doubts, evidence ends doubts, and when messages are"
        " due a reconciliation is started. It never sends by itself."
    ),
)
def reconcile_sensor(context: dg.SensorEvaluationContext, queue: QueueResource) -> dg.SensorResult:
    """One look at the ledger."""
    report = ReconcileReport()
    try:
        settle(queue.db, report, by="reconcile sensor", limits=queue.limits)
        found = waiting(queue.db)
    except QueuePipelineError as error:
        return dg.SensorResult(skip_reason=str(error), cursor=context.cursor)
    if not found.due:
        return dg.SensorResult(skip_reason=report.sentence(), cursor=context.cursor)
    now = database_time(queue.db).timestamp()
    if _is_under_way(context.instance) or now - _read(context.cursor) < BETWEEN_RUNS_SECONDS:
        why = f"{found.due} messages are due; a reconciliation is under way or has just been."
        return dg.SensorResult(skip_reason=why, cursor=context.cursor)
    return dg.SensorResult(run_requests=[dg.RunRequest(job_name="reconcile_sends")], cursor=str(now))


def _read(cursor: str | None) -> float:
    try:
        return float(cursor or 0.0)
    except ValueError:
        return 0.0


def _is_under_way(instance: dg.DagsterInstance) -> bool:
    statuses = [
        dg.DagsterRunStatus.QUEUED,
        dg.DagsterRunStatus.NOT_STARTED,
        dg.DagsterRunStatus.STARTING,
        dg.DagsterRunStatus.STARTED,
    ]
    return instance.get_runs_count(dg.RunsFilter(job_name="reconcile_sends", statuses=statuses)) > 0
