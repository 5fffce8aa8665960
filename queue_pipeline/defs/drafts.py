"""What a reviewer decides from the UI: a draft is sent, or put aside."""

import dagster as dg
from pydantic import Field

from queue_pipeline.defs.resources import ROLE_TAG, QueueResource, told_plainly
from queue_pipeline.engine import draft

_WHO = "Who decides: your name. It is kept as evidence."
_NUMBER = "The draft's number, as shown by the asset `lead_flow` and `queue-pipeline drafts`."
_TAGS = {ROLE_TAG: "operator", "dagster/max_runtime": "600"}


class ApproveConfig(dg.Config):
    """Which draft is to be sent."""

    draft_id: int = Field(ge=1, description=_NUMBER)
    who: str = Field(min_length=2, max_length=200, description=_WHO)
    accept_findings: bool = Field(
        default=False, description="Send it although the gates found something: you have read what they found."
    )


class RejectConfig(dg.Config):
    """Which draft is put aside."""

    draft_id: int = Field(ge=1, description=_NUMBER)
    who: str = Field(min_length=2, max_length=200, description=_WHO)
    why: str = Field(
        min_length=3, max_length=500, description="Why; it is kept as evidence, so name nobody and quote nothing."
    )


@dg.op(description="Release one draft: a job checks it once more and sends it once.")
def approve_one(context: dg.OpExecutionContext, config: ApproveConfig, queue: QueueResource) -> None:
    """Approve it, and name the job that sends it."""
    with told_plainly():
        queue.registry()
        enqueued = draft.approve(queue.db, config.draft_id, who=config.who, accept_findings=config.accept_findings)
    context.log.info("Draft %d is approved; job %d sends it.", config.draft_id, enqueued.job_id)
    context.add_output_metadata({"draft": config.draft_id, "job": enqueued.job_id})


@dg.op(description="Put one draft aside for good; its lead gets no reply to this message.")
def reject_one(context: dg.OpExecutionContext, config: RejectConfig, queue: QueueResource) -> None:
    """Reject it, and say whose message stays without a reply."""
    with told_plainly():
        found = draft.reject(queue.db, config.draft_id, who=config.who, why=config.why)
    context.log.info("Draft %d is rejected; the message of job %d gets no reply.", config.draft_id, found.job_id)
    context.add_output_metadata({"draft": config.draft_id, "job": found.job_id})


@dg.job(
    name="approve_draft",
    description=(
        "Send a draft that waits for review; read it first with `queue-pipeline drafts show`. Needs a name. The draft"
        " passes the gates once more before it leaves."
    ),
    executor_def=dg.in_process_executor,
    tags=_TAGS,
)
def approve_draft_job() -> None:
    """Approve a draft."""
    approve_one()


@dg.job(
    name="reject_draft",
    description="Put a draft that waits for review aside for good. Needs a name and a reason.",
    executor_def=dg.in_process_executor,
    tags=_TAGS,
)
def reject_draft_job() -> None:
    """Reject a draft."""
    reject_one()
