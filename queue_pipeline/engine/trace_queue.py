"""The queue's side of a job's story: its attempts, and what it waited for before each of them."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from queue_pipeline.domain.attempt_time import AttemptFacts, attempt_stretches, between, scheduled
from queue_pipeline.domain.gap import Stretch
from queue_pipeline.domain.queue_wait import HeldJob, RunFacts, WaitFacts, WindowFacts, silence, waits
from queue_pipeline.domain.trace import TraceEvent, last_frame
from queue_pipeline.store import queue_wait as store
from queue_pipeline.store import trace as trace_store
from queue_pipeline.store.session import Tx

#: Only the longest waits of a job are looked into; a job with a thousand attempts has as many.
_WAITS_MAX = 20
#: Events of windows that are told of one wait, the latest.
_WINDOWS_MAX = 4
_MARGIN = timedelta(seconds=1)


@dataclass(frozen=True)
class _Wait:
    """The job was due and unclaimed between two instants; `open` says that it still is."""

    since: datetime
    until: datetime
    shard: str | None
    open: bool = False


def queue_side(tx: Tx, job: Any, now: datetime) -> tuple[list[TraceEvent], list[Stretch]]:
    """Events between enqueuing and the end of the last attempt, and what explains the time between them.

    Nothing for a job that was pruned.
    """
    if job is None:
        return [], []
    side = _QueueSide(tx, job, now)
    side.tell()
    return side.events, side.stretches


class _QueueSide:
    def __init__(self, tx: Tx, job: Any, now: datetime) -> None:
        self.tx = tx
        self.job = job
        self.now = now
        self.events: list[TraceEvent] = []
        self.stretches: list[Stretch] = []
        self.runs: dict[int, RunFacts] = {}
        rows = trace_store.rows_of(tx, trace_store.ATTEMPTS_SQL, job.job_id)
        self.shards = {row.function_run_id: row.shard for row in rows if row.shard}
        self.attempts = self._attempts(rows)

    def tell(self) -> None:
        """Fill in the events and the stretches."""
        job = self.job
        self.events.append(TraceEvent(job.created_at, "enqueued", f"{job.kind} for {job.workspace}"))
        looked_into = sorted(self._waits(), key=lambda wait: wait.since - wait.until)[:_WAITS_MAX]
        for wait in looked_into:
            self._look_into(wait)
        self._know(store.runs_by_id(self.tx, [a.function_run_id for a in self.attempts]))
        for attempt in self.attempts:
            run = self.runs.get(attempt.function_run_id)
            self.events += _attempt_events(attempt, run)
            stood_still = silence(run, self.now, told="was in the hands of") if run is not None else None
            self.stretches += attempt_stretches(attempt, self.now, stood_still)
        self.events += self._fell_silent()
        self.events += self._recovered()
        for row in trace_store.rows_of(self.tx, trace_store.LATE_WRITES_SQL, job.job_id):
            detail = f"function run {row.function_run_id} came too late with {row.wanted}"
            self.events.append(TraceEvent(row.refused_at, "late write refused", detail, beside=True))

    def _attempts(self, rows: Sequence[Any]) -> list[AttemptFacts]:
        job = self.job
        steps = [(row.name, row.stored_at) for row in trace_store.rows_of(self.tx, trace_store.STEPS_SQL, job.job_id)]
        ended = [_attempt(row, steps) for row in rows]
        if job.claimed_at is None:
            return ended
        sample = next(iter(trace_store.rows_of(self.tx, trace_store.SAMPLE_SQL, job.job_id)), None)
        started = None if sample is None else sample.sampled_at - timedelta(seconds=sample.running_seconds)
        running = AttemptFacts(
            attempt=job.attempt,
            function_run_id=job.function_run_id,
            due_at=job.run_at,
            claimed_at=job.claimed_at,
            started_at=started if started is None else max(started, job.claimed_at),
            finished_at=None,
            outcome=None,
            step=sample.step if sample else None,
            progress=sample.progress if sample else None,
            frame=last_frame(sample.stack) if sample and sample.stack else None,
            steps=tuple(step for step in steps if job.claimed_at <= step[1]),
        )
        return [*ended, running]

    def _waits(self) -> Iterator[_Wait]:
        """The waits for a claim; the pauses before them, in which the job was not due, are told at once."""
        before: AttemptFacts | None = None
        for attempt in self.attempts:
            shard = self.shards.get(attempt.function_run_id) or self.job.shard
            yield _Wait(self._due_after(before, attempt.due_at), attempt.claimed_at, shard)
            before = attempt
        if self.job.claimed_at is None and self.job.finished_at is None:
            yield _Wait(self._due_after(before, self.job.run_at), self.now, self.job.shard, open=True)

    def _due_after(self, before: AttemptFacts | None, due_at: datetime) -> datetime:
        """When the job was free to be claimed after this attempt, or after it was enqueued."""
        free = self.job.created_at if before is None or before.finished_at is None else before.finished_at
        if due_at <= free:
            return free
        pause = between(before, due_at) if before is not None else scheduled(self.job.created_at, due_at)
        if pause is not None:
            self.stretches.append(pause)
        if free + _MARGIN < due_at < self.now:
            self.events.append(TraceEvent(due_at, "due"))
        return due_at

    def _look_into(self, wait: _Wait) -> None:
        if wait.shard is None or wait.until <= wait.since:
            return
        lived, before = store.runs(self.tx, shard=wait.shard, since=wait.since, until=wait.until)
        self._know([*lived, *([before] if before is not None else [])])
        rows = store.windows(self.tx, shard=wait.shard, since=wait.since, until=wait.until)
        windows = [_window(row) for row in rows]
        ids = [row.function_run_id for row in lived]
        own, other = store.ended_meanwhile(
            self.tx,
            job_id=self.job.job_id,
            workspace=self.job.workspace,
            since=wait.since,
            until=wait.until,
            function_run_ids=ids,
        )
        facts = WaitFacts(
            shard=wait.shard,
            since=wait.since,
            until=wait.until,
            now=self.now,
            runs=tuple(self.runs[run_id] for run_id in ids),
            windows=tuple(windows),
            ran_before=self.runs[before.function_run_id] if before is not None else None,
            own_jobs=own,
            other_jobs=other,
            room=bool(self.job.room) or not wait.open,
        )
        self.stretches += waits(facts)
        self.events += _window_events(windows, wait)

    def _know(self, rows: Iterable[Any]) -> None:
        """Know these function runs, with what each held when it came to grief."""
        new = [row for row in rows if row.function_run_id not in self.runs]
        if not new:
            return
        ids = [row.function_run_id for row in new]
        held: defaultdict[int, list[HeldJob]] = defaultdict(list)
        for row in store.held(self.tx, ids):
            held[row.function_run_id].append(_held(row))
        decisions = store.decisions(self.tx, job_id=0, function_run_ids=ids)
        recovered = {row.function_run_id: row.swept_by for row in decisions}
        for row in new:
            self.runs[row.function_run_id] = RunFacts(
                function_run_id=row.function_run_id,
                shard=row.shard,
                where=f"{row.host}, pid {row.pid}",
                started_at=row.started_at,
                ended_at=row.ended_at,
                end_reason=row.end_reason,
                heartbeat_at=row.heartbeat_at,
                progress_at=row.progress_at,
                lease_until=row.lease_until,
                recovered_by=recovered.get(row.function_run_id, ""),
                held=tuple(held[row.function_run_id]),
            )

    def _grieved(self) -> Iterator[tuple[RunFacts, Stretch]]:
        """The function runs that stood still in the time of this story."""
        for run in self.runs.values():
            quiet = silence(run, self.now)
            if quiet is not None and quiet.until >= self.job.created_at:
                yield run, quiet

    def _fell_silent(self) -> Iterator[TraceEvent]:
        """The last sign of life of each such function run, if it came in the time of this story."""
        end = self.job.finished_at or self.now
        held_it = {attempt.function_run_id for attempt in self.attempts}
        for run, quiet in self._grieved():
            if self.job.created_at <= quiet.since <= end:
                held = "which held this job" if run.function_run_id in held_it else "behind which this job waited"
                sign = "progress" if quiet.since == run.progress_at else "heartbeat"
                detail = f"the last {sign} of function run {run.function_run_id} of {run.shard}, {held}"
                yield TraceEvent(quiet.since, "fell silent", detail)

    def _recovered(self) -> Iterator[TraceEvent]:
        ids = [run.function_run_id for run, _ in self._grieved()]
        for row in store.decisions(self.tx, job_id=self.job.job_id, function_run_ids=ids):
            if row.decided_at <= (self.job.finished_at or self.now):
                yield TraceEvent(row.decided_at, "recovered", f"by {row.swept_by}: {row.detail}")


def _attempt(row: Any, steps: Iterable[tuple[str, datetime]]) -> AttemptFacts:
    return AttemptFacts(
        attempt=row.attempt,
        function_run_id=row.function_run_id,
        due_at=row.due_at,
        claimed_at=row.claimed_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        outcome=row.outcome,
        error_class=row.error_class,
        error=row.error,
        step=row.step,
        progress=row.progress,
        frame=last_frame(row.stack) if row.stack else None,
        steps=tuple(step for step in steps if row.claimed_at <= step[1] <= row.finished_at),
    )


def _held(row: Any) -> HeldJob:
    return HeldJob(
        job_id=row.job_id,
        kind=row.kind or "pruned",
        outcome=row.outcome,
        claimed_at=row.claimed_at,
        ended_at=row.finished_at,
        step=row.step,
        progress=row.progress,
        frame=last_frame(row.stack) if row.stack else None,
    )


def _window(row: Any) -> WindowFacts:
    return WindowFacts(row.dispatch_key, row.source, row.opened_at, row.ended_at, row.function_run_id)


def _window_events(windows: Sequence[WindowFacts], wait: _Wait) -> Iterator[TraceEvent]:
    for window in windows[-_WINDOWS_MAX:]:
        if wait.since <= window.opened_at <= wait.until:
            yield TraceEvent(window.opened_at, "window opened", f"{window.dispatch_key} by {window.source}")
        if window.ended_at is not None and wait.since <= window.ended_at <= wait.until:
            by = f"by function run {window.function_run_id}" if window.function_run_id else "by nobody, given up"
            yield TraceEvent(window.ended_at, "window taken", f"{window.dispatch_key} {by}")


def _attempt_events(attempt: AttemptFacts, run: RunFacts | None) -> Iterator[TraceEvent]:
    where = f"function run {attempt.function_run_id}" + (f" of {run.shard}" if run else "")
    yield TraceEvent(attempt.claimed_at, "claimed", f"attempt {attempt.attempt} by {where}")
    if attempt.started_at is not None:
        yield TraceEvent(attempt.started_at, "started", f"attempt {attempt.attempt}")
    for name, stored_at in attempt.steps:
        yield TraceEvent(stored_at, "step done", name)
    if attempt.finished_at is None or attempt.outcome is None:
        return
    said = [attempt.error or "", f"last progress: {attempt.progress}" if attempt.progress else ""]
    yield TraceEvent(
        attempt.finished_at,
        attempt.outcome.lower().replace("_", " "),
        f"attempt {attempt.attempt}{attempt.where}" if attempt.outcome != "SUCCEEDED" else "",
        "; ".join(part for part in said if part),
    )
