"""How workers are shared among shards, and how many drains that takes."""

import heapq
import math
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class ShardCapacity:
    """A shard's part: handlers at once in all its drains, and how many drains that takes."""

    workers: int
    drains: int


def with_headroom(need: int) -> int:
    """How many handlers keep jobs from waiting where so many are needed at the instant at which it was measured.

    What is needed a minute later strays from it by its square root, as the number of random arrivals does; twice that
    covers nearly all (square-root staffing).
    """
    return math.ceil(need + 2 * math.sqrt(need))


def allocation(
    workers: int, shards_need: Mapping[str, int], *, drains_per_shard_max: int, workers_per_drain_max: int
) -> dict[str, ShardCapacity]:
    """Share workers among the shards with work, given as how many handlers each could use now.

    Each gets at least one. Max-min: every next worker goes to the shard that has fewest, first among those that have
    less than they need and some headroom, then among all. So a shard with a mountain takes only what quiet ones do not
    need, and of what nobody needs each has its turn. More workers never mean fewer for any shard.
    """
    wanted = {shard: with_headroom(need) for shard, need in shards_need.items()}
    given = dict.fromkeys(shards_need, 1)
    most = drains_per_shard_max * workers_per_drain_max
    ranked = [(wanted[shard] <= 1, 1, shard) for shard in given if most > 1]
    heapq.heapify(ranked)
    for _ in range(workers - len(given)):
        if not ranked:
            break
        _, count, shard = heapq.heappop(ranked)
        given[shard] = count = count + 1
        if count < most:
            heapq.heappush(ranked, (count >= wanted[shard], count, shard))
    return {shard: ShardCapacity(count, math.ceil(count / workers_per_drain_max)) for shard, count in given.items()}
