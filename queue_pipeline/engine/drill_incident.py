"""The incident that started this project, staged: leads keep arriving while the only drain of their shard hangs."""

import time
from collections.abc import Callable
from typing import Any

from queue_pipeline.domain.dispatch_window import WindowSource
from queue_pipeline.domain.drill import WORKSPACE
from queue_pipeline.domain.gap import Cause
from queue_pipeline.domain.trace import Trace
from queue_pipeline.engine.dispatch import open_due_windows
from queue_pipeline.engine.drain import request_stop_all
from queue_pipeline.engine.drill_stage import DrillFailed, LeadReport, Stage
from queue_pipeline.engine.inbound import Delivery, accept
from queue_pipeline.engine.recovery import sweep
from queue_pipeline.engine.trace import trace
from queue_pipeline.store import drill as store

_DISPATCH_EVERY_SECONDS = 3.0
_BY = "the drill"


def stage_incident(stage: Stage, *, deliver: Callable[[], object], show: Callable[[Trace], None]) -> None:
    """Freeze the only drain of the shard, let two leads wait behind it, and see that both end visibly.

    One expects a reply, the other is an automatic answer and is skipped on purpose: the two causes of silence that the
    original incident had. `deliver` delivers notifications that wait; `show` gets the trace of each lead. Raises
    DrillFailed.
    """
    stage.say("4. The incident: leads keep arriving while the only drain of their shard hangs (frozen with SIGSTOP).")
    frozen = _freeze_the_only_drain(stage)
    began = time.monotonic()
    jobs = _leads_arrive(stage, frozen.function_run_id)
    _wait_for_recovery(stage, frozen)
    stage.drain()
    stage.until(lambda: _ended_visibly(stage, jobs, deliver), "both leads to end visibly, with their notifications")
    stage.until(stage.all_done, "the job that the frozen drain held to run to its end")
    stage.recovered("freeze", began, "Both leads have ended, and people were told.")
    _explain(stage, jobs, frozen.function_run_id, show)


def _freeze_the_only_drain(stage: Stage) -> Any:
    stage.stop_drains()
    request_stop_all(stage.db, "a drill freezes the only drain of this shard", shard=stage.shard)
    stage.until(lambda: not _living(stage), "the other drains of the shard to end")
    drain = stage.drain(short_lease=True)
    stage.until(lambda: [run for run in _living(stage) if run.pid == drain.pid], "the drain to begin")
    (job_id,) = stage.enqueue("drill.freeze", [{}])
    stage.until(lambda: _is_sampled(stage, job_id), "the job in the drain's hands to be seen in its step")
    (run,) = [run for run in _living(stage) if run.pid == drain.pid]
    drain.freeze()
    stage.say(f"   Process {drain.pid} stands still. Its function run {run.function_run_id} holds job {job_id}.")
    return run


def _leads_arrive(stage: Stage, function_run_id: int) -> list[int]:
    """One lead that expects a reply and one whose message a program wrote; gives their jobs."""
    messages: list[dict[str, Any]] = [
        {"subject": "Your offer", "body": "Hello, we are a bakery with twelve seats. What do you charge for a year?"},
        {"subject": "Automatic reply: Your offer", "body": "I am out of office until Monday.", "automatic": True},
    ]
    deliveries = []
    for number, message in enumerate(messages, start=1):
        key = f"drill-{function_run_id}-{number}"
        address = f"{key}@example.com"
        payload = {"provider": "drill", "provider_event_id": key, "from_address": address, **message}
        deliveries.append(Delivery(WORKSPACE, "drill", payload, dedupe_key=key))
    answers = accept(stage.db, deliveries)
    jobs = [answer.job_id for answer in answers if answer.job_id is not None]
    if len(jobs) != len(messages):
        raise DrillFailed(f"A lead was refused: {'; '.join(answer.reason for answer in answers)}")
    stage.report.jobs += len(jobs)
    stage.say(f"   Two leads write: job {jobs[0]} expects a reply, job {jobs[1]} is an automatic answer.")
    return jobs


def _wait_for_recovery(stage: Stage, frozen: Any) -> None:
    """Dispatch as cron does, and sweep as the cron endpoint does, until somebody has recovered the frozen run."""
    asked_at = 0.0
    key = f"run:{frozen.function_run_id}:{frozen.fence}"

    def recovered() -> bool:
        nonlocal asked_at
        if time.monotonic() - asked_at >= _DISPATCH_EVERY_SECONDS:
            asked_at = time.monotonic()
            for answer in open_due_windows(stage.db, [stage.shard], source=WindowSource.CRON, window_seconds=60):
                stage.say(f"   Dispatch: {answer.why}.")
        sweep(stage.db, by=_BY, only=key)
        return bool(stage.decisions(frozen.pid))

    stage.until(recovered, "somebody to recover the frozen function run")
    for decision in stage.decisions(frozen.pid):
        stage.say(f"   Recovered by {decision.swept_by} ({decision.signal}): {decision.detail}")


def _ended_visibly(stage: Stage, jobs: list[int], deliver: Callable[[], object]) -> bool:
    deliver()
    with stage.db.begin() as tx:
        ends = store.lead_ends(tx, jobs)
    return len(ends) == len(jobs) and all(end.notified for end in ends)


def _explain(stage: Stage, jobs: list[int], function_run_id: int, show: Callable[[Trace], None]) -> None:
    with stage.db.begin() as tx:
        ends = {end.job_id: end for end in store.lead_ends(tx, jobs)}
    for job_id in jobs:
        (story,) = trace(stage.db, f"job:{job_id}")
        show(story)
        gap = story.longest_gap
        end = ends[job_id]
        stage.report.leads.append(
            LeadReport(
                job_id=job_id,
                lead_id=story.lead_id,
                outcome=end.outcome,
                customer=story.customer,
                notified=end.notified,
                longest_gap_seconds=round(gap.seconds, 1) if gap is not None else 0.0,
                longest_gap_cause=gap.cause if gap is not None else "",
                longest_gap_because=gap.because if gap is not None else "",
            )
        )
    answered, skipped = stage.report.leads
    stage.report.explained = (
        all(_names(lead, function_run_id) for lead in stage.report.leads)
        and answered.outcome not in ("skipped", "failed")
        and skipped.outcome == "skipped"
    )
    for lead in stage.report.leads:
        stage.say(f"   Job {lead.job_id} ended {lead.outcome.replace('_', ' ')}: {lead.customer}.")
        stage.say(f"   Its longest gap, {lead.longest_gap_seconds:.1f} s: {lead.longest_gap_because}.")
    stage.say(f"   Both stay on record: `queue-pipeline trace {jobs[0]}`.")
    if not stage.report.explained:
        stage.say("   The traces do not explain the incident as it was staged.")


def _names(lead: LeadReport, function_run_id: int) -> bool:
    """Whether the trace of a lead blames the function run that was frozen."""
    hung = lead.longest_gap_cause == Cause.HUNG_FUNCTION_RUN
    return hung and f"function run {function_run_id} of" in lead.longest_gap_because


def _living(stage: Stage) -> list[Any]:
    with stage.db.begin() as tx:
        return store.living(tx, shard=stage.shard)


def _is_sampled(stage: Stage, job_id: int) -> bool:
    with stage.db.begin() as tx:
        return store.is_sampled(tx, job_id)
