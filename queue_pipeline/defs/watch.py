"""The watch: every 5 s look for what stands still, start its recovery, and recover inline where nobody comes."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import dagster as dg

from queue_pipeline.defs.drain import drain_request, relief_job
from queue_pipeline.defs.recovery import recover_job, recover_request
from queue_pipeline.defs.resources import QueueResource
from queue_pipeline.defs.slots import end_fenced_runs, end_runs_for_nothing, withdraw_queued_runs
from queue_pipeline.domain.errors import QueuePipelineError
from queue_pipeline.domain.flag import ENFORCE
from queue_pipeline.engine.dagster_run import database_time
from queue_pipeline.engine.dispatch import open_relief_window
from queue_pipeline.engine.health import aged_shards
from queue_pipeline.engine.recovery import Finding, findings, recovery_mode, sweep

#: Bounds what one tick does itself, so that it ends well within the 60 s that Dagster gives it.
INLINE_MAX = 20


@dataclass
class Watch:
    """What one tick found and did: run requests, and sentences about the rest."""

    requests: list[dg.RunRequest] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    first_seen: dict[str, float] = field(default_factory=dict)


@dg.sensor(
    jobs=[recover_job, relief_job],
    minimum_interval_seconds=2,  # see dispatch_sensor
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=(
        "Every 5 s: start recovery for dead, stale and orphaned work and relief for an aged queue, end Dagster runs"
        " that hold a slot for nothing, and recover inline what the recovery job did not come to."
    ),
)
def watch_sensor(context: dg.SensorEvaluationContext, queue: QueueResource) -> dg.SensorResult:
    """One look at the queue."""
    try:
        watch = look(queue, context.instance, first_seen=_read(context.cursor))
    except QueuePipelineError as error:
        return dg.SensorResult(skip_reason=str(error), cursor=context.cursor)
    for sentence in watch.said if watch.requests else ():
        context.log.info(sentence)  # a tick that requests runs has no room for a reason
    return dg.SensorResult(
        run_requests=watch.requests,
        skip_reason=None if watch.requests else " ".join(watch.said),
        cursor=json.dumps(watch.first_seen),
    )


def look(queue: QueueResource, instance: dg.DagsterInstance, *, first_seen: Mapping[str, float]) -> Watch:
    """Find, decide and act once. `first_seen` holds the findings of earlier ticks, by key, in seconds since 1970."""
    watch = Watch()
    mode = recovery_mode(queue.db)
    found = findings(queue.db, limits=queue.limits) if mode == ENFORCE else []
    _start_recovery(watch, queue, instance, found, first_seen)
    _recover_inline(watch, queue, instance, found, first_seen)
    _start_relief(watch, queue)
    watch.said += end_runs_for_nothing(instance, queue)
    watch.said += withdraw_queued_runs(instance, queue)
    leave = _leave_to_the_recovery_job if mode == ENFORCE else None
    swept = sweep(queue.db, by="watch sensor", act_on=leave, limits=queue.limits)  # resets the dead man's switch
    watch.said += [f"{decision.finding.sentence} {decision.detail}." for decision in swept.decisions]
    if not watch.requests and not watch.said:
        watch.said.append("Nothing stands still, and no shard's queue age is breached.")
    return watch


def _leave_to_the_recovery_job(_: Finding) -> bool:
    return False


def _start_recovery(
    watch: Watch,
    queue: QueueResource,
    instance: dg.DagsterInstance,
    found: Sequence[Finding],
    first_seen: Mapping[str, float],
) -> None:
    now = database_time(queue.db).timestamp() if found else 0.0
    watch.first_seen = {finding.key: first_seen.get(finding.key, now) for finding in found}
    new = [finding for finding in found if finding.key not in first_seen]
    if new and not _is_recovery_queued(instance):
        watch.requests.append(recover_request(new))


def _recover_inline(
    watch: Watch,
    queue: QueueResource,
    instance: dg.DagsterInstance,
    found: Sequence[Finding],
    first_seen: Mapping[str, float],
) -> None:
    """The last resort: what was found long ago and is still there is recovered here, because no recovery run came."""
    waiting = [finding for finding in found if finding.key in first_seen]
    now = database_time(queue.db).timestamp() if waiting else 0.0
    late = [f for f in waiting if now - first_seen[f.key] > queue.limits.inline_recovery_after_seconds]
    for finding in late[:INLINE_MAX]:
        decisions = sweep(queue.db, by="watch sensor", only=finding.key, limits=queue.limits).decisions
        watch.said += [f"Recovered inline, as no recovery run came: {finding.sentence} {d.detail}" for d in decisions]
        watch.said += end_fenced_runs(instance, decisions)
    watch.said += [f"Recovery was requested: {finding.sentence}" for finding in waiting if finding not in late]


def _start_relief(watch: Watch, queue: QueueResource) -> None:
    for shard, age in sorted(aged_shards(queue.db, limits=queue.limits, shards=queue.shards).items()):
        relief = open_relief_window(queue.db, shard, limits=queue.limits)
        if relief.dispatch_key is not None:
            watch.requests.append(drain_request(shard, relief.dispatch_key, job_name="relief"))
        watch.said.append(f"The oldest job of {shard} has waited {age:.0f} s: {relief.why}.")


def _is_recovery_queued(instance: dg.DagsterInstance) -> bool:
    """Where every slot is taken, more runs of the same would only pile up; inline recovery comes to their findings."""
    queued = dg.RunsFilter(job_name="recover", statuses=[dg.DagsterRunStatus.QUEUED])
    return instance.get_runs_count(queued) > 0


def _read(cursor: str | None) -> dict[str, float]:
    try:
        known = json.loads(cursor or "{}")
    except ValueError:
        return {}
    return {key: float(seen) for key, seen in known.items()} if isinstance(known, dict) else {}
