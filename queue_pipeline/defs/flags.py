"""What an operator decides from the UI: flags, and messages in doubt."""

from enum import Enum

import dagster as dg
from pydantic import Field

from queue_pipeline.defs.resources import ROLE_TAG, QueueResource, told_plainly
from queue_pipeline.domain.flag import FLAGS
from queue_pipeline.domain.outbound import OutboundState
from queue_pipeline.engine import flags, reconcile

_WHY = "Why you do this; it is kept as evidence."
_WHO = "Who decides: your name. It is kept as evidence."
_TAGS = {ROLE_TAG: "operator", "dagster/max_runtime": "600"}


class Verdict(Enum):
    """What a person found out about a message in doubt."""

    SENT = "sent"
    RETRY = "retry"
    CANCELLED = "cancelled"


_STATE = {
    Verdict.SENT: OutboundState.SENT,
    Verdict.RETRY: OutboundState.READY,
    Verdict.CANCELLED: OutboundState.CANCELLED,
}


def _values_of_all() -> str:
    told = [f"{flag} {value}: {meaning}" for flag, spec in FLAGS.items() for value, meaning in spec.meanings.items()]
    return " ".join(told)


class FlipConfig(dg.Config):
    """Which flag, and which value it is to have."""

    flag: str = Field(description=f"One of: {', '.join(FLAGS)}.")
    value: str = Field(description=f"One of its values: {_values_of_all()}")
    who: str = Field(min_length=2, max_length=200, description=_WHO)
    why: str = Field(min_length=3, max_length=500, description=_WHY)


class DecideConfig(dg.Config):
    """Which message, and what was found out about it."""

    outbound_message_id: int = Field(ge=1, description="The message's number, as shown by alerts and `trace`.")
    verdict: Verdict = Field(
        description="sent: it arrived. retry: it did not arrive, send it. cancelled: it shall not be sent."
    )
    who: str = Field(min_length=2, max_length=200, description=_WHO)
    why: str = Field(min_length=3, max_length=500, description=_WHY)


@dg.op(description="Flip a flag for every process at once.")
def flip_one(context: dg.OpExecutionContext, config: FlipConfig, queue: QueueResource) -> None:
    """Flip it, and say what it means."""
    with told_plainly():
        state = flags.flip(queue.db, config.flag, config.value, who=config.who, why=config.why)
    context.log.info("%s is %s: %s", state.flag, state.value, state.meaning)
    context.add_output_metadata({"flag": state.flag, "value": state.value})


@dg.op(description="End the doubt about one message by a person's word.")
def decide_one(context: dg.OpExecutionContext, config: DecideConfig, queue: QueueResource) -> None:
    """Decide, and say how the message stands."""
    with told_plainly():
        number = config.outbound_message_id
        state = reconcile.decide(queue.db, number, to=_STATE[config.verdict], who=config.who, why=config.why)
    context.log.info("Message %d is %s.", number, state)
    context.add_output_metadata({"outbound_message_id": number, "state": str(state)})


@dg.job(
    name="flip_flag",
    description="Give a flag, such as sends.enabled, another value, at once and everywhere. Needs a name and a reason.",
    executor_def=dg.in_process_executor,
    tags=_TAGS,
)
def flip_flag_job() -> None:
    """Flip a flag."""
    flip_one()


@dg.job(
    name="decide_send",
    description="Say of a message that needs a person whether it arrived. Needs a name and a reason.",
    executor_def=dg.in_process_executor,
    tags=_TAGS,
)
def decide_send_job() -> None:
    """Decide about a message in doubt."""
    decide_one()
