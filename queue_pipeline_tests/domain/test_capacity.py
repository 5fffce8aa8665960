"""Capacity: what follows from the samples, as tables, and what must hold whatever they say."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queue_pipeline.domain.capacity import (
    CapacityDecision,
    CapacityOverride,
    CapacityPolicy,
    CapacitySample,
    CapacityState,
    Reason,
    decide,
)
from queue_pipeline.domain.guardrail import Scope

POLICY = CapacityPolicy()
#: 4 jobs a second of 2 s each keep 8 handlers busy; 10 leave a fifth idle.
STEADY = CapacitySample(arrivals=240, finished=240, handler_seconds=480.0, workers=16, due=0, age_p95_seconds=0.5)
FAILING = replace(STEADY, failed=60)
STATE = CapacityState(16, arrival_rate=4.0, mean_seconds=2.0)


def after(
    *samples: CapacitySample | None, state: CapacityState = STATE, policy: CapacityPolicy = POLICY
) -> CapacityDecision:
    return decide(state, samples, policy)


def summary(decision: CapacityDecision) -> tuple[Reason, int, int]:
    return decision.reason, decision.to_workers, decision.to_in_flight


def test_workers_follow_littles_law_with_room_to_spare() -> None:
    assert after(STEADY).required == 10
    assert after(replace(STEADY, due=300)).required == 13, "300 due ones are to be gone in 300 s: one more each second"
    assert after(STEADY, state=CapacityState(16)).required == 10, "the first sample stands for itself"
    assert after(replace(STEADY, finished=0, handler_seconds=0.0), state=CapacityState(16)).required is None


def test_arrivals_rise_at_once_and_fall_as_the_average_does() -> None:
    risen = after(replace(STEADY, arrivals=480))
    assert risen.required == 20, "8 a second now, whatever there were before"
    assert "8 jobs a second of 2 s each" in risen.why
    fallen = after(replace(STEADY, arrivals=0))
    assert fallen.required == 9, "a quiet minute takes a fifth of it away"
    assert fallen.state.arrival_rate == pytest.approx(4 * math.exp(-0.2))


@pytest.mark.parametrize(
    ("name", "samples", "state", "expected"),
    [
        ("enough", [STEADY, STEADY], STATE, (Reason.HOLD_TARGET_REACHED, 16, 1024)),
        ("load asks for more", [replace(STEADY, due=1500)], STATE, (Reason.RAMP_STEP, 23, 1024)),
        ("at most twice as many", [replace(STEADY, due=30_000)], STATE, (Reason.RAMP_STEP, 32, 1024)),
        ("at least one for each shard", [replace(STEADY, due=30_000)], replace(STATE, workers=1), (Reason.RAMP_STEP, 5, 1024)),
        ("never above the ceiling", [replace(STEADY, due=30_000)], replace(STATE, workers=60), (Reason.RAMP_STEP, 64, 1024)),
        ("old in one sample", [replace(STEADY, age_p95_seconds=61)], STATE, (Reason.HOLD_TARGET_REACHED, 16, 1024)),
        ("old in two", [replace(STEADY, age_p95_seconds=61)] * 2, STATE, (Reason.RAMP_STEP, 32, 1024)),
        ("missing", [None, STEADY], STATE, (Reason.HOLD_NO_SAMPLE, 16, 1024)),
        ("missing before", [replace(STEADY, due=30_000), None], STATE, (Reason.HOLD_NO_SAMPLE, 16, 1024)),
        ("none at all", [], STATE, (Reason.HOLD_NO_SAMPLE, 16, 1024)),
        ("fewer would do", [STEADY], replace(STATE, workers=40), (Reason.HOLD_RAMP_WINDOW, 40, 1024)),
        ("calm for long", [STEADY], replace(STATE, workers=40, calm_seconds=540), (Reason.STEP_DOWN_IDLE, 20, 1024)),
        ("down to as configured", [STEADY], replace(STATE, workers=20, calm_seconds=540), (Reason.STEP_DOWN_IDLE, 16, 1024)),
        ("a wait ends the calm", [replace(STEADY, age_p95_seconds=11)], replace(STATE, workers=40, calm_seconds=9000),
         (Reason.HOLD_RAMP_WINDOW, 40, 1024)),
        ("below as configured", [STEADY], replace(STATE, workers=4), (Reason.RAMP_STEP, 8, 1024)),
        ("more workspaces, too early", [replace(STEADY, active_workspaces=20)], STATE, (Reason.HOLD_RAMP_WINDOW, 16, 1024)),
        ("more workspaces", [replace(STEADY, active_workspaces=20)], replace(STATE, healthy_seconds=240),
         (Reason.RAMP_STEP, 16, 1088)),
        ("in flight at its target", [replace(STEADY, active_workspaces=17)], replace(STATE, healthy_seconds=240, in_flight_max=1080),
         (Reason.RAMP_STEP, 16, 1088)),
        ("after a step down", [replace(STEADY, due=3000)], replace(STATE, hold_samples=2), (Reason.HOLD_AFTER_STEP_DOWN, 16, 1024)),
        ("deadlock", [replace(STEADY, deadlocks=1)], replace(STATE, in_flight_max=4096), (Reason.GUARDRAIL_STEP_DOWN, 8, 2048)),
        ("deadlock, and the one before is missing", [replace(STEADY, deadlocks=1), None], STATE, (Reason.GUARDRAIL_STEP_DOWN, 8, 1024)),
        ("deadlock at the floor", [replace(STEADY, deadlocks=1)], replace(STATE, workers=5), (Reason.GUARDRAIL_STEP_DOWN, 4, 1024)),
        ("failures", [FAILING], replace(STATE, workers=64), (Reason.GUARDRAIL_STEP_DOWN, 32, 1024)),
        ("failures take nothing below as configured", [FAILING], replace(STATE, workers=20, in_flight_max=4096),
         (Reason.GUARDRAIL_STEP_DOWN, 16, 2048)),
        ("nor raise to it", [FAILING], replace(STATE, workers=5), (Reason.GUARDRAIL_STEP_DOWN, 5, 1024)),
        ("retries neither", [replace(STEADY, retried=120), *[STEADY] * 5], STATE, (Reason.GUARDRAIL_STEP_DOWN, 16, 1024)),
        ("nor a provider's", [replace(STEADY, provider_answers=99, provider_throttled=50)], STATE, (Reason.GUARDRAIL_STEP_DOWN, 16, 1024)),
        ("failures and a deadlock", [replace(FAILING, deadlocks=1)], STATE, (Reason.GUARDRAIL_STEP_DOWN, 8, 1024)),
        ("a step down gets time to act", [replace(STEADY, deadlocks=1)], replace(STATE, hold_samples=1, hold_for=Scope.DATABASE),
         (Reason.HOLD_AFTER_STEP_DOWN, 16, 1024)),
        ("also when failures come on top", [FAILING], replace(STATE, hold_samples=1, hold_for=Scope.DATABASE),
         (Reason.HOLD_AFTER_STEP_DOWN, 16, 1024)),
        ("a step down for failures answers no deadlock", [replace(STEADY, deadlocks=1)], replace(STATE, hold_samples=2, hold_for=Scope.OUTCOMES),
         (Reason.GUARDRAIL_STEP_DOWN, 8, 1024)),
        ("nor does growth taken back", [replace(STEADY, deadlocks=1)], replace(STATE, hold_samples=9), (Reason.GUARDRAIL_STEP_DOWN, 8, 1024)),
        ("an operator's word goes first", [replace(STEADY, deadlocks=1)], replace(STATE, override=CapacityOverride(30, None)),
         (Reason.OPERATOR_OVERRIDE, 30, 1024)),
        ("within the bounds", [STEADY], replace(STATE, override=CapacityOverride(999, 5)), (Reason.OPERATOR_OVERRIDE, 64, 1024)),
    ],
)  # fmt: skip
def test_what_follows(
    name: str, samples: Sequence[CapacitySample | None], state: CapacityState, expected: tuple[Reason, int, int]
) -> None:
    assert summary(after(*samples, state=state)) == expected, name


def test_connections_and_providers_bound_the_target() -> None:
    crowded = replace(STEADY, due=30_000, connections_max=100, connections_used=80)
    assert after(crowded).to_workers == 21, "five more connections until the guardrail"
    assert after(replace(STEADY, due=30_000), policy=replace(POLICY, provider_rate_max=12.0)).to_workers == 24


def test_a_tenfold_rise_is_followed_within_minutes_and_jobs_stay_younger_than_the_contract() -> None:
    """A queue of 2 s jobs as a fluid: it was at its target for 2 jobs a second, then 20 come."""
    policy = replace(POLICY, configured=5, floor=4)
    state, due, trace, worst = CapacityState(5, arrival_rate=2.0, mean_seconds=2.0), 0.0, [], 0.0
    samples: list[CapacitySample | None] = []
    for _ in range(12):
        finished = min(due + 20 * 60, state.workers / 2.0 * 60)
        due += 20 * 60 - finished
        worst = max(worst, due / 20)
        sample = CapacitySample(
            arrivals=1200, finished=int(finished), handler_seconds=2.0 * int(finished), due=int(due),
            age_p95_seconds=due / 20, workers=state.workers,
        )  # fmt: skip
        samples.insert(0, sample)
        decision = decide(state, samples, policy)
        state = decision.state
        trace.append(state.workers)
    assert trace[:3] == [10, 20, 40]
    assert max(trace) >= 50, "ten times as many as before"
    assert worst < 300, "of the contract"
    assert due == 0


def grown(workers: int, finished: int, due: int = 500) -> CapacitySample:
    return replace(STEADY, workers=workers, finished=finished, handler_seconds=2.0 * finished, due=due)


@pytest.mark.parametrize(
    ("name", "samples", "expected"),
    [
        ("twice as many, no more done", [grown(32, 240), grown(32, 240), grown(16, 240)], Reason.EFFICIENCY_REVERT),
        ("a quarter of the growth", [grown(32, 300), grown(32, 240), grown(16, 240)], Reason.RAMP_STEP),
        ("less than that", [grown(32, 299), grown(32, 240), grown(16, 240)], Reason.EFFICIENCY_REVERT),
        ("they had nothing to do", [grown(32, 240, due=5), grown(32, 240), grown(16, 240)], Reason.HOLD_RAMP_WINDOW),
        ("too few to tell", [grown(32, 20), grown(32, 20), grown(16, 20)], Reason.HOLD_RAMP_WINDOW),
    ],
)
def test_more_workers_that_finish_no_more_are_taken_back(
    name: str, samples: list[CapacitySample], expected: Reason
) -> None:
    state = (
        replace(STATE, workers=32, arrival_rate=14.0) if expected is Reason.RAMP_STEP else replace(STATE, workers=32)
    )
    if name == "too few to tell":
        samples = [replace(sample, due=50) for sample in samples]
    decision = after(*samples, state=state)
    assert decision.reason is expected, name
    if expected is Reason.EFFICIENCY_REVERT:
        assert (decision.to_workers, decision.state.hold_samples) == (16, 10)


def test_after_a_step_down_workers_hold_two_samples_and_the_cap_two_windows() -> None:
    state = replace(STATE, workers=64, in_flight_max=4096)
    decision = after(replace(STEADY, deadlocks=1), state=state)
    reasons, caps = [decision.reason], [decision.to_in_flight]
    for _ in range(11):
        decision = after(*[replace(STEADY, due=3000, active_workspaces=64)] * 2, state=decision.state)
        reasons.append(decision.reason)
        caps.append(decision.to_in_flight)
    held = Reason.HOLD_AFTER_STEP_DOWN
    assert reasons[:4] == [Reason.GUARDRAIL_STEP_DOWN, held, held, Reason.RAMP_STEP]
    assert caps == [2048] * 10 + [2112, 2112]


@pytest.mark.parametrize(
    ("bad", "expected"),
    [
        (replace(STEADY, deadlocks=1), [32, 32, 32, 16, 16, 16, 8, 8, 8, 4, 4, 4, 4]),
        (FAILING, [32, 32, 32, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16]),
    ],
)
def test_a_guardrail_that_stays_breached_steps_down_once_per_hold(bad: CapacitySample, expected: list[int]) -> None:
    state, workers, caps = replace(STATE, workers=64, in_flight_max=4096), [], []
    for _ in expected:
        decision = after(bad, bad, state=state)
        state = decision.state
        workers.append(decision.to_workers)
        caps.append(decision.to_in_flight)
    assert workers == expected
    assert caps == [2048] * 3 + [1024] * 10


def test_the_holds_begin_with_the_last_breach_that_stepped_down_and_the_caps_with_the_last_breach() -> None:
    bad, good = replace(STEADY, deadlocks=1), replace(STEADY, due=3000, active_workspaces=64)
    stepped = after(bad, state=replace(STATE, workers=64, in_flight_max=4096))
    held = after(bad, bad, state=stepped.state)
    reasons, caps, decision = [], [], held
    for _ in range(10):
        decision = after(good, good, state=decision.state)
        reasons.append(decision.reason)
        caps.append(decision.to_in_flight)
    assert (held.reason, reasons[:2]) == (Reason.HOLD_AFTER_STEP_DOWN, [Reason.HOLD_AFTER_STEP_DOWN, Reason.RAMP_STEP])
    assert caps == [2048] * 9 + [2112]
    assert decision.state.hold_for is None


def measured(*, succeeded: int, failed: int, retried: int, **rest: Any) -> CapacitySample:
    return CapacitySample(finished=succeeded + failed + retried, failed=failed, retried=retried, **rest)


samples = st.builds(
    measured,
    seconds=st.floats(1, 600),
    arrivals=st.integers(0, 100_000),
    succeeded=st.integers(0, 100_000),
    failed=st.integers(0, 500),
    retried=st.integers(0, 500),
    handler_seconds=st.floats(0, 1e6),
    due=st.integers(0, 1_000_000),
    age_p95_seconds=st.none() | st.floats(0, 10_000),
    workers=st.integers(0, 400),
    active_workspaces=st.integers(0, 100_000),
    sessions=st.integers(0, 100),
    lock_waiting=st.integers(0, 30),
    deadlocks=st.sampled_from([0, 0, 0, 1]),
    claims=st.integers(300, 1000),
    claim_conflicts=st.integers(0, 300),
    connect_wait_p95_seconds=st.none() | st.floats(0, 0.3),
    connections_used=st.integers(0, 100),
    connections_max=st.sampled_from([0, 100]),
)
histories = st.lists(st.none() | samples, max_size=6)
states = st.builds(
    CapacityState,
    workers=st.integers(1, 300),
    in_flight_max=st.integers(1024, 100_000),
    arrival_rate=st.none() | st.floats(0, 1e4),
    mean_seconds=st.none() | st.floats(0, 1e3),
    calm_seconds=st.floats(0, 2000),
    healthy_seconds=st.floats(-600, 2000),
    hold_samples=st.integers(0, 3),
    hold_for=st.none() | st.sampled_from(Scope),
)
words = st.none() | st.builds(CapacityOverride, st.none() | st.integers(1, 999), st.none() | st.integers(1, 99_999))


@given(states, words, histories)
def test_both_quantities_stay_within_their_bounds(
    state: CapacityState, word: CapacityOverride | None, history: list[CapacitySample | None]
) -> None:
    decision = decide(replace(state, override=word), history, POLICY)
    assert POLICY.floor <= decision.to_workers <= POLICY.ceiling
    assert decision.to_in_flight >= POLICY.in_flight_floor
    assert (decision.state.workers, decision.state.in_flight_max) == (decision.to_workers, decision.to_in_flight)


@given(states, histories)
def test_a_breached_guardrail_halves_within_one_decision(
    state: CapacityState, history: list[CapacitySample | None]
) -> None:
    decision = decide(replace(state, hold_samples=0), history, POLICY)
    if decision.guardrails:
        scopes = {guardrail.scope for guardrail in decision.guardrails}
        least = POLICY.floor if Scope.DATABASE in scopes else min(state.workers, POLICY.configured)
        assert decision.reason is Reason.GUARDRAIL_STEP_DOWN
        assert decision.to_workers == max(POLICY.floor, min(POLICY.ceiling, max(least, state.workers // 2)))
        assert decision.to_in_flight == max(POLICY.in_flight_floor, state.in_flight_max // 2)
        assert decision.state.hold_samples == 2


@given(states, histories)
def test_a_breached_guardrail_raises_nothing_and_is_answered_at_the_latest_when_the_hold_is_over(
    state: CapacityState, history: list[CapacitySample | None]
) -> None:
    decision = decide(state, history, POLICY)
    if decision.guardrails:
        assert decision.to_workers <= max(POLICY.floor, state.workers)
        assert decision.to_in_flight <= state.in_flight_max
        if decision.reason is Reason.HOLD_AFTER_STEP_DOWN:
            assert decision.state.hold_samples == state.hold_samples - 1
        else:
            assert decision.reason is Reason.GUARDRAIL_STEP_DOWN


@given(states, histories)
def test_a_missing_sample_never_ramps(state: CapacityState, history: list[CapacitySample | None]) -> None:
    for missing in ([None, *history], [STEADY, None, *history]):
        decision = decide(state, missing, POLICY)
        assert decision.to_workers <= max(state.workers, POLICY.floor)
        assert decision.to_in_flight <= state.in_flight_max


@given(states, histories)
def test_a_step_up_is_at_most_one_ramp_step(state: CapacityState, history: list[CapacitySample | None]) -> None:
    decision = decide(state, history, POLICY)
    assert decision.to_workers <= max(POLICY.floor, state.workers + max(POLICY.shards, state.workers))
    assert decision.to_in_flight <= state.in_flight_max + POLICY.in_flight_step


def test_a_rise_begins_the_quiet_time_anew() -> None:
    risen = after(replace(STEADY, due=1500), state=replace(STATE, calm_seconds=9000))
    assert (risen.reason, risen.state.calm_seconds) == (Reason.RAMP_STEP, 0)
    assert after(STEADY, STEADY, state=risen.state).reason is Reason.HOLD_RAMP_WINDOW
