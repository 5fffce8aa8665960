"""The handlers of the drill: one works, one fails, two hang on their first attempt. They touch nothing outside."""

import threading
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from queue_pipeline import JobContext, PermanentFailure, handler


class DrillWork(BaseModel):
    """How long one piece of work takes, in seconds."""

    model_config = ConfigDict(extra="forbid")

    seconds: Annotated[float, Field(ge=0, le=60)] = 1.0


class DrillFail(BaseModel):
    """Whether this job fails for good."""

    model_config = ConfigDict(extra="forbid")

    fails: bool


@handler("drill.fail", payload=DrillFail, deadline_seconds=60, max_attempts=1, expected_seconds=0.1)
def fail(_ctx: JobContext, payload: DrillFail) -> None:
    """Fail for good, or succeed, as it was told."""
    if payload.fails:
        raise PermanentFailure("the drill wants it to fail")


@handler("drill.work", payload=DrillWork, deadline_seconds=60, max_attempts=10)
def work(ctx: JobContext, payload: DrillWork) -> None:
    """Take its time, and stop early when asked to."""
    left = payload.seconds
    while left > 0 and not ctx.cancelled():
        threading.Event().wait(min(0.1, left))
        left -= 0.1
    ctx.check()


@handler("drill.hang", deadline_seconds=8, max_attempts=3, expected_seconds=1.0)
def hang(ctx: JobContext, _payload: object) -> None:
    """On the first attempt never return, as a socket without a timeout would; later attempts succeed."""
    if ctx.attempt > 1:
        return
    ctx.progress("waiting for an answer that never comes")
    threading.Event().wait()


@handler("drill.freeze", deadline_seconds=60, max_attempts=5, expected_seconds=0.5)
def freeze(ctx: JobContext, _payload: object) -> None:
    """On the first attempt wait in a step, so that its process can be frozen there; later attempts succeed."""
    if ctx.attempt == 1:
        ctx.step("look up free times", lambda: _wait(ctx))


def _wait(ctx: JobContext) -> None:
    ctx.progress("waiting for the calendar's answer")
    threading.Event().wait(55)
    ctx.check()
