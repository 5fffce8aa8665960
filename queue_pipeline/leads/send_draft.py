"""The handler of `lead.send_draft`: an approved draft passes the gates once more, and leaves at most once."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from queue_pipeline import Cancel, InvalidInput, JobContext, PermanentFailure, handler
from queue_pipeline.leads.inbound_lead import InboundLead
from queue_pipeline.leads.ports import LeadServices, services
from queue_pipeline.leads.reply import circumstances, codes_of, findings_in, send_reply

KIND = "lead.send_draft"


class DraftToSend(BaseModel):
    """Which approval of which draft, and the codes of the findings that its reviewer took responsibility for."""

    model_config = ConfigDict(extra="forbid")

    draft_id: Annotated[int, Field(ge=1)]
    accepted: Annotated[list[str], Field(max_length=50)] = []
    approved_at: AwareDatetime | None = None


@handler(KIND, payload=DraftToSend, deadline_seconds=90, max_attempts=5)
def on_approved(ctx: JobContext, payload: DraftToSend) -> None:
    """Send an approved draft, or give it back to its reviewers with the reason."""
    use = services()
    draft = use.book.draft(draft_id=payload.draft_id)
    if draft is None:
        raise PermanentFailure(f"There is no draft {payload.draft_id}.")
    if draft["state"] == "SENT":
        return
    if draft["state"] != "APPROVED":
        raise Cancel(f"Draft {payload.draft_id} is {draft['state']}; only an approved draft is sent.")
    if payload.approved_at not in (None, draft["decided_at"]):
        ctx.progress("it was given back and approved anew meanwhile; the job of that approval sends it")
        return
    _send(ctx, use, draft, payload.accepted)
    use.notifier.deliver()


def _send(ctx: JobContext, use: LeadServices, draft: Mapping[str, Any], accepted: list[str]) -> None:
    message = _message(use, draft["job_id"])
    if message is None:
        why = "the message that it answers is no longer kept, so the gates cannot judge it; answer by hand"
        _give_back(ctx, use, draft, "message_not_kept", why)
        return
    findings = ctx.step("gates", lambda: _findings(use, draft, message))
    codes = [code for code in codes_of(findings) if code not in accepted]
    if codes:
        why = f"the gates found {', '.join(codes)} when it was about to be sent"
        _give_back(ctx, use, {**draft, "findings": findings}, f"gate_{codes[0]}", why)
        return
    try:
        send_reply(ctx, use, draft, message)
    except InvalidInput as error:
        _give_back(ctx, use, draft, "cannot_be_sent", f"it cannot be sent as it is (its {error.field})")


def _message(use: LeadServices, job_id: int) -> InboundLead | None:
    stored = use.book.message_of(job_id=job_id)
    try:
        return None if stored is None else InboundLead.model_validate(stored)
    except ValidationError:
        return None


def _findings(use: LeadServices, draft: Mapping[str, Any], message: InboundLead) -> list[dict[str, Any]]:
    around = circumstances(
        use,
        message,
        lead_id=draft["lead_id"],
        job_id=draft["job_id"],
        came_at=draft["created_at"],
        now=use.book.now(),
    )
    return findings_in(draft["body"], around, use, drafted_at=draft["created_at"])


def _give_back(
    ctx: JobContext,
    use: LeadServices,
    draft: Mapping[str, Any],
    code: str,
    why: str,
) -> None:
    number = draft["draft_id"]
    use.book.back_to_review(
        draft_id=number,
        findings=draft["findings"],
        code=code,
        reason=f"draft {number} was approved, but {why}; it waits for review again",
        notice=f"{ctx.workspace}: draft {number} was approved, but was not sent: {why}. It waits for review again.",
        key=f"draft:{number}:job:{ctx.job_id}",
    )
