"""Get a reply written: by the drafter in use, and by the template when that one cannot."""

from collections.abc import Callable
from typing import Any

from queue_pipeline import JobContext, Retry
from queue_pipeline.leads.ports import Drafted, DrafterFailed, DraftRequest, LeadServices
from queue_pipeline.leads.template_drafter import TemplateDrafter

#: Left of the job's time for everything after the draft.
_RESERVE_SECONDS = 30.0
_RETRY_SECONDS = 5.0
_RETRY_SECONDS_MAX = 30.0


def drafted(ctx: JobContext, use: LeadServices, request: Callable[[float], DraftRequest]) -> dict[str, Any]:
    """The draft of this job as JSON values, written once whatever dies afterwards.

    When the drafter fails, it is the template's, with `failure` (the code) and `why_no_model`. `request` is given the
    seconds that the drafter may take. Raises Retry, at most once per job, when the drafter may succeed within seconds.
    """
    seconds = max(1.0, min(use.draft_timeout_seconds, ctx.seconds_left() - _RESERVE_SECONDS))
    found: dict[str, Any] = ctx.step("draft", lambda: _written(ctx, use, request(seconds)))
    return found


def _written(ctx: JobContext, use: LeadServices, request: DraftRequest) -> dict[str, Any]:
    try:
        return _as_json(use.drafter.draft(request))
    except DrafterFailed as failed:
        if failed.worth_a_retry and _first_failure(ctx) and ctx.attempt < ctx.max_attempts:
            wait = min(failed.after_seconds or _RETRY_SECONDS, _RETRY_SECONDS_MAX)
            raise Retry(f"{failed.why}; trying once more", after_seconds=wait) from failed
        instead = _as_json(TemplateDrafter().draft(request))
        return {**instead, "failure": failed.code, "why_no_model": failed.why}


def _first_failure(ctx: JobContext) -> bool:
    return bool(ctx.step("first failure of the drafter", lambda: ctx.attempt) == ctx.attempt)


def _as_json(draft: Drafted) -> dict[str, Any]:
    return {
        "subject": draft.subject,
        "body": draft.body,
        "drafter": draft.drafter,
        "is_template": draft.is_template,
        "usage": None if draft.usage is None else dict(draft.usage),
        "failure": None,
        "why_no_model": None,
    }
