import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queue_pipeline.domain.slo import burn_rate, nearest_rank, wilson

AGES = st.lists(st.floats(0, 1e6), min_size=1, max_size=200)


@given(AGES, st.floats(1, 100))
def test_the_nearest_rank_is_the_smallest_value_that_enough_do_not_exceed(ages: list[float], percent: float) -> None:
    """Counted naively, without any formula for an index."""
    needed = percent / 100 * len(ages)
    naive = min(age for age in ages if sum(other <= age for other in ages) >= needed)
    assert nearest_rank(ages, percent) == naive


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [([], 95, None), ([7.0], 95, 7.0), (range(1, 101), 95, 95), (range(1, 61), 95, 57), ([3, 1, 2], 50, 2)],
)
def test_the_nearest_rank_of_known_samples(values: list[float], percent: float, expected: float | None) -> None:
    assert nearest_rank(list(values), percent) == expected


@pytest.mark.parametrize(
    ("events", "of", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_the_wilson_interval_has_its_published_values(events: int, of: int, low: float, high: float) -> None:
    """Newcombe, Statistics in Medicine 17 (1998), table I, method 3."""
    rate = wilson(events, of)
    assert (round(rate.low, 4), round(rate.high, 4)) == (low, high)


@given(st.integers(0, 500), st.integers(1, 500))
def test_the_interval_holds_the_rate_and_stays_between_0_and_1(events: int, of: int) -> None:
    rate = wilson(min(events, of), of)
    assert rate.value is not None
    assert 0 <= rate.low <= rate.value + 1e-12
    assert rate.value - 1e-12 <= rate.high <= 1


def test_of_nothing_nothing_is_known() -> None:
    assert (wilson(0, 0).low, wilson(0, 0).high, wilson(0, 0).value) == (0.0, 1.0, None)
    assert burn_rate(0, 0, 0.99) is None


def test_the_budget_of_30_days_burns_in_two_days_at_a_rate_of_14_4() -> None:
    rate = burn_rate(144, 1000, 0.99)
    assert rate is not None
    assert math.isclose(rate, 14.4)
