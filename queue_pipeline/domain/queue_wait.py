"""What a due job waited for until it was claimed: the function runs and windows of its shard tell."""

from dataclasses import dataclass
from datetime import datetime

from queue_pipeline.domain.attempt import AttemptOutcome
from queue_pipeline.domain.duration import duration
from queue_pipeline.domain.gap import Cause, Stretch, clipped, uncovered
from queue_pipeline.domain.recovery import Signal

#: A function run that lives and has done nothing for this long is worth naming before recovery judges it.
_QUIET_SECONDS = 60.0


@dataclass(frozen=True)
class HeldJob:
    """A job that a function run lost, or whose handler passed its deadline there, and where it was last seen."""

    job_id: int
    kind: str
    outcome: str
    claimed_at: datetime
    ended_at: datetime
    step: str | None = None
    progress: str | None = None
    frame: str | None = None

    @property
    def where(self) -> str:
        """Ids, step and source line."""
        step = f" in step {self.step!r}" if self.step else ""
        frame = f", last seen at {self.frame}" if self.frame else ""
        return f"job {self.job_id} ({self.kind}){step}{frame}"


@dataclass(frozen=True)
class RunFacts:
    """One function run of the shard. `recovered_by` is who recovered it, if somebody did."""

    function_run_id: int
    shard: str
    where: str
    started_at: datetime
    ended_at: datetime | None
    end_reason: str | None
    heartbeat_at: datetime
    progress_at: datetime
    lease_until: datetime
    recovered_by: str = ""
    held: tuple[HeldJob, ...] = ()


@dataclass(frozen=True)
class WindowFacts:
    """One dispatch window of the shard; `ended_at` is when it was taken, or given up."""

    dispatch_key: str
    source: str
    opened_at: datetime
    ended_at: datetime | None
    function_run_id: int | None


@dataclass(frozen=True)
class WaitFacts:
    """One wait of a due job. `own_jobs` and `other_jobs` ended in the shard meanwhile: of its workspace, and others.

    `room` is False when the workspace may have no more jobs claimed at the end of the wait.
    """

    shard: str
    since: datetime
    until: datetime
    now: datetime
    runs: tuple[RunFacts, ...] = ()
    windows: tuple[WindowFacts, ...] = ()
    ran_before: RunFacts | None = None
    own_jobs: int = 0
    other_jobs: int = 0
    room: bool = True


def waits(facts: WaitFacts) -> list[Stretch]:
    """Everything that the job waited for between falling due and its claim."""
    found: list[Stretch] = []
    lives: list[tuple[datetime, datetime]] = []
    for run in facts.runs:
        ended = run.ended_at or facts.now
        quiet = silence(run, facts.now)
        found += clipped(_busy(run, facts, quiet.since if quiet else ended), facts.since, facts.until)
        if quiet is not None:
            found += clipped(quiet, facts.since, facts.until)
        lives.append((run.started_at, ended))
    for since, until in uncovered(facts.since, facts.until, lives):
        found += _without_drain(facts, since, until)
    return found


def silence(run: RunFacts, now: datetime, *, told: str = "waited behind") -> Stretch | None:
    """The time in which a function run held its jobs without doing anything, or None when it had no such time.

    `told` is the beginning of its sentence.
    """
    ended = run.ended_at or now
    lease_is_over = run.ended_at is None and run.lease_until < now
    heartbeat = f"its last heartbeat was {duration((ended - run.heartbeat_at).total_seconds())}"
    progress = f"its last progress {duration((ended - run.progress_at).total_seconds())}"
    if run.end_reason == Signal.DEAD:
        since, cause, how = run.heartbeat_at, Cause.DEAD_FUNCTION_RUN, "died"
    elif run.end_reason == Signal.LEASE_EXPIRED or lease_is_over:
        since, cause, how = run.heartbeat_at, Cause.HUNG_FUNCTION_RUN, "hung"
    elif run.end_reason == Signal.STALE or (
        run.ended_at is None and (now - run.progress_at).total_seconds() > _QUIET_SECONDS
    ):
        since, cause, how = run.progress_at, Cause.HUNG_FUNCTION_RUN, "hung although its heartbeat went on"
    else:
        return None
    until = f"recovered it on signal {run.end_reason}" if run.ended_at else "looked, and nobody has recovered it yet"
    by = run.recovered_by or ("somebody" if run.ended_at else "this trace")
    held = f"; it held {_listed(run.held)}" if run.held else ""
    sentence = (
        f"{told} function run {run.function_run_id} of {run.shard} ({run.where}), which {how}: "
        f"{heartbeat} and {progress} before {by} {until}{held}"
    )
    return Stretch(since, ended, cause, sentence, _said(run.held))


