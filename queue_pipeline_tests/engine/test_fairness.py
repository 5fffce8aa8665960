"""Workspaces share a shard by weight, none is starved, and a quota is never exceeded."""

import threading
from collections import Counter
from typing import Any

from queue_pipeline import JobContext
from queue_pipeline.domain.limits import Limits
from queue_pipeline.store import claim as claims
from queue_pipeline_tests.engine.kitchen import Bystander, Kitchen
from queue_pipeline_tests.waiting import eventually


def noted(kitchen: Kitchen) -> list[str]:
    """A kind `note` whose handler notes the workspace in the order of the starts."""
    order: list[str] = []
    kitchen.handle("note", lambda ctx, payload: order.append(ctx.workspace))
    return order


def claimed(kitchen: Kitchen, count: int) -> Counter[str]:
    """The workspaces of the next so many jobs in the fair order."""
    bystander = Bystander(kitchen.db)
    taken = Counter[str]()
    while sum(taken.values()) < count:
        claims = bystander.claim(min(20, count - sum(taken.values())))
        assert claims
        taken.update(claim.workspace for claim in claims)
    bystander.close()
    return taken


def test_ten_jobs_do_not_wait_behind_a_thousand(kitchen: Kitchen) -> None:
    order = noted(kitchen)
    kitchen.put("note", 1000, workspace="large")
    kitchen.put("note", 10, workspace="small")
    report = kitchen.drain(concurrency=1)
    assert report.counts["succeeded"] == 1010
    last_of_small = max(place for place, workspace in enumerate(order) if workspace == "small")
    assert last_of_small < 60  # turn by turn it is 20, and a claim in advance may add a batch


def test_weights_are_shares(kitchen: Kitchen) -> None:
    noted(kitchen)
    for workspace in ("one", "two", "four"):
        kitchen.put("note", 100, workspace=workspace)
    Bystander(kitchen.db).exchange()  # the lanes exist from here on
    kitchen.rows(
        "UPDATE workspace_lane SET quota = 1000, weight = CASE workspace WHEN 'one' THEN 1 WHEN 'two' THEN 2 ELSE 4 END"
    )
    assert claimed(kitchen, 70) == {"one": 10, "two": 20, "four": 40}


def test_a_workspace_that_was_idle_is_neither_starved_nor_owed_the_past(kitchen: Kitchen) -> None:
    noted(kitchen)
    kitchen.put("note", 500, workspace="busy")
    Bystander(kitchen.db).exchange()
    kitchen.rows("UPDATE workspace_lane SET quota = 1000")
    assert claimed(kitchen, 100) == {"busy": 100}
    kitchen.put("note", 100, workspace="late")
    assert claimed(kitchen, 40) == {"busy": 20, "late": 20}


def test_a_lane_at_its_quota_is_passed_over_and_never_waited_for(kitchen: Kitchen) -> None:
    noted(kitchen)
    kitchen.put("note", 30, workspace="capped")
    kitchen.put("note", 30, workspace="free")
    bystander = Bystander(kitchen.db)
    bystander.exchange()
    kitchen.rows("UPDATE workspace_lane SET quota = CASE workspace WHEN 'capped' THEN 3 ELSE 64 END")
    taken = Counter(claim.workspace for _ in range(3) for claim in bystander.claim(20))
    assert taken == {"capped": 3, "free": 30}
    bystander.close()


def test_a_lane_with_quota_nought_is_paused(kitchen: Kitchen) -> None:
    order = noted(kitchen)
    Bystander(kitchen.db).exchange()
    kitchen.rows("INSERT INTO workspace_lane (workspace, shard, quota) VALUES ('paused', 'shard-00', 0)")
    kitchen.put("note", 5, workspace="paused")
    kitchen.put("note", 5, workspace="free")
    kitchen.drain()
    assert order == ["free"] * 5
    kitchen.rows("UPDATE workspace_lane SET quota = 64")
    kitchen.drain()
    assert order[5:] == ["paused"] * 5


def test_a_quota_holds_across_drains_and_all_jobs_end(kitchen: Kitchen) -> None:
    now, most, lock = Counter[str](), Counter[str](), threading.Lock()

    def handler(ctx: JobContext, payload: Any) -> None:
        with lock:
            now[ctx.workspace] += 1
            most[ctx.workspace] = max(most[ctx.workspace], now[ctx.workspace])
        threading.Event().wait(0.01)
        with lock:
            now[ctx.workspace] -= 1

    kitchen.handle("work", handler)
    kitchen.rows(
        "INSERT INTO workspace_lane (workspace, shard, quota) VALUES ('a', 'shard-00', 2), ('b', 'shard-00', 3)"
    )
    kitchen.put("work", 40, workspace="a")
    kitchen.put("work", 40, workspace="b")
    for _ in range(2):
        kitchen.start()
    eventually(lambda: kitchen.states() == {"SUCCEEDED": 80}, within=40, what="all jobs to end")
    assert most["a"] <= 2
    assert most["b"] <= 3


