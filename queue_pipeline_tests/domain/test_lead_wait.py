from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from queue_pipeline.domain.gap import Cause, cause_of
from queue_pipeline.domain.lead_wait import (
    MessageFacts,
    SendAttemptFacts,
    Switched,
    review,
    sending,
    sends_off,
    task,
    telling,
)

START = datetime(2031, 3, 4, 10, tzinfo=UTC)
NOW = START + timedelta(seconds=1000)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def tried(number: int, started: float, finished: float | None, outcome: str | None, **changes: Any) -> SendAttemptFacts:
    ended = None if finished is None else at(finished)
    return replace(SendAttemptFacts(number, at(started), at(started + 20), ended, outcome), **changes)


def message(state: str, ended: float | None, *attempts: SendAttemptFacts, **changes: Any) -> MessageFacts:
    ended_at = None if ended is None else at(ended)
    facts = MessageFacts(5, "http", "reply", state, at(0), ended_at, attempts=attempts)
    return replace(facts, **changes)


#: a gap in the life of a message: (message, since, until, its cause, what its sentence must name)
GAPS: dict[str, tuple[MessageFacts, float, float, Cause, list[str]]] = {
    "a provider that took its time": (
        message("SENT", 9, tried(1, 1, 9, "accepted")), 1, 9, Cause.SLOW_PROVIDER,
        ["provider http had message 5 for 8.0 s (attempt 1: accepted)"],
    ),
    "a provider that did not say": (
        message("SENT", 140, tried(1, 1, 16, "ambiguous", error_class="ReadTimeout"), settled_by="lookup"), 16, 140,
        Cause.UNKNOWN_SEND,
        ["nobody knew whether provider http had accepted message 5", "ReadTimeout", "until its lookup settled it"],
    ),
    "a sender that died": (
        message("UNKNOWN", None, tried(1, 1, None, None)), 21, 300, Cause.UNKNOWN_SEND, ["attempt 1: no answer"],
    ),
    "a provider that was not there": (
        message("SENT", 31, tried(1, 1, 2, "not_sent", http_status=429), tried(2, 30, 31, "accepted")), 2, 30,
        Cause.SEND_BACKOFF, ["was not taken by provider http (attempt 1: not_sent, HTTP 429)"],
    ),
    "a message that nobody tried yet": (message("READY", None), 0, 60, Cause.SEND_BACKOFF, ["message 5 waited"]),
    "a message on a person's desk": (
        message("NEEDS_HUMAN", 500, tried(1, 1, 2, "ambiguous")), 500, 1000, Cause.PERSON,
        ["message 5 waits for a person to find out whether it left"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", list(GAPS))
def test_the_time_of_a_message_is_named_after_its_attempts(name: str) -> None:
    facts, since, until, cause, named = GAPS[name]
    why = cause_of(at(since), at(until), sending(facts, NOW))
    assert why is not None
    assert why.cause is cause
    for words in named:
        assert words in why.sentence


def test_the_time_in_which_sends_were_off_outranks_everything_else() -> None:
    waits = message("SENT", 95, tried(1, 94, 95, "accepted"))
    switched = [Switched(at(-10), True, "ops", "start"), Switched(at(5), False, "Mia", "wrong texts"), Switched(at(90), True, "Mia", "fixed")]  # fmt: skip
    off = sends_off(waits, switched, NOW)
    assert [(stretch.since, stretch.until) for stretch in off] == [(at(5), at(90))]
    why = cause_of(at(0), at(94), [*sending(waits, NOW), *off])
    assert why is not None
    assert (why.cause, why.sentence) == (Cause.SENDS_OFF, "sends were switched off")
    assert "Mia" in why.said


def test_sends_that_are_still_off_hold_a_message_until_now() -> None:
    (off,) = sends_off(message("READY", None), [Switched(at(-5), False, "ops", "test")], NOW)
    assert (off.since, off.until) == (at(0), NOW)


def test_people_and_sinks_are_waited_for_until_they_act_or_until_now() -> None:
    for done in (None, at(60)):
        waited = [review(7, at(0), done, NOW), task(3, "call", at(0), done, NOW)]
        assert [(stretch.until, stretch.cause) for stretch in waited] == [(done or NOW, Cause.PERSON)] * 2
    late = telling(9, at(0), at(600), NOW, failures=4, error="ratelimited")
    assert late.sentence == "notification 9 waited for its delivery after 4 failed posts"
    assert late.said == "ratelimited"
    assert telling(9, at(0), None, NOW).sentence == "notification 9 waits for its delivery"
