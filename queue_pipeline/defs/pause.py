"""Pause and resume from the UI."""

import dagster as dg
from pydantic import Field

from queue_pipeline.defs.resources import ROLE_TAG, QueueResource, told_plainly
from queue_pipeline.domain.pause import HOURS_MAX, PauseScope
from queue_pipeline.engine import pause

_TAGS = {ROLE_TAG: "operator", "dagster/max_runtime": "3600"}
_WHO = "Who decides: your name. It is kept as evidence."
_WHY = "Why you do this; it is kept as evidence."
_NAME = "The workspace, kind or shard; leave it empty for everything."


class PauseConfig(dg.Config):
    """What is to be stopped, and for how long."""

    scope: PauseScope = Field(description="everything, shard, workspace or kind.")
    name: str = Field(default="", max_length=200, description=_NAME)
    hours: float | None = Field(
        default=None, gt=0, le=HOURS_MAX, description="End it by itself after so many hours; without, somebody must."
    )
    who: str = Field(min_length=2, max_length=200, description=_WHO)
    why: str = Field(min_length=3, max_length=500, description=_WHY)


class ResumeConfig(dg.Config):
    """What is to go on."""

    scope: PauseScope = Field(description="everything, shard, workspace or kind.")
    name: str = Field(default="", max_length=200, description=_NAME)
    who: str = Field(min_length=2, max_length=200, description=_WHO)
    why: str = Field(min_length=3, max_length=500, description=_WHY)


@dg.op(description="Stop starting jobs of a workspace, a kind, a shard or everything.")
def pause_one(context: dg.OpExecutionContext, config: PauseConfig, queue: QueueResource) -> None:
    """Pause it, and say so."""
    with told_plainly():
        begun = pause.pause(
            queue.db,
            config.scope.value,
            config.name,
            who=config.who,
            why=config.why,
            hours=config.hours,
            shards=len(queue.shards),
            limits=queue.limits,
        )
    context.log.info(pause.sentence(begun))
    context.add_output_metadata({"pause_id": begun.pause_id})


@dg.op(description="End a pause: what waited is due again in its old order.")
def resume_paused(context: dg.OpExecutionContext, config: ResumeConfig, queue: QueueResource) -> None:
    """End it, and say how long it lasted."""
    with told_plainly():
        ended = pause.resume(
            queue.db,
            config.scope.value,
            config.name,
            who=config.who,
            why=config.why,
            shards=len(queue.shards),
            limits=queue.limits,
        )
    context.log.info("Pause %d ended after %.0f s.", ended.pause_id, ended.lasted_seconds)
    context.add_output_metadata({"pause_id": ended.pause_id})


@dg.job(
    name="pause",
    description="Stop a workspace, a kind, a shard or everything. Jobs that run go on. Needs a name and a reason.",
    executor_def=dg.in_process_executor,
    tags=_TAGS,
)
def pause_job() -> None:
    """Pause something."""
    pause_one()


@dg.job(
    name="resume",
    description="End a pause. Needs a name and a reason.",
    executor_def=dg.in_process_executor,
    tags=_TAGS,
)
def resume_job() -> None:
    """Resume something."""
    resume_paused()