def test_in_flight_is_counted_from_rows_so_a_dead_drain_frees_the_quota(kitchen: Kitchen) -> None:
    order = noted(kitchen)
    kitchen.rows("INSERT INTO workspace_lane (workspace, shard, quota) VALUES ('acme', 'shard-00', 2)")
    kitchen.put("note", 6)
    dead = Bystander(kitchen.db)
    assert len(dead.claim()) == 2
    dead.die()
    kitchen.start()
    eventually(lambda: len(order) == 6, within=20, what="the freed quota to be used")


def test_priorities_age_so_that_none_waits_for_ever(kitchen: Kitchen) -> None:
    """A step of priority is worth half a minute: 10 steps are worth five."""
    noted(kitchen)
    late, old, older, urgent = kitchen.put("note", 4)
    for job, priority, minutes in ((late, 0, 0), (old, 10, 4), (older, 10, 6), (urgent, -10, 0)):
        kitchen.rows(
            "UPDATE job SET priority = :p, run_at = now() - make_interval(mins => :m) WHERE job_id = :j",
            p=priority, m=minutes, j=job,
        )  # fmt: skip
    bystander = Bystander(kitchen.db)
    taken = [bystander.claim(1)[0].job_id for _ in range(4)]
    assert taken == [urgent, older, late, old]
    bystander.close()


def test_the_step_of_a_priority_is_the_bound_of_the_contract() -> None:
    assert f"{Limits().priority_step_seconds:.0f} seconds" in claims.RANK


def test_all_claims_together_stay_below_the_global_cap(kitchen: Kitchen) -> None:
    noted(kitchen)
    for workspace in ("a", "b", "c"):
        kitchen.put("note", 10, workspace=workspace)
    one, two = Bystander(kitchen.db), Bystander(kitchen.db)
    rule = claims.LaneRule(in_flight_max=7)
    brought = [each.exchange(size=5, rule=rule) for each in (one, two)]
    assert [len(each.claims) for each in brought] == [5, 2]
    full = one.exchange(size=5, rule=rule)
    assert (full.claims, full.lanes_ready, full.lanes_open) == ([], True, False)
    assert len(two.exchange(size=5, rule=claims.LaneRule(in_flight_max=8)).claims) == 1
    assert len(two.exchange(size=5).claims) == 5
    one.close()
    two.close()


def test_a_claim_begins_at_its_floor_and_says_where_the_next_may_begin(kitchen: Kitchen) -> None:
    noted(kitchen)
    for workspace in ("low", "high"):
        kitchen.put("note", 3, workspace=workspace)
    bystander = Bystander(kitchen.db)
    bystander.exchange()
    kitchen.rows("UPDATE workspace_lane SET vtime = CASE workspace WHEN 'low' THEN 5 ELSE 7000000 END")
    above = bystander.exchange(size=1, floor=6)
    assert ([claim.workspace for claim in above.claims], above.floor) == (["high"], 7_000_000)
    below = bystander.exchange(size=1)
    assert ([claim.workspace for claim in below.claims], below.floor) == (["low"], 5)
    bystander.close()


def test_a_lane_that_was_woken_below_the_floor_of_a_busy_drain_is_found_all_the_same(kitchen: Kitchen) -> None:
    """It read the virtual time that it joined at before a claim moved on, and was committed after it."""
    order: list[str] = []

    def handler(ctx: JobContext, payload: Any) -> None:
        order.append(ctx.workspace)
        threading.Event().wait(0.002)  # four at once: the backlog lasts six seconds at least

    kitchen.handle("note", handler)
    kitchen.put("note", 12_000, workspace="busy")
    drain = kitchen.start()
    eventually(lambda: len(order) > 300, within=20, what="the drain to be busy")
    with kitchen.db.begin() as tx:  # nothing wakes this lane
        tx.exec_driver_sql(
            "INSERT INTO workspace_lane (workspace, shard, ready, vtime) VALUES ('late', 'shard-00', true, -1)"
        )
        tx.exec_driver_sql(
            "INSERT INTO job (kind, workspace, state, run_at, first_due_at, payload)"
            " VALUES ('note', 'late', 'PENDING', now(), now(), '{}')"
        )
    eventually(lambda: "late" in order, within=30, what="the lane below the floor to be served")
    assert kitchen.states().get("PENDING", 0) > 0, "it was served when nothing else was left"
    drain.finish()
