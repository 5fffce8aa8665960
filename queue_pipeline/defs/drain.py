"""The drain as a Dagster job: one partition per shard, one op that owns the engine's loop.

The in-process executor is essential: a step in a process of its own outlives a killed run and goes on sending.
"""

import threading
from concurrent.futures import Future

import dagster as dg
from pydantic import Field

from queue_pipeline.defs.resources import DISPATCH_KEY_TAG, ROLE_TAG, SHARD_TAG, QueueResource, told_plainly
from queue_pipeline.defs.sources import FUNCTION_RUN
from queue_pipeline.domain.function_run import EndReason
from queue_pipeline.domain.lane import shard_names
from queue_pipeline.engine.dispatch import open_windows
from queue_pipeline.engine.drain import DrainOptions, DrainReport, drain
from queue_pipeline.settings import load_settings
from queue_pipeline.wiring import finish_delivering

#: Beyond the longest budget, hand-over and deadline together nothing good can come of a drain.
DRAIN_RUNTIME_MAX_SECONDS = 1800
#: How long an interrupted op waits for its drain, past the grace that running handlers get.
STOP_MARGIN_SECONDS = 20.0

shard_partitions = dg.StaticPartitionsDefinition(shard_names(load_settings().shards))


class DrainConfig(dg.Config):
    """One drain of the run's shard."""

    dispatch_key: str | None = Field(
        default=None,
        min_length=1,
        description="The dispatch window to take. Leave it out by hand: the drain then opens one of its own.",
    )


@dg.op(
    description="Claim and run the due jobs of one shard until nothing is due or the budget is spent, then hand over."
)
def drain_shard(context: dg.OpExecutionContext, config: DrainConfig, queue: QueueResource) -> None:
    """Drain the shard of this run's partition.

    A run that comes too late for its window takes the one that replaced it: on an overloaded machine every run is
    late, and none would ever come in time for a window of its own.
    """
    report = _drain_window(context, queue, config.dispatch_key)
    if not report.took_window:
        others = (window.dispatch_key for window in open_windows(queue.db) if window.shard == context.partition_key)
        if (other := next(others, None)) is not None:
            report = _drain_window(context, queue, other)
    tell(context, report)


@dg.graph
def shard_drain() -> None:
    """One drain of one shard."""
    drain_shard()


drain_job = shard_drain.to_job(
    name="drain",
    description="Drain one shard (the partition). Opened by the dispatch schedule and sensor; may be launched by hand.",
    partitions_def=shard_partitions,
    executor_def=dg.in_process_executor,
    tags={ROLE_TAG: "drain", "dagster/max_runtime": str(DRAIN_RUNTIME_MAX_SECONDS)},
)

relief_job = shard_drain.to_job(
    name="relief",
    description="One more drain for a shard whose queue age is breached, in a slot that ordinary drains cannot hold.",
    partitions_def=shard_partitions,
    executor_def=dg.in_process_executor,
    tags={ROLE_TAG: "relief", "dagster/priority": "5", "dagster/max_runtime": str(DRAIN_RUNTIME_MAX_SECONDS)},
)


def drain_interruptibly(queue: QueueResource, options: DrainOptions) -> DrainReport:
    """Run the engine's drain in a thread while the main thread waits for it.

    Dagster interrupts a run by raising in the main thread; the drain is then asked to stop, gives its handlers their
    grace and releases the rest, and the interrupt goes on. Raises dg.Failure for an error an operator can act on.
    """
    stop = threading.Event()
    report: Future[DrainReport] = Future()

    def work() -> None:
        try:
            report.set_result(drain(queue.db, queue.registry(), options, limits=queue.limits, stop=stop))
        except BaseException as error:  # noqa: BLE001 - it is raised again in the thread that waits
            report.set_exception(error)

    threading.Thread(target=work, name=f"drain-{options.shard}", daemon=True).start()
    with told_plainly():
        try:
            return report.result()
        except BaseException:
            stop.set()
            _await_end(report, queue.limits.termination_grace_seconds + STOP_MARGIN_SECONDS)
            raise
        finally:
            finish_delivering()


def drain_dispatched(context: dg.OpExecutionContext, queue: QueueResource, shard: str, dispatch_key: str) -> None:
    """Take a window that was just opened and drain its shard, as part of another job."""
    tell(context, drain_interruptibly(queue, _options(queue, shard, dispatch_key, context.run_id)))


def drain_request(shard: str, dispatch_key: str, *, job_name: str = "drain", again: bool = False) -> dg.RunRequest:
    """The Dagster run that is to take this window; `again` when an earlier one ended without taking it."""
    return dg.RunRequest(
        run_key=f"{dispatch_key}:again" if again else dispatch_key,
        job_name=job_name,
        partition_key=shard,
        run_config=dg.RunConfig(ops={"drain_shard": DrainConfig(dispatch_key=dispatch_key)}),
        tags={DISPATCH_KEY_TAG: dispatch_key, SHARD_TAG: shard},
    )


def tell(context: dg.OpExecutionContext, report: DrainReport) -> None:
    """Put the report on the run and, when it drained, on the ledger's asset; a drain that broke fails its run."""
    metadata = _metadata_of(report)
    if report.took_window:
        context.log_event(dg.AssetObservation(asset_key=FUNCTION_RUN, metadata=metadata))
    if report.end_reason in (EndReason.CRASHED, EndReason.FENCED):
        raise dg.Failure(description=report.sentence(), metadata=metadata)
    context.log.info(report.sentence())
    context.add_output_metadata(metadata)


def _drain_window(context: dg.OpExecutionContext, queue: QueueResource, dispatch_key: str | None) -> DrainReport:
    return drain_interruptibly(queue, _options(queue, context.partition_key, dispatch_key, context.run_id))


def _metadata_of(report: DrainReport) -> dict[str, dg.MetadataValue]:
    metadata: dict[str, dg.MetadataValue] = {
        "summary": dg.MetadataValue.md(report.sentence()),
        "took_window": dg.MetadataValue.bool(report.took_window),
        "ended_because": dg.MetadataValue.text(report.why_not or f"{report.end_reason}: {report.end_detail}"),
        "seconds": dg.MetadataValue.float(round(report.seconds, 3)),
        **{name: dg.MetadataValue.int(count) for name, count in report.counts.items()},
    }
    if report.function_run_id is not None:
        metadata["function_run_id"] = dg.MetadataValue.int(report.function_run_id)
    if report.successor_key is not None:
        metadata["successor"] = dg.MetadataValue.text(report.successor_key)
    return metadata


def _options(queue: QueueResource, shard: str, dispatch_key: str | None, dagster_run_id: str) -> DrainOptions:
    settings = queue.settings
    return DrainOptions(
        shard=shard,
        dispatch_key=dispatch_key,
        batch_size=settings.batch_size,
        concurrency=settings.concurrency,
        budget_seconds=settings.drain_budget_seconds,
        linger_seconds=settings.linger_seconds,
        shards=settings.shards,
        dagster_run_id=dagster_run_id,
    )


def _await_end(report: Future[DrainReport], seconds: float) -> None:
    try:
        report.exception(timeout=seconds)
    except TimeoutError:
        return
