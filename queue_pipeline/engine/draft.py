"""Review drafts: read, edit, approve, reject. Each decision keeps who and when; an approved draft leaves once."""

from collections.abc import Mapping
from typing import Any, NoReturn

from queue_pipeline.domain.errors import InvalidInput, NotFound
from queue_pipeline.engine.enqueue import Enqueued, enqueue
from queue_pipeline.store import draft as store
from queue_pipeline.store import lead
from queue_pipeline.store.draft import Draft
from queue_pipeline.store.session import Database, Tx

SEND_KIND = "lead.send_draft"
WAITING = "FOR_REVIEW"
STATES = (WAITING, "APPROVED", "SENT", "REJECTED", "NOT_SENT")
BODY_MAX = 20_000


def drafts(database: Database, *, workspace: str | None, state: str | None, limit: int) -> list[Draft]:
    """Drafts, newest first."""
    with database.begin() as tx:
        return store.drafts(tx, workspace=workspace, state=state, limit=limit)


def draft(database: Database, draft_id: int) -> Draft:
    """One draft. Raises NotFound."""
    with database.begin() as tx:
        return _get(tx, draft_id)


def message_of(database: Database, of: Draft) -> Mapping[str, Any] | None:
    """The message that a draft answers, as its job got it; None once the job was pruned."""
    with database.begin() as tx:
        found = lead.message_of(tx, of.job_id)
    return found if isinstance(found, Mapping) else None


def codes_of(found: Draft) -> list[str]:
    """What the gates found in a draft, each code once."""
    return sorted({str(finding["code"]) for finding in found.findings})


def approve(database: Database, draft_id: int, *, who: str, accept_findings: bool = False) -> Enqueued:
    """Release a draft: a job sends it after it has passed the gates once more, with the time as it is then.

    `accept_findings` says that the reviewer has read the findings on record and takes responsibility for them.
    Raises NotFound when it does not wait for review, InvalidInput when it may not leave.
    """
    _signed(who)
    with database.begin() as tx:
        found = _get(tx, draft_id)
        if found.state != WAITING:
            _decided(found)
        codes = codes_of(found)
        _refuse_what_may_not_leave(found, codes, accept_findings=accept_findings)
        if not store.decide(
            tx, draft_id, from_state=WAITING, to_state="APPROVED", who=who.strip(), decision=_decision(codes)
        ):
            _decided(_get(tx, draft_id))
        approved_at = _get(tx, draft_id).decided_at
        assert approved_at is not None
        lead.change_outcome(
            tx,
            draft_id=draft_id,
            from_outcomes=["drafted_for_review", "needs_action"],
            outcome="sending",
            code="approved",
            reason=f"draft {draft_id} was approved by {who.strip()} and is about to be sent",
        )
        return enqueue(
            tx,
            SEND_KIND,
            workspace=found.workspace,
            payload={
                "draft_id": draft_id,
                "accepted": codes if accept_findings else [],
                "approved_at": approved_at.isoformat(),
            },
            # One job for each approval: the job of an earlier one, which gave the draft back, may not have ended yet.
            dedupe_key=f"draft:{draft_id}:{approved_at.isoformat()}",
        )


def reject(database: Database, draft_id: int, *, who: str, why: str) -> Draft:
    """Put a draft aside for good. Raises NotFound when it does not wait for review."""
    _signed(who)
    if not why.strip():
        raise InvalidInput("why", why, "Say why; it is kept as evidence.")
    with database.begin() as tx:
        _get(tx, draft_id)
        if not store.decide(
            tx, draft_id, from_state=WAITING, to_state="REJECTED", who=who.strip(), decision=why.strip()
        ):
            _decided(_get(tx, draft_id))
        found = _get(tx, draft_id)
        lead.change_outcome(
            tx,
            draft_id=draft_id,
            from_outcomes=["drafted_for_review", "needs_action"],
            outcome="skipped",
            code="draft_rejected",
            reason=f"draft {draft_id} was rejected by {who.strip()}: {why.strip()}",
        )
        lead.notify(
            tx,
            workspace=found.workspace,
            job_id=found.job_id,
            dedupe_key=f"draft:{draft_id}:rejected",
            text=f"{found.workspace}: draft {draft_id} was rejected; lead {found.lead_id or 'unknown'} gets no reply.",
        )
        return found


def edit(database: Database, draft_id: int, *, who: str, body: str, subject: str | None = None) -> Draft:
    """Replace the text of a draft that waits for review. The gates look at it when it is approved.

    Raises NotFound when it does not wait for review, InvalidInput for a text that cannot be sent.
    """
    _signed(who)
    if not body.strip() or len(body) > BODY_MAX or "\x00" in body:
        raise InvalidInput("body", f"{len(body)} characters", f"Give 1 to {BODY_MAX} characters, none of them NUL.")
    if subject is not None and ("\x00" in subject or len(subject.splitlines()) > 1):
        raise InvalidInput("subject", subject, "Give one line.")
    with database.begin() as tx:
        _get(tx, draft_id)
        if not store.edit(tx, draft_id, subject=subject, body=body, drafter=f"edited by {who.strip()}"):
            _decided(_get(tx, draft_id))
        return _get(tx, draft_id)


def _get(tx: Tx, draft_id: int) -> Draft:
    found = store.get(tx, draft_id)
    if found is None:
        raise NotFound("draft_id", draft_id, "There is no such draft; `queue-pipeline drafts` lists them.")
    return found


def _decided(found: Draft) -> NoReturn:
    by = f" by {found.decided_by} on {found.decided_at:%Y-%m-%d %H:%M} UTC" if found.decided_at else ""
    raise NotFound("draft_id", found.draft_id, f"The draft is {found.state} already{by}; nothing was changed.")


def _decision(codes: list[str]) -> str:
    return f"approved despite {', '.join(codes)}" if codes else "approved"


def _refuse_what_may_not_leave(found: Draft, codes: list[str], *, accept_findings: bool) -> None:
    if found.address is None:
        raise InvalidInput("draft_id", found.draft_id, "Its message names no address to answer; reject the draft.")
    if found.opted_out_at is not None:
        raise InvalidInput(
            "draft_id",
            found.draft_id,
            f"Lead {found.lead_id} asked not to be contacted on {found.opted_out_at:%Y-%m-%d}; nothing may be sent.",
        )
    if codes and not accept_findings:
        raise InvalidInput(
            "draft_id",
            found.draft_id,
            f"The gates found {', '.join(codes)}. Edit the draft, or approve it with --accept-findings.",
        )


def _signed(who: str) -> None:
    if not who.strip():
        raise InvalidInput("who", who, "Say who decides; it is kept as evidence.")
