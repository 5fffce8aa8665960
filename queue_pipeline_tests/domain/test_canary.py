"""Who is in a canary, what a plan may be, and where its clock takes it."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queue_pipeline.domain.canary import (
    BUCKETS,
    ENDED,
    MOVES,
    CanaryContract,
    CanaryPlan,
    CanaryState,
    bucket_of,
    buckets_below,
    checked,
    is_in,
    phase_after,
)
from queue_pipeline.domain.errors import InvalidInput

PLAN = CanaryPlan({"drafts.auto_send": "on"}, 10.0)
CONTRACT = CanaryContract()
S = CanaryState


def test_a_tenth_of_many_workspaces_is_in_a_canary_of_ten_percent() -> None:
    inside = sum(is_in(f"team-{number}", share=10.0, allow=()) for number in range(10_000))
    assert 900 < inside < 1100


@given(st.text(max_size=50), st.floats(0, 100), st.floats(0, 100))
def test_a_larger_share_loses_nobody_and_all_is_everybody(workspace: str, one: float, other: float) -> None:
    small, large = sorted((one, other))
    assert 0 <= bucket_of(workspace) < BUCKETS
    assert is_in(workspace, share=large, allow=()) or not is_in(workspace, share=small, allow=())
    assert is_in(workspace, share=100.0, allow=())
    assert not is_in(workspace, share=0.0, allow=())
    assert is_in(workspace, share=0.0, allow=[workspace])


def test_the_buckets_of_known_names_never_change() -> None:
    assert [bucket_of(name) for name in ("acme", "Änderung", "会社")] == [3404, 9640, 5271]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"candidate": {}}, "set"),
        ({"share": -1.0}, "share"),
        ({"share": 100.1}, "share"),
        ({"share": math.nan}, "share"),
        ({"share": 0.0}, "share"),
        ({"share": 0.001}, "share"),
        ({"allow": (" ",)}, "workspace"),
        ({"allow": ("a\0b",)}, "workspace"),
        ({"contract": CanaryContract(warm_up_seconds=-1)}, "warm_up_seconds"),
        ({"contract": CanaryContract(window_seconds=4, samples_min=1)}, "window_seconds"),
        ({"contract": CanaryContract(samples_min=0)}, "samples_min"),
        ({"contract": CanaryContract(started_min=-1)}, "started_min"),
        ({"contract": CanaryContract(samples_min=61)}, "samples_min"),
    ],
)
def test_a_plan_that_cannot_be_is_refused_by_the_name_of_its_field(change: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        checked(replace(PLAN, **change))  # type: ignore[arg-type]
    assert str(refused.value).startswith(field)


def test_a_list_of_workspaces_needs_no_share() -> None:
    assert checked(replace(PLAN, share=0.0, allow=("acme",))).allow == ("acme",)


def test_only_what_is_less_than_the_failure_contract_is_called_shortened() -> None:
    assert CONTRACT.shortened() == []
    assert replace(CONTRACT, window_seconds=7200, samples_min=100).shortened() == []
    short = CanaryContract(warm_up_seconds=1, window_seconds=60, samples_min=5, started_min=10)
    assert short.shortened() == [
        "warm-up: 1 s instead of 600 s",
        "window: 60 s instead of 3600 s",
        "samples: 5 instead of 55",
        "started jobs: 10 instead of 200",
    ]


@pytest.mark.parametrize(
    ("window", "every", "expected"), [(3600, 60, 60), (600, 60, 10), (599, 599 / 60, 60), (300, 5, 60), (60, 5, 12)]
)
def test_short_windows_are_sampled_more_often(window: int, every: float, expected: int) -> None:
    contract = CanaryContract(window_seconds=window)
    assert (contract.sample_every(), contract.samples_expected()) == (every, expected)


@given(st.lists(st.floats(0.1, 14.9), min_size=400, max_size=400))
def test_looking_late_does_not_make_samples_fewer(pauses: list[float]) -> None:
    """Whoever looks every so many seconds, irregularly, takes one sample for each minute."""
    at, last, taken = 0.0, None, 0
    for pause in pauses:
        if CONTRACT.is_sample_due(at, last):
            last, taken = at, taken + 1
        at += pause
    assert taken == (at - pauses[-1]) // 60 + 1


@pytest.mark.parametrize(
    ("apart", "missing"), [(60.0, 0), (75.0, 0), (89.9, 0), (100.0, 1), (120.0, 1), (180.0, 2), (600.0, 9)]
)
def test_a_sample_that_is_a_little_late_is_not_missing(apart: float, missing: int) -> None:
    assert CONTRACT.missing_between(apart) == missing


def test_what_has_ended_goes_nowhere_and_everything_else_can_be_turned_back() -> None:
    assert {S.PROMOTED, S.ABORTED, S.ROLLED_BACK} == ENDED
    assert all({S.ABORTED, S.ROLLED_BACK} <= after for state, after in MOVES.items() if state not in ENDED)
    assert [state for state, after in MOVES.items() if S.PROMOTED in after] == [S.COMPLETE]


@pytest.mark.parametrize(
    ("state", "seconds", "after"),
    [
        (S.WARMING, 599.9, S.WARMING),
        (S.WARMING, 600, S.WATCHING),
        (S.WATCHING, 3599.9, S.WATCHING),
        (S.WATCHING, 3600, S.COMPLETE),
        (S.HELD, 99_999, S.HELD),
        (S.COMPLETE, 99_999, S.COMPLETE),
        (S.PROMOTED, 99_999, S.PROMOTED),
    ],
)
def test_the_clock_ends_the_warm_up_and_the_window_and_nothing_else(
    state: CanaryState, seconds: float, after: CanaryState
) -> None:
    assert phase_after(state, seconds, CONTRACT) is after


def test_a_share_is_counted_in_hundredths_of_a_percent() -> None:
    assert [buckets_below(share) for share in (0.01, 1, 33.33, 100)] == [1, 100, 3333, 10_000]
