"""Where the time of an attempt went: waiting for a slot, its steps, a handler that hung; and between attempts."""

from dataclasses import dataclass
from datetime import datetime

from queue_pipeline.domain.attempt import AttemptOutcome
from queue_pipeline.domain.duration import duration
from queue_pipeline.domain.gap import Cause, Stretch, clipped


@dataclass(frozen=True)
class AttemptFacts:
    """One attempt; `finished_at` and `outcome` are None while it runs. `steps` are (name, when it was done)."""

    attempt: int
    function_run_id: int
    due_at: datetime
    claimed_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    outcome: str | None
    error_class: str | None = None
    error: str | None = None
    step: str | None = None
    progress: str | None = None
    frame: str | None = None
    steps: tuple[tuple[str, datetime], ...] = ()

    @property
    def where(self) -> str:
        """Step and source line in which its handler was last seen."""
        step = f" in step {self.step!r}" if self.step else ""
        return f"{step}, last seen at {self.frame}" if self.frame else step


def attempt_stretches(attempt: AttemptFacts, now: datetime, silence: Stretch | None) -> list[Stretch]:
    """From claim to end. `silence` is the time in which the attempt's function run stood still, if it did."""
    ended = attempt.finished_at or now
    # recovery and release know no start; a released job never had one
    started = attempt.started_at or (ended if attempt.outcome == AttemptOutcome.RELEASED else attempt.claimed_at)
    found = [
        Stretch(
            attempt.claimed_at,
            started,
            Cause.NO_SLOT,
            f"waited for a free slot of function run {attempt.function_run_id}, which had claimed it",
        )
    ]
    stood_still = clipped(silence, started, ended) if silence is not None else []
    worked_until = stood_still[0].since if stood_still else ended
    return [*found, *_work(attempt, started, worked_until), *stood_still]


def between(before: AttemptFacts, next_due: datetime) -> Stretch | None:
    """The time after an attempt in which the job was not due again, or None when it was due at once."""
    if before.finished_at is None or next_due <= before.finished_at:
        return None
    waited = duration((next_due - before.finished_at).total_seconds())
    ended = f"attempt {before.attempt} ended {before.outcome}"
    match before.outcome:
        case AttemptOutcome.FAILED | AttemptOutcome.CANCELLED | AttemptOutcome.SUCCEEDED:
            cause, why = Cause.DEAD_LETTER, f"was a dead letter until somebody replayed it: {ended}"
        case AttemptOutcome.SNOOZED:
            cause, why = Cause.SCHEDULED, f"was snoozed by its handler for {waited}"
        case _:
            error = f" ({before.error_class})" if before.error_class else ""
            cause, why = Cause.BACKOFF, f"waited {waited} before it was tried again: {ended}{error}"
    return Stretch(before.finished_at, next_due, cause, why, before.error or "")


def scheduled(created_at: datetime, due_at: datetime) -> Stretch:
    """The time between enqueuing and the time that the job was enqueued for."""
    return Stretch(created_at, due_at, Cause.SCHEDULED, "waited for the time that it was scheduled for")


def _work(attempt: AttemptFacts, started: datetime, until: datetime) -> list[Stretch]:
    said = f"last progress: {attempt.progress}" if attempt.progress else ""
    if attempt.outcome == AttemptOutcome.TIMED_OUT:
        sentence = f"its own handler hung until its deadline in attempt {attempt.attempt}{attempt.where}"
        return [Stretch(started, until, Cause.HUNG_HANDLER, sentence, said)]
    found = []
    at = started
    for name, stored_at in sorted(attempt.steps, key=lambda step: step[1]):
        if at <= stored_at <= until:
            found.append(Stretch(at, stored_at, Cause.HANDLER, f"its handler worked on step {name!r}"))
            at = stored_at
    verb = "has worked" if attempt.finished_at is None else "worked"
    sentence = f"its handler {verb} in attempt {attempt.attempt}{attempt.where}"
    return [*found, Stretch(at, until, Cause.HANDLER, sentence, said)]
