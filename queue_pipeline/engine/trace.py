"""Tell what happened to a job, from its arrival to what the customer saw."""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from queue_pipeline.domain.errors import InvalidInput, NotFound
from queue_pipeline.domain.trace import Trace, TraceEvent, in_order
from queue_pipeline.domain.visible_result import visible_result
from queue_pipeline.engine.trace_lead import LeadSide, lead_side
from queue_pipeline.engine.trace_queue import queue_side
from queue_pipeline.store import trace as store
from queue_pipeline.store.session import Database, Tx

JOBS_MAX = 20

_NUMBERED = re.compile(r"(?P<what>job|lead)[\s:#]*(?P<number>\d{1,18})", re.IGNORECASE)
_TELEPHONE = re.compile(r"\+?[\d\s().\-/]{6,30}")
_NOT_FOUND = "No job has this id, idempotency key, event id or address."


def trace(db: Database, query: str, *, limit: int = JOBS_MAX) -> list[Trace]:
    """The stories of the jobs that `query` means, in the order in which they began; the newest `limit` of them.

    `query` is a job's number (`12` or `job:12`), a lead's (`lead:12`), an idempotency key, a Message-ID or a provider's
    event id, or a lead's e-mail address or telephone number. Raises InvalidInput for an empty query, NotFound when
    nothing is known under it.
    """
    wanted = query.strip()
    if not wanted or "\x00" in wanted:
        raise InvalidInput("QUERY", query, "Give a job id, an idempotency key, a Message-ID or a lead's address.")
    with db.begin() as tx:
        found = _meant(tx, wanted, limit)
        if not found:
            raise NotFound("QUERY", query, _NOT_FOUND)
        return _stories(tx, found)


def is_number(query: str) -> bool:
    """Whether a query is the number of a job or a lead, and so names nobody."""
    return query.strip().isdecimal() or _NUMBERED.fullmatch(query.strip()) is not None


def _meant(tx: Tx, query: str, limit: int) -> list[int]:
    numbered = _NUMBERED.fullmatch(query)
    if numbered is not None and numbered["what"].lower() == "lead":
        return store.jobs_of_lead(tx, int(numbered["number"]), limit=limit)
    number = numbered["number"] if numbered is not None else query
    bare = query.strip("<>")
    return store.jobs_meant(
        tx,
        number=int(number) if number.isdecimal() and len(number) <= 18 else None,
        text=query,
        names=sorted({query, bare, f"<{bare}>"}),
        addresses=_addresses(query),
        limit=limit,
    )


def _addresses(query: str) -> list[str]:
    """The spellings under which an address may be on record; a telephone number with and without its plus sign."""
    if _TELEPHONE.fullmatch(query) is None:
        return [query.lower()]
    digits = re.sub(r"\D", "", query)
    return sorted({query.lower(), digits, f"+{digits}"})


def _stories(tx: Tx, found: Sequence[int]) -> list[Trace]:
    """One story for each job, but for those that are part of another's."""
    jobs_of = {job_id: store.jobs_of_story(tx, job_id) for job_id in found}
    parts = {part for job_id, jobs in jobs_of.items() for part in jobs if part != job_id}
    return [_story(tx, job_id, jobs_of[job_id]) for job_id in sorted(found) if job_id not in parts]


def _story(tx: Tx, job_id: int, job_ids: Sequence[int]) -> Trace:
    now = store.now(tx)
    job = store.job(tx, job_id)
    lead = lead_side(tx, job_ids, job_id, job, now)
    events, stretches = lead.events, lead.stretches
    open_still = lead.under_way
    for part_id in job_ids:
        part = job if part_id == job_id else store.job(tx, part_id)
        told, why = queue_side(tx, part, now)
        events += told if part_id == job_id else [_of(part_id, event) for event in told]
        stretches += why
        open_still = open_still or (part is not None and part.finished_at is None)
    if open_still:
        events.append(TraceEvent(now, "now"))
    customer = visible_result(lead.visible)
    result, said = _result(job, lead)
    return Trace(
        job_id=job_id,
        kind=job.kind if job is not None else "",
        workspace=job.workspace if job is not None else lead.workspace,
        lead_id=lead.lead_id,
        state=job.state if job is not None else "PRUNED",
        result=result,
        result_said=said,
        customer=customer.sentence,
        customer_said=customer.said,
        events=in_order(events, stretches),
    )


def _of(job_id: int, event: TraceEvent) -> TraceEvent:
    return replace(event, detail=f"{event.detail} (job {job_id})" if event.detail else f"job {job_id}")


def _result(job: Any, lead: LeadSide) -> tuple[str, str]:
    outcome = lead.visible.outcome
    if outcome is not None:
        return outcome.replace("_", " "), lead.visible.reason or ""
    if job is None:
        return "the job was pruned", ""
    state = f"{job.state} after {job.attempt} of {job.max_attempts} attempts"
    return state, job.last_error.splitlines()[0] if job.last_error and job.state != "SUCCEEDED" else ""
