from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from math import inf
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queue_pipeline.domain.quota_window import (
    QuotaRules,
    Window,
    WorkspaceSample,
    contended_in_a_row,
    failures_in_a_row,
    healthy_in_a_row,
    problem_of,
    windows,
)

RULES = QuotaRules()
NOW = datetime(2026, 11, 30, 12, 0, 7, tzinfo=UTC)
NOON = NOW.replace(second=0)
LONG_AGO = NOW - timedelta(days=1)
GOOD: dict[str, Any] = {"oldest_due_age_seconds": 1.0, "finished": 10, "sessions": 10}


def minute(before_noon: int, **changes: Any) -> WorkspaceSample:
    """A good sample taken within the minute that began so many minutes before noon, with these changes."""
    return WorkspaceSample(NOON - timedelta(minutes=before_noon) + timedelta(seconds=7), **{**GOOD, **changes})


def half_hour(*changed: dict[str, Any], missing: int = 0) -> Window:
    """The half hour before noon: good, but for its first samples, which have these changes, and its last, which are missing."""
    samples = [minute(30 - place, **(changed[place] if place < len(changed) else {})) for place in range(30 - missing)]
    (window,) = windows(samples, now=NOW, since=LONG_AGO, minutes=30, count=1)
    return window


def ages(*seconds: float) -> Sequence[dict[str, Any]]:
    return [{"oldest_due_age_seconds": each} for each in seconds]


@pytest.mark.parametrize(
    ("window", "problem"),
    [
        (half_hour(), None),
        (half_hour(*ages(*[179.9] * 30)), None),
        (half_hour(*ages(*[180.0] * 30)), "the p95 of the queue age was 180.0 s and must be below 180 s"),
        (half_hour(*ages(5000)), None),
        (half_hour(*ages(5000, 180)), "the p95 of the queue age was 180.0 s and must be below 180 s"),
        (half_hour(*ages(5000, 179.9)), None),
        (half_hour(missing=1), None),
        (half_hour(*ages(5000), missing=1), "the p95 of the queue age was 5000.0 s and must be below 180 s"),
        (half_hour(missing=2), "2 of its 30 minutes have no sample"),
        (half_hour({"finished": 210, "failed": 2}, *[{"finished": 10}] * 29), None),  # 2 of 500
        (half_hour({"finished": 110, "failed": 2}), "2 of 400 attempts failed, 0.50%, and must be below 0.5%"),
        (half_hour(*[{"finished": 0}] * 30), "no attempt ended in it, which proves nothing"),
        (half_hour({"duplicates": 1}), "1 idempotency key has more than one message at a provider"),
        (half_hour({"lock_waiting": 2}, {"lock_waiting": 2}), "sessions of the database waited for each other"),
        (half_hour({"lock_waiting": 1}, {"lock_waiting": 1}), None),
        (half_hour({"lock_waiting": 2}, {}, {"lock_waiting": 2}), None),
        (half_hour({"deadlocks": 0}, *[{"deadlocks": 1}] * 29), "sessions of the database waited for each other"),
        (half_hour(*[{"deadlocks": 7}] * 30), None),
        (half_hour({"deadlocks": 9}, *[{"deadlocks": 0}] * 29), None),
    ],
)  # fmt: skip
def test_a_window_is_healthy_or_says_what_is_wrong_with_it(window: Window, problem: str | None) -> None:
    assert problem_of(window, RULES) == problem


def test_a_deadlock_between_two_windows_belongs_to_the_later_one() -> None:
    samples = [minute(n, deadlocks=1 if n <= 15 else 0) for n in range(1, 31)]
    later, earlier = windows(samples, now=NOW, since=LONG_AGO, minutes=15, count=2)
    assert (later.is_contended(RULES), earlier.is_contended(RULES)) == (True, False)