def _busy(run: RunFacts, facts: WaitFacts, until: datetime) -> Stretch:
    """The part of a function run's life in which it worked, but not on this job."""
    who = f"function run {run.function_run_id} of {run.shard}"
    hung = tuple(job for job in run.held if job.outcome == AttemptOutcome.TIMED_OUT and job.ended_at > facts.since)
    if not facts.room:
        cause, sentence = Cause.QUOTA, "its workspace had as many jobs claimed as its quota allows"
    elif hung and not facts.own_jobs + facts.other_jobs:
        cause = Cause.HUNG_HANDLER
        sentence = f"waited behind handlers that hung in {who} until their deadline: {_listed(hung)}"
    elif facts.own_jobs + facts.other_jobs:
        cause = Cause.OTHER_WORK
        sentence = (
            f"waited behind other work of {who}: meanwhile {_jobs(facts.other_jobs)} of other workspaces and "
            f"{_jobs(facts.own_jobs)} of its own ended"
        )
    else:
        cause, sentence = Cause.OTHER_WORK, f"waited for a claim by {who}"
    said = _said(hung) if cause is Cause.HUNG_HANDLER else ""
    return Stretch(run.started_at, max(run.started_at, until), cause, sentence, said)


def _without_drain(facts: WaitFacts, since: datetime, until: datetime) -> list[Stretch]:
    found: list[Stretch] = []
    launching: list[tuple[datetime, datetime]] = []
    for window in facts.windows:
        ended = window.ended_at or facts.now
        taken = f"function run {window.function_run_id} took it" if window.function_run_id else "nobody took it"
        opened = f"window {window.dispatch_key}, opened by {window.source}"
        waited = duration((ended - window.opened_at).total_seconds())
        sentence = f"{opened}, waited {waited} for a drain of {facts.shard} to start; {taken}"
        found += clipped(Stretch(window.opened_at, ended, Cause.NOT_LAUNCHED, sentence), since, until)
        launching.append((window.opened_at, ended))
    for begin, end in uncovered(since, until, launching):
        found.append(Stretch(begin, end, Cause.NOT_DRAINED, _nobody(facts, begin, end)))
    return found


def _nobody(facts: WaitFacts, since: datetime, until: datetime) -> str:
    before = facts.ran_before
    earlier = [run for run in (*facts.runs, *([before] if before else [])) if run.ended_at and run.ended_at <= since]
    last = max(earlier, key=lambda run: run.ended_at or since, default=None)
    ended = ""
    if last is not None and last.ended_at is not None:
        ago = duration((until - last.ended_at).total_seconds())
        ended = f" since function run {last.function_run_id} ended ({last.end_reason}) {ago} before"
    opened = next((window for window in facts.windows if window.opened_at >= until), None)
    after = f"; window {opened.dispatch_key} was opened then, by {opened.source}" if opened else ""
    if opened is None and until >= facts.now:
        after = "; no window is open"
    return f"nobody drained {facts.shard}{ended}{after}"


def _listed(held: tuple[HeldJob, ...]) -> str:
    named = "; ".join(job.where for job in held[:3])
    return named if len(held) <= 3 else f"{named}; and {len(held) - 3} more"


def _said(held: tuple[HeldJob, ...]) -> str:
    return "; ".join(f"job {job.job_id} said: {job.progress}" for job in held[:3] if job.progress)


def _jobs(count: int) -> str:
    return f"{count} job{'' if count == 1 else 's'}"
