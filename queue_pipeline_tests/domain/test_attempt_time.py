from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from queue_pipeline.domain.attempt_time import AttemptFacts, attempt_stretches, between, scheduled
from queue_pipeline.domain.gap import Cause, Stretch

START = datetime(2031, 3, 4, 10, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def attempt(outcome: str | None = "SUCCEEDED", **changes: Any) -> AttemptFacts:
    """Due at 0, claimed at 1, started at 3, ended at 20."""
    ended = None if outcome is None else at(20)
    return replace(AttemptFacts(2, 7, at(0), at(1), at(3), ended, outcome), **changes)


Part = tuple[Cause, float, float]


def parts(facts: AttemptFacts, silence: Stretch | None = None) -> list[Part]:
    return [
        (s.cause, (s.since - START).total_seconds(), (s.until - START).total_seconds())
        for s in attempt_stretches(facts, at(30), silence)
        if s.until > s.since
    ]


FROZEN = Stretch(at(8), at(20), Cause.HUNG_FUNCTION_RUN, "was in the hands of function run 7, which hung")

#: an attempt: (facts, the silence of its function run, where its time went)
ATTEMPTS: dict[str, tuple[AttemptFacts, Stretch | None, list[Part]]] = {
    "a handler that worked": (attempt(), None, [(Cause.NO_SLOT, 1, 3), (Cause.HANDLER, 3, 20)]),
    "a handler with steps": (
        attempt(steps=(("draft", at(12)), ("classify", at(4)))),
        None,
        [(Cause.NO_SLOT, 1, 3), (Cause.HANDLER, 3, 4), (Cause.HANDLER, 4, 12), (Cause.HANDLER, 12, 20)],
    ),
    "a handler that hung until its deadline": (
        attempt("TIMED_OUT", step="draft"),
        None,
        [(Cause.NO_SLOT, 1, 3), (Cause.HUNG_HANDLER, 3, 20)],
    ),
    "a handler that still works": (attempt(None), None, [(Cause.NO_SLOT, 1, 3), (Cause.HANDLER, 3, 30)]),
    "a claim that was given back unstarted": (attempt("RELEASED", started_at=None), None, [(Cause.NO_SLOT, 1, 20)]),
    "a handler whose function run froze": (
        attempt("LOST", started_at=None),
        FROZEN,
        [(Cause.HANDLER, 1, 8), (Cause.HUNG_FUNCTION_RUN, 8, 20)],
    ),
}


@pytest.mark.parametrize("name", list(ATTEMPTS))
def test_the_time_of_an_attempt_is_told_part_by_part(name: str) -> None:
    facts, silence, expected = ATTEMPTS[name]
    assert parts(facts, silence) == expected


def test_a_step_and_where_a_handler_hung_are_named_and_its_words_are_kept_apart() -> None:
    facts = attempt("TIMED_OUT", step="draft", frame='File "drafter.py", line 3, in ask', progress="asking for Ada")
    hung = attempt_stretches(facts, at(30), None)[-1]
    assert "in step 'draft', last seen at File \"drafter.py\", line 3, in ask" in hung.sentence
    assert "Ada" not in hung.sentence
    assert "asking for Ada" in hung.said


@pytest.mark.parametrize(
    ("outcome", "cause", "words"),
    [
        ("RETRY", Cause.BACKOFF, "waited 5.0 s before it was tried again: attempt 2 ended RETRY (ConnectionError)"),
        ("TIMED_OUT", Cause.BACKOFF, "attempt 2 ended TIMED_OUT"),
        ("SNOOZED", Cause.SCHEDULED, "was snoozed by its handler for 5.0 s"),
        ("FAILED", Cause.DEAD_LETTER, "was a dead letter until somebody replayed it"),
    ],
)
def test_the_time_between_two_attempts_says_why_it_passed(outcome: str, cause: Cause, words: str) -> None:
    error = {"error_class": "ConnectionError", "error": "no answer"} if outcome == "RETRY" else {}
    pause = between(attempt(outcome, **error), at(25))
    assert pause is not None
    assert (pause.since, pause.until, pause.cause) == (at(20), at(25), cause)
    assert words in pause.sentence
    assert pause.said == error.get("error", "")


def test_a_job_that_was_due_again_at_once_did_not_pause() -> None:
    assert between(attempt("LOST"), at(0)) is None


def test_a_job_for_later_waited_for_its_time() -> None:
    assert scheduled(at(0), at(60)).cause is Cause.SCHEDULED
