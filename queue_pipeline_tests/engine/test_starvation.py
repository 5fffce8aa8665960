"""A workspace that is passed over although others are served is found, whatever the claims think of it."""

from typing import Any

import pytest

from queue_pipeline.domain.health import breaches_in, starved_after
from queue_pipeline.domain.limits import Limits
from queue_pipeline.engine import health
from queue_pipeline_tests.engine.kitchen import SHARD, Bystander, Kitchen

LIMITS = Limits()


def measured(kitchen: Kitchen) -> tuple[int, float]:
    snapshot = health.measure(kitchen.db, limits=LIMITS, shards=[SHARD])
    assert (snapshot.starved_workspaces > 0) == any("not served" in each for each in breaches_in(snapshot, LIMITS))
    return snapshot.starved_workspaces, snapshot.longest_unserved_seconds


def waiting_for(kitchen: Kitchen, minutes: int, workspace: str = "acme", **lane: Any) -> None:
    """A workspace with one due job, made ready so many minutes ago and not served since."""
    kitchen.handle("note", lambda ctx, payload: None)
    kitchen.put("note", 1, workspace=workspace)
    Bystander(kitchen.db).exchange()
    kitchen.rows(
        "UPDATE job SET run_at = now() - make_interval(mins => :m) WHERE workspace = :w", m=minutes, w=workspace
    )
    kitchen.rows(
        "UPDATE workspace_lane SET ready_at = now() - make_interval(mins => :m), quota = :q, served_at = now() - make_interval(mins => :s)"
        " WHERE workspace = :w",
        m=minutes, w=workspace, q=lane.get("quota", 64), s=lane.get("served", 1000),
    )  # fmt: skip


def test_a_workspace_that_nobody_serves_is_starved_when_others_wait_little(kitchen: Kitchen) -> None:
    waiting_for(kitchen, 10)
    for number in range(30):  # the median wait is theirs
        waiting_for(kitchen, 0, f"w{number}", served=0)
    count, longest = measured(kitchen)
    assert count == 1
    assert longest == pytest.approx(600, abs=30)


def test_when_all_wait_as_long_nobody_is_starved(kitchen: Kitchen) -> None:
    for number in range(5):
        waiting_for(kitchen, 10, f"w{number}")
    assert measured(kitchen) == (0, 0)


@pytest.mark.parametrize(
    ("minutes", "lane"), [(1, {}), (10, {"served": 1}), (10, {"quota": 0})], ids=["young", "served lately", "no quota"]
)
def test_who_is_not_starved(kitchen: Kitchen, minutes: int, lane: dict[str, Any]) -> None:
    waiting_for(kitchen, minutes, **lane)
    for number in range(30):
        waiting_for(kitchen, 0, f"w{number}", served=0)
    assert measured(kitchen) == (0, 0)


def test_a_workspace_at_its_quota_is_not_starved(kitchen: Kitchen) -> None:
    waiting_for(kitchen, 10, quota=1)
    bystander = Bystander(kitchen.db)
    kitchen.put("note", 1)
    assert len(bystander.claim(1)) == 1
    kitchen.rows(
        "UPDATE workspace_lane SET ready_at = now() - interval '10 minutes', served_at = now() - interval '10 minutes'"
    )
    kitchen.rows("UPDATE job SET run_at = now() - interval '10 minutes' WHERE state = 'PENDING'")
    for number in range(30):
        waiting_for(kitchen, 0, f"w{number}", served=0)
    assert measured(kitchen) == (0, 0)
    bystander.close()


@pytest.mark.parametrize(("median", "after"), [(None, 120), (0.004, 120), (6, 120), (7, 140), (60, 1200)])
def test_the_bound_follows_the_median_wait_but_not_into_milliseconds(median: float | None, after: float) -> None:
    assert starved_after(median, LIMITS) == after
