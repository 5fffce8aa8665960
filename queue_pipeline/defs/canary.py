"""What an operator does about a canary from the UI: start, hold, resume, promote, abort, and answer a rollback."""

from collections.abc import Callable

import dagster as dg
from pydantic import Field

from queue_pipeline.defs.resources import ROLE_TAG, QueueResource, told_plainly
from queue_pipeline.domain.canary import CanaryContract, CanaryPlan
from queue_pipeline.domain.flag import FLAGS
from queue_pipeline.engine import canary as engine
from queue_pipeline.store.canary import Canary
from queue_pipeline.store.session import Database

_TAGS = {ROLE_TAG: "operator", "dagster/max_runtime": "600"}
_CONTRACT = CanaryContract()
_FLAGS = ", ".join(flag for flag, spec in FLAGS.items() if spec.per_workspace)


class DecisionConfig(dg.Config):
    """Who decides, and why."""

    who: str = Field(min_length=2, max_length=200, description="Who decides: your name. It is kept as evidence.")
    why: str = Field(min_length=3, max_length=500, description="Why you do this; it is kept as evidence.")


class StartConfig(DecisionConfig):
    """What is tried, on whom, and for how long."""

    candidate: dict[str, str] = Field(
        description=f"Flags and their candidate values, such as drafts.auto_send: on. Flags that can differ: {_FLAGS}."
    )
    share: float = Field(default=0.0, ge=0, le=100, description="Percent of all workspaces.")
    workspaces: list[str] = Field(default=[], description="Besides, these workspaces.")
    warm_up_seconds: int = Field(
        default=_CONTRACT.warm_up_seconds, ge=0, description="Seconds before the window, in which rules only observe."
    )
    window_seconds: int = Field(default=_CONTRACT.window_seconds, ge=5, description="Seconds that are judged.")
    samples_min: int = Field(default=_CONTRACT.samples_min, ge=1, description="Samples that the window must have.")
    started_min: int = Field(default=_CONTRACT.started_min, ge=0, description="Jobs that must have started in it.")


class PromoteConfig(DecisionConfig):
    """Who promotes it, why, and whether in spite of its verdict."""

    force: bool = Field(default=False, description="In spite of a verdict that is not PASS; that is kept.")


@dg.op(description="Begin a canary: candidate values of flags for some workspaces, beside all others.")
def begin_canary(context: dg.OpExecutionContext, config: StartConfig, queue: QueueResource) -> None:
    """Begin it, and say in what it is less than the contract."""
    contract = CanaryContract(
        warm_up_seconds=config.warm_up_seconds,
        window_seconds=config.window_seconds,
        samples_min=config.samples_min,
        started_min=config.started_min,
    )
    plan = CanaryPlan(config.candidate, config.share, tuple(config.workspaces), contract)
    with told_plainly():
        begun = engine.start(queue.db, plan, who=config.who, why=config.why)
    for sentence in contract.shortened():
        context.log.warning("Shorter than the contract: %s. A decision about it is never GO.", sentence)
    _tell(context, begun)


@dg.op(description="Make the candidate values everybody's. The window must be over and the verdict PASS.")
def promote_one(context: dg.OpExecutionContext, config: PromoteConfig, queue: QueueResource) -> None:
    """Promote it, or say what keeps it from passing."""
    with told_plainly():
        promoted = engine.promote(queue.db, who=config.who, why=config.why, force=config.force, limits=queue.limits)
    _tell(context, promoted)


def _tell(context: dg.OpExecutionContext, canary: Canary) -> None:
    context.log.info("Canary %d is %s.", canary.canary_id, canary.state)
    context.add_output_metadata({"canary_id": canary.canary_id, "state": canary.state})


def _decision(name: str, description: str, decide: Callable[[Database, str, str], Canary]) -> dg.OpDefinition:
    """An op that moves the canary on."""

    @dg.op(name=name, description=description)
    def decision(context: dg.OpExecutionContext, config: DecisionConfig, queue: QueueResource) -> None:
        with told_plainly():
            moved = decide(queue.db, config.who, config.why)
        _tell(context, moved)

    return decision


@dg.op(description="Take back what the latest rollback changed of the flags. The canary stays rolled back.")
def undo_one(context: dg.OpExecutionContext, config: DecisionConfig, queue: QueueResource) -> None:
    """Take it back, and say which flags were flipped."""
    with told_plainly():
        undone = engine.undo(queue.db, who=config.who, why=config.why)
    flipped = ", ".join(f"{change['flag']} is {change['from_value']} again" for change in undone.changes)
    context.log.info("Rollback %d is undone: %s.", undone.rollback_id, flipped or "no flag was flipped")
    context.add_output_metadata({"rollback_id": undone.rollback_id, "flipped": flipped or "none"})


@dg.op(description="Take note of the latest rollback, so that its alert ends. Nothing is changed.")
def acknowledge_one(context: dg.OpExecutionContext, config: DecisionConfig, queue: QueueResource) -> None:
    """Take note of it."""
    with told_plainly():
        noted = engine.acknowledge(queue.db, who=config.who, why=config.why)
    context.log.info("Rollback %d is noted.", noted.rollback_id)
    context.add_output_metadata({"rollback_id": noted.rollback_id})


def _job(name: str, description: str, op: dg.OpDefinition) -> dg.JobDefinition:
    graph = dg.GraphDefinition(name=name, node_defs=[op])
    return graph.to_job(
        name=name,
        description=f"{description} Needs a name and a reason.",
        executor_def=dg.in_process_executor,
        tags=_TAGS,
    )


canary_jobs = [
    _job(
        "start_canary",
        "Try candidate values of flags on some workspaces for a warm-up and a window; rules turn it back if they must.",
        begin_canary,
    ),
    _job(
        "hold_canary",
        "Let the canary's time stand still; candidate values stay, samples and rules go on.",
        _decision("hold_one", "Hold it.", lambda db, who, why: engine.hold(db, who=who, why=why)),
    ),
    _job(
        "resume_canary",
        "End a hold; the time that it lasted does not count.",
        _decision("resume_one", "Go on with it.", lambda db, who, why: engine.resume(db, who=who, why=why)),
    ),
    _job("promote_canary", "Make the candidate values everybody's, when the canary's verdict is PASS.", promote_one),
    _job(
        "abort_canary",
        "End the canary; its workspaces have the values of all others again.",
        _decision("abort_one", "End it.", lambda db, who, why: engine.abort(db, who=who, why=why)),
    ),
    _job("undo_rollback", "Take back what the latest rollback changed of the flags, such as sends.enabled.", undo_one),
    _job("acknowledge_rollback", "Take note of the latest rollback; nothing is changed.", acknowledge_one),
]
