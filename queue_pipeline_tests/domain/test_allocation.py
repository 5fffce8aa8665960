"""Workers shared among shards: who needs little first, nothing lost, and drains only where one does not suffice."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queue_pipeline.domain.allocation import allocation, with_headroom

loads = st.dictionaries(st.sampled_from([f"shard-{n:02d}" for n in range(8)]), st.integers(0, 100), min_size=1)


def share(workers: int, **need: int) -> dict[str, tuple[int, int]]:
    parts = allocation(workers, need, drains_per_shard_max=4, workers_per_drain_max=16)
    return {shard: (part.workers, part.drains) for shard, part in parts.items()}


def test_an_even_load_is_shared_evenly_by_one_drain_each() -> None:
    assert share(16, a=5, b=5, c=5, d=5) == {"a": (4, 1), "b": (4, 1), "c": (4, 1), "d": (4, 1)}
    assert share(16) == {}


@pytest.mark.parametrize(
    ("name", "workers", "need", "expected"),
    [
        ("the quiet one has what it needs, and headroom", 40, {"hot": 60, "quiet": 8}, {"hot": 26, "quiet": 14}),
        ("a mountain takes nothing that others need", 128, {"a": 64, "b": 30, "c": 31, "d": 32}, {"a": 32, "b": 32, "c": 32, "d": 32}),
        ("what others do not need is lent out", 64, {"a": 64, "b": 4, "c": 4, "d": 4}, {"a": 40, "b": 8, "c": 8, "d": 8}),
        ("what nobody needs makes all equal", 64, {"a": 16, "b": 0, "c": 0, "d": 0}, {"a": 24, "b": 14, "c": 13, "d": 13}),
        ("nobody has less than one", 4, {"a": 64, "b": 0, "c": 0, "d": 0}, {"a": 1, "b": 1, "c": 1, "d": 1}),
        ("less than all need is shared evenly", 20, {"a": 40, "b": 30, "c": 50, "d": 60}, {"a": 5, "b": 5, "c": 5, "d": 5}),
    ],
)  # fmt: skip
def test_each_has_what_it_needs_lowest_first(
    name: str, workers: int, need: dict[str, int], expected: dict[str, int]
) -> None:
    assert {shard: part for shard, (part, _) in share(workers, **need).items()} == expected, name


def test_headroom_is_twice_the_square_root() -> None:
    assert [with_headroom(need) for need in (0, 1, 2, 16, 64)] == [0, 3, 5, 24, 80]


def test_a_shard_at_its_most_leaves_the_rest_to_others() -> None:
    assert share(100, hot=1000, quiet=0) == {"hot": (64, 4), "quiet": (36, 3)}
    assert share(1000, a=1, b=1) == {"a": (64, 4), "b": (64, 4)}


@given(st.integers(1, 600), loads)
def test_every_shard_has_one_and_nothing_is_lost(workers: int, need: dict[str, int]) -> None:
    parts = allocation(workers, need, drains_per_shard_max=4, workers_per_drain_max=16)
    assert sum(part.workers for part in parts.values()) == max(len(need), min(workers, 64 * len(need)))
    assert all(1 <= part.workers <= 64 and part.workers <= 16 * part.drains for part in parts.values())


@given(st.integers(1, 600), loads)
def test_one_worker_more_takes_nothing_from_any_shard(workers: int, need: dict[str, int]) -> None:
    fewer = allocation(workers, need, drains_per_shard_max=4, workers_per_drain_max=16)
    more = allocation(workers + 1, need, drains_per_shard_max=4, workers_per_drain_max=16)
    assert all(more[shard].workers >= part.workers for shard, part in fewer.items())


@given(st.integers(1, 600), loads)
def test_a_shard_has_what_it_needs_up_to_its_equal_part(workers: int, need: dict[str, int]) -> None:
    parts = allocation(workers, need, drains_per_shard_max=4, workers_per_drain_max=16)
    equal = min(workers // len(need), 64)
    for shard, part in parts.items():
        assert part.workers >= min(with_headroom(need[shard]), equal), (shard, parts)


@given(st.integers(1, 600), loads)
def test_nobody_has_more_than_needed_while_another_has_less(workers: int, need: dict[str, int]) -> None:
    parts = allocation(workers, need, drains_per_shard_max=4, workers_per_drain_max=16)
    short = [shard for shard, part in parts.items() if part.workers < min(with_headroom(need[shard]), 64)]
    for shard, part in parts.items():
        if short:
            assert part.workers <= max(1, with_headroom(need[shard])), (shard, parts)
            assert part.workers <= max(1, min(parts[each].workers for each in short) + 1), (shard, parts)
