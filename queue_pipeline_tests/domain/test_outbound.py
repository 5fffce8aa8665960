"""A message's states, what an answer means for it, and what is done about doubt: every case as a table."""

import itertools

import pytest

from queue_pipeline.domain.limits import Limits
from queue_pipeline.domain.outbound import (
    KEY_LIFE_USED,
    MOVES,
    Capabilities,
    Doubt,
    LookupBy,
    OutboundState,
    SendOutcome,
    Step,
    after_attempt,
    idempotency_key,
    normalised,
    normalised_sha256,
    resolve,
    retry_after,
)

LIMITS = Limits()
DRAWN = {
    ("READY", "SENDING"), ("READY", "SENT"), ("READY", "NEEDS_HUMAN"), ("READY", "CANCELLED"),
    ("SENDING", "SENT"), ("SENDING", "REJECTED"), ("SENDING", "READY"), ("SENDING", "UNKNOWN"),
    ("UNKNOWN", "SENT"), ("UNKNOWN", "READY"), ("UNKNOWN", "SENDING"), ("UNKNOWN", "NEEDS_HUMAN"),
    ("NEEDS_HUMAN", "SENT"), ("NEEDS_HUMAN", "READY"), ("NEEDS_HUMAN", "CANCELLED"),
}  # fmt: skip


@pytest.mark.parametrize(("before", "after"), list(itertools.product(OutboundState, OutboundState)))
def test_a_message_moves_only_along_the_drawn_arrows(before: OutboundState, after: OutboundState) -> None:
    assert (after in MOVES[before]) == ((str(before), str(after)) in DRAWN)


def test_two_senders_never_hold_one_message_and_a_sent_one_is_never_taken_back() -> None:
    assert OutboundState.SENDING not in MOVES[OutboundState.SENDING]
    assert [state for state in OutboundState if not MOVES[state]] == ["SENT", "REJECTED", "CANCELLED"]


def test_every_state_can_be_reached_and_every_open_one_can_end() -> None:
    reached = {OutboundState.READY}
    while more := {after for before in reached for after in MOVES[before]} - reached:
        reached |= more
    assert reached == set(OutboundState)
    ends = {state for state in OutboundState if not MOVES[state]}
    while more := {state for state in OutboundState if MOVES[state] & ends} - ends:
        ends |= more
    assert ends == set(OutboundState)


@pytest.mark.parametrize(
    ("outcome", "without_doubt", "in_doubt"),
    [
        (SendOutcome.ACCEPTED, "SENT", "SENT"),
        (SendOutcome.REJECTED, "REJECTED", "UNKNOWN"),
        (SendOutcome.NOT_SENT, "READY", "UNKNOWN"),
        (SendOutcome.AMBIGUOUS, "UNKNOWN", "UNKNOWN"),
    ],
)
def test_an_attempt_speaks_for_itself_and_never_ends_the_doubt_about_an_earlier_one(
    outcome: SendOutcome, without_doubt: str, in_doubt: str
) -> None:
    assert after_attempt(outcome, in_doubt=False) == without_doubt
    assert after_attempt(outcome, in_doubt=True) == in_doubt


KEY = Capabilities(idempotency_seconds=1000.0)
LOOKUP = Capabilities(lookup=LookupBy.KEY, settle_seconds=120.0)
BOTH = Capabilities(idempotency_seconds=1000.0, lookup=LookupBy.KEY, settle_seconds=120.0)
ECHO = Capabilities(settle_seconds=120.0, echo=True)
NOTHING = Capabilities(settle_seconds=120.0)
ALL = {"key": KEY, "lookup": LOOKUP, "both": BOTH, "echo": ECHO, "nothing": NOTHING}
HUMAN = LIMITS.send_human_seconds
EARLY, AT_DEADLINE, SETTLED = Doubt(-5.0, 0.0, 15.0), Doubt(0.0, 0.0, 20.0), Doubt(120.0, 120.0, 140.0)
OLD_KEY, OLD = Doubt(500.0, 500.0, KEY_LIFE_USED * 1000.0), Doubt(HUMAN, HUMAN, 700.0)