def test_a_minute_in_which_nobody_looked_ends_a_row_of_lock_waits() -> None:
    samples = [minute(n, lock_waiting=2 if n in (10, 8) else 0) for n in range(1, 31) if n != 9]
    (window,) = windows(samples, now=NOW, since=LONG_AGO, minutes=30, count=1)
    assert not window.is_contended(RULES)


def test_windows_begin_at_full_and_half_hours_and_the_one_that_is_not_over_does_not_count() -> None:
    at = NOW + timedelta(minutes=29)
    found = windows([minute(0, oldest_due_age_seconds=999)], now=at, since=LONG_AGO, minutes=30, count=2)
    assert [window.began_at for window in found] == [NOON - timedelta(minutes=30), NOON - timedelta(minutes=60)]
    assert [window.missing for window in found] == [30, 30]
    (over,) = windows([minute(0)], now=at + timedelta(minutes=1), since=LONG_AGO, minutes=30, count=1)
    assert (over.began_at, over.missing) == (NOON, 29)


@pytest.mark.parametrize(("since", "count"), [(60, 2), (59, 1), (30, 1), (29, 0), (0, 0)])
def test_a_window_counts_when_all_of_it_came_after_the_last_change(since: int, count: int) -> None:
    found = windows([], now=NOW, since=NOON - timedelta(minutes=since), minutes=30, count=2)
    assert len(found) == count


def test_in_a_row_is_counted_back_from_the_latest_window() -> None:
    good, bad = half_hour(), half_hour(missing=5)
    assert healthy_in_a_row([], RULES) == 0
    assert healthy_in_a_row([good, good, bad, good], RULES) == 2
    assert healthy_in_a_row([bad, good, good, good], RULES) == 0


@pytest.mark.parametrize(("failed", "breaches"), [(20, 1), (19, 0)])
def test_two_percent_of_failures_are_a_breach_and_less_are_none(failed: int, breaches: int) -> None:
    window = half_hour({"finished": 710, "failed": failed})  # of 1000
    assert window.finished == 1000
    assert failures_in_a_row([window], RULES) == breaches


def test_nothing_measured_speaks_for_no_demotion() -> None:
    nothing = half_hour(missing=30)
    assert failures_in_a_row([nothing, nothing], RULES) == contended_in_a_row([nothing, nothing], RULES) == 0
    assert healthy_in_a_row([nothing], RULES) == 0
    assert nothing.signals(RULES)["queue_age_p95_seconds"] is None


@given(
    st.lists(st.none() | st.floats(0, 1000), min_size=30, max_size=30),
    st.integers(0, 29),
    st.none() | st.floats(0, 1000),
)
def test_a_worse_or_missing_minute_never_makes_a_window_better(
    measured: list[float | None], place: int, other: float | None
) -> None:
    def p95(values: list[float | None]) -> float:
        samples = [None if value is None else minute(1, oldest_due_age_seconds=value) for value in values]
        return Window(NOON, samples).queue_age_p95_seconds

    def badness(value: float | None) -> float:
        return inf if value is None else value

    changed = [*measured[:place], other, *measured[place + 1 :]]
    if badness(other) >= badness(measured[place]):
        assert p95(changed) >= p95(measured)


@given(st.permutations([minute(n, oldest_due_age_seconds=float(n)) for n in range(1, 31)]))
def test_the_order_of_samples_does_not_matter(samples: list[WorkspaceSample]) -> None:
    assert windows(samples, now=NOW, since=LONG_AGO, minutes=30, count=1) == windows(
        sorted(samples, key=lambda sample: sample.sampled_at), now=NOW, since=LONG_AGO, minutes=30, count=1
    )


def test_the_look_back_holds_every_window_of_a_promotion() -> None:
    just_before = NOON + timedelta(minutes=30) - timedelta(seconds=1)
    found = windows([], now=just_before, since=LONG_AGO, minutes=30, count=RULES.windows_to_promote)
    assert just_before - found[-1].began_at < timedelta(minutes=RULES.look_back_minutes)
    assert replace(RULES, windows_to_promote=2).look_back_minutes == 90
