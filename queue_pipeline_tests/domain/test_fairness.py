"""The fair order: no slot idles, weights are shares, the past is not owed, and a capped lane is passed over."""

from collections import Counter
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from queue_pipeline.domain import fairness
from queue_pipeline.domain.lane import VTIME_PER_JOB


@dataclass(eq=False)
class Lane:
    workspace: str
    vtime: int = 0
    weight: int = 1
    cap: int = 64
    in_flight: int = 0
    waiting: list[int] = field(default_factory=list)

    def next_jobs(self, count: int) -> list[int]:
        return self.waiting[:count]


def claim(lanes: list[Lane], size: int, *, room: int = 1_000_000) -> list[int]:
    """Carry out one claim; lanes without a waiting job rest, as drains see to."""
    ready = sorted((lane for lane in lanes if lane.waiting), key=lambda lane: (lane.vtime, lane.workspace))
    picks = fairness.pick(ready, size, room=room)
    for lane, job in picks:
        lane.waiting.remove(job)
        lane.in_flight += 1
        lane.vtime += fairness.vtime_step(lane.weight)
    return [job for _, job in picks]


lane_shapes = st.tuples(
    st.integers(0, 5 * VTIME_PER_JOB), st.sampled_from([1, 2, 3, 7, 1000]), st.integers(0, 8), st.integers(0, 8), st.integers(0, 12)
)  # fmt: skip


@st.composite
def some_lanes(draw: st.DrawFn) -> list[Lane]:
    shapes = draw(st.lists(lane_shapes, max_size=8))
    return [
        Lane(f"lane-{number}", vtime, weight, cap, in_flight, [number * 100 + place for place in range(jobs)])
        for number, (vtime, weight, cap, in_flight, jobs) in enumerate(shapes)
    ]


@given(some_lanes(), st.integers(0, 30), st.integers(0, 30))
def test_no_slot_idles_while_a_job_may_run(lanes: list[Lane], size: int, room: int) -> None:
    may_run = sum(min(len(lane.waiting), max(0, lane.cap - lane.in_flight)) for lane in lanes)
    taken = 0
    while taken < min(size, room) and (jobs := claim(lanes, size - taken, room=room - taken)):
        taken += len(jobs)
    assert taken == min(size, room, may_run)


@given(some_lanes(), st.integers(1, 30))
def test_a_cap_is_never_exceeded_and_no_job_is_picked_twice(lanes: list[Lane], size: int) -> None:
    before = {lane.workspace: lane.in_flight for lane in lanes}
    jobs = claim(lanes, size)
    assert len(set(jobs)) == len(jobs)
    for lane in lanes:
        assert lane.in_flight <= max(lane.cap, before[lane.workspace])


@given(st.integers(1, 20), st.sampled_from([(1, 2, 4), (1, 1, 3), (2, 5, 9)]))
@settings(max_examples=20, deadline=None)
def test_weights_are_shares_within_five_percent_over_a_long_run(size: int, weights: tuple[int, int, int]) -> None:
    lanes = [Lane(f"lane-{weight}-{n}", weight=weight, cap=10**9) for n, weight in enumerate(weights)]
    for number, lane in enumerate(lanes):
        lane.waiting = list(range(number * 10_000, number * 10_000 + 3_000))
    served = Counter[str]()
    while sum(served.values()) < 2_000:
        before = {lane.workspace: lane.in_flight for lane in lanes}
        claim(lanes, size)
        served.update({lane.workspace: lane.in_flight - before[lane.workspace] for lane in lanes})
    total = sum(served.values())
    for lane in lanes:
        assert served[lane.workspace] / total == pytest.approx(lane.weight / sum(weights), rel=0.05)


def test_a_lane_that_was_idle_is_served_at_once_and_is_not_owed_the_past() -> None:
    busy, late = Lane("busy", waiting=list(range(1000))), Lane("late", waiting=list(range(1000, 1200)))
    busy.cap = late.cap = 10**9
    for _ in range(20):
        claim([busy], 20)
    late.vtime = fairness.joined(late.vtime, fairness.virtual_time(lowest_ready=busy.vtime, highest_resting=late.vtime))
    jobs = claim([busy, late], 40)
    assert sum(job >= 1000 for job in jobs) == 20


def test_a_lane_at_its_cap_blocks_no_other_however_far_back_it_is() -> None:
    capped = Lane("capped", vtime=0, cap=3, in_flight=3, waiting=[1, 2])
    free = Lane("free", vtime=900 * VTIME_PER_JOB, waiting=[3, 4])
    assert claim([capped, free], 1) == [3]


def test_no_more_than_the_room_is_taken_and_nothing_without_any() -> None:
    lane = Lane("acme", waiting=[1, 2, 3])
    assert claim([lane], 20, room=0) == []
    assert claim([lane], 20, room=2) == [1, 2]


def test_only_as_many_lanes_are_read_as_the_claim_is_large() -> None:
    lanes = iter([Lane(f"lane-{n}", waiting=[n]) for n in range(5)])
    assert len(fairness.pick(lanes, 2, room=10)) == 2
    assert next(lanes).workspace == "lane-2"


def test_a_step_of_priority_is_worth_half_a_minute_so_that_nothing_waits_for_ever() -> None:
    minute = 60_000_000
    assert fairness.rank(minute, 0) > fairness.rank(minute, -1)
    assert fairness.rank(minute, 1) > fairness.rank(minute, 0)
    assert fairness.rank(0, 100) < fairness.rank(51 * minute, 0)


def test_an_empty_shard_starts_at_nought_and_a_resting_one_where_it_stopped() -> None:
    assert fairness.virtual_time(lowest_ready=None, highest_resting=None) == 0
    assert fairness.virtual_time(lowest_ready=None, highest_resting=70) == 70
    assert fairness.virtual_time(lowest_ready=50, highest_resting=70) == 50
    assert fairness.joined(90, 50) == 90


@given(st.lists(st.floats(0.001, 1e6), min_size=1, max_size=50))
def test_jains_index_lies_between_one_share_and_one(rates: list[float]) -> None:
    index = fairness.jain_index(rates)
    assert index is not None
    assert 1 / len(rates) - 1e-9 <= index <= 1 + 1e-9


def test_jains_index_is_one_for_equals_and_a_share_for_a_winner_who_takes_all() -> None:
    assert fairness.jain_index([3.0] * 4) == pytest.approx(1)
    assert fairness.jain_index([1.0, 0, 0, 0]) == pytest.approx(0.25)
    assert fairness.jain_index([]) is None
    assert fairness.jain_index([0.0]) is None


def test_the_starvation_factor_compares_the_worst_with_all_and_forgives_the_first_second() -> None:
    assert fairness.starvation_factor([1.0, 40.0], 10.0) == 4
    assert fairness.starvation_factor([0.5], 0.01) == 0.5
    assert fairness.starvation_factor([], 10.0) is None