STEPS: list[tuple[Doubt, str, Step, float]] = [
    *((EARLY, name, Step.WAIT, 5.0) for name in ALL),
    *((OLD, name, Step.ASK_HUMAN, 0.0) for name in ALL),
    (AT_DEADLINE, "key", Step.RETRY_SAME_KEY, 0.0),
    (AT_DEADLINE, "both", Step.RETRY_SAME_KEY, 0.0),
    (AT_DEADLINE, "lookup", Step.WAIT, 120.0),
    (AT_DEADLINE, "echo", Step.WAIT, 120.0),
    (AT_DEADLINE, "nothing", Step.ASK_HUMAN, 0.0),
    (SETTLED, "lookup", Step.LOOK_UP, 0.0),
    (SETTLED, "echo", Step.ASK_HUMAN, 0.0),
    (OLD_KEY, "key", Step.ASK_HUMAN, 0.0),
    (OLD_KEY, "both", Step.LOOK_UP, 0.0),
]


@pytest.mark.parametrize(("doubt", "name", "step", "wait"), STEPS)
def test_what_is_done_about_doubt(doubt: Doubt, name: str, step: Step, wait: float) -> None:
    assert resolve(doubt, ALL[name], LIMITS) == (step, wait)


@pytest.mark.parametrize("name", list(ALL))
@pytest.mark.parametrize("doubt", [EARLY, AT_DEADLINE, SETTLED, OLD_KEY, OLD])
def test_while_sends_are_switched_off_doubt_is_never_ended_by_sending(doubt: Doubt, name: str) -> None:
    step, wait = resolve(doubt, ALL[name], LIMITS, may_send=False)
    assert step is not Step.RETRY_SAME_KEY
    if (doubt, name) == (AT_DEADLINE, "key"):
        assert (step, wait) == (Step.WAIT, 60.0)
    if (doubt, name) == (SETTLED, "both"):
        assert step is Step.LOOK_UP


def test_what_is_not_declared_is_not_assumed() -> None:
    assert resolve(AT_DEADLINE, Capabilities(), LIMITS) == (Step.ASK_HUMAN, 0.0)


@pytest.mark.parametrize("doubt", [Doubt(0.0, 0.0, 0.0), Doubt(1e6, 0.0, 1e6), AT_DEADLINE, SETTLED])
def test_waiting_takes_time_so_that_reconciliation_never_spins(doubt: Doubt) -> None:
    for capabilities in ALL.values():
        step, wait = resolve(doubt, capabilities, LIMITS)
        assert (step is Step.WAIT) == (wait > 0)


@pytest.mark.parametrize(
    ("tries", "asked_for", "seconds"),
    [
        (0, None, 5.0),
        (1, None, 5.0),
        (2, None, 10.0),
        (6, None, 160.0),
        (7, None, 300.0),
        (10_000, None, 300.0),
        (1, 2.0, 5.0),  # our own backoff is longer
        (1, 120.0, 120.0),
        (7, 900.0, 900.0),  # theirs is
        (1, 86_400.0, 3600.0),  # but not for a day
        (1, 0.0, 5.0),
    ],
)
def test_a_try_that_was_refused_is_made_again_later(tries: int, asked_for: float | None, seconds: float) -> None:
    assert retry_after(tries, asked_for, LIMITS) == seconds


def test_the_key_is_the_same_for_the_same_business_and_another_for_any_other() -> None:
    business = {"workspace": "acme", "channel": "email", "account": "a", "trigger": "job:1", "purpose": "reply"}
    key = idempotency_key(**business, part=0)
    assert key == idempotency_key(**business, part=0)
    assert len(key) == 64
    others = {idempotency_key(**{**business, name: "other"}, part=0) for name in business}
    others |= {idempotency_key(**business, part=1)}
    # A separator inside a value must not make two businesses one.
    others |= {idempotency_key(**{**business, "workspace": "acme email", "channel": ""}, part=0)}
    assert len(others) == len(business) + 2
    assert key not in others


def test_texts_are_compared_without_regard_to_case_width_and_white_space() -> None:
    assert normalised("  Good\u00a0Morning,\r\n \uff21\uff22\uff23  ") == "good morning, abc"
    assert normalised_sha256("Straße") == normalised_sha256("STRASSE")
    assert normalised_sha256("10:00") != normalised_sha256("11:00")
    assert len(normalised_sha256("\ud800")) == 64  # not a character, and no reason to fail
