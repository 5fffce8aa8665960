"""Simulations repeat bit by bit, lose nothing, and show what they are there to show."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from queue_pipeline.domain.errors import InvalidInput
from queue_pipeline.domain.fairness import vtime_step
from queue_pipeline.domain.simulation import (
    ORDINARY,
    Group,
    Order,
    Scenario,
    SimulationPlan,
    SimulationReport,
    as_document,
    interleaved,
)
from queue_pipeline.engine import simulation_load
from queue_pipeline.engine.simulation import simulate
from queue_pipeline.engine.simulation_capacity import Capacity
from queue_pipeline.engine.simulation_order import FairOrder, FifoOrder, InterleavedOrder, SimulatedLane

SMALL = SimulationPlan(Scenario.STEADY, workspaces=4000, minutes=10, workers=32, shards=4, enforce=False)


def simulated(scenario: Scenario, **changes: Any) -> SimulationReport:
    return simulate(replace(SMALL, scenario=scenario, **changes))


@pytest.mark.parametrize("scenario", list(Scenario))
def test_every_job_is_somewhere_and_none_is_finished_twice(scenario: Scenario) -> None:
    report = simulated(scenario, enforce=True)
    for run in report.orders:
        assert run.ledger.lost(report.jobs) == 0
        assert run.ledger.finished_twice == 0
        assert sum(group.jobs for group in run.groups) == report.jobs


@pytest.mark.parametrize("scenario", [Scenario.BURST, Scenario.PROVIDER_OUTAGE, Scenario.DEAD_HOST])
def test_the_same_seed_gives_the_same_report_and_another_seed_another(scenario: Scenario) -> None:
    first = as_document(simulated(scenario, enforce=True))
    assert as_document(simulated(scenario, enforce=True)) == first
    assert as_document(simulated(scenario, enforce=True, seed=2))["orders"] != first["orders"]


def test_a_mountain_of_one_workspace_is_felt_by_it_alone() -> None:
    report = simulated(Scenario.BURST)
    fair, fifo = report.of(Order.FAIR), report.of(Order.FIFO)
    for group in ORDINARY:
        assert fair.of(group).wait_p95 < 3
        assert fifo.of(group).wait_p95 > 20 * fair.of(group).wait_p95
    assert fair.of(Group.BURSTER).wait_p95 > 60
    assert fair.jain > 0.9 > fifo.jain


def test_taking_turns_among_the_oldest_few_does_not_help_against_a_mountain() -> None:
    report = simulated(Scenario.BURST)
    fifo, interleaving = report.of(Order.FIFO).of(Group.SMALL), report.of(Order.INTERLEAVED).of(Group.SMALL)
    assert interleaving.wait_p95 == pytest.approx(fifo.wait_p95, rel=0.1)


def test_slow_workspaces_hold_up_the_others_for_less_than_under_fifo() -> None:
    report = simulated(Scenario.SLOW_TENANTS)
    assert report.of(Order.FAIR).of(Group.SMALL).wait_p95 < report.of(Order.FIFO).of(Group.SMALL).wait_p95 / 3


def test_jobs_of_a_host_that_vanished_come_back_after_its_lease_and_its_late_writes_are_refused() -> None:
    report = simulated(Scenario.DEAD_HOST)
    fair = report.of(Order.FAIR)
    assert fair.ledger.given_back > 0
    assert fair.ledger.late_refused > 0
    assert fair.ledger.finished + fair.ledger.running + fair.ledger.waiting == report.jobs
    lease = report.plan.limits.lease_seconds
    assert lease <= max(group.gap_max for group in fair.groups) < 3 * lease


def test_a_longer_lease_makes_the_jobs_of_a_dead_host_wait_longer() -> None:
    short, long = (
        simulated(Scenario.DEAD_HOST, limits=replace(SMALL.limits, lease_seconds=seconds)) for seconds in (30.0, 90.0)
    )
    assert long.of(Order.FAIR).of(Group.SMALL).wait_max > short.of(Order.FAIR).of(Group.SMALL).wait_max + 30


def test_while_a_provider_is_out_jobs_that_do_not_need_it_go_on() -> None:
    report = simulated(Scenario.PROVIDER_OUTAGE)
    fair = report.of(Order.FAIR)
    assert fair.ledger.tries_failed > 100
    assert fair.ledger.dead > 0
    for group in ORDINARY:
        assert fair.of(group).wait_p95 < 5
        assert fair.of(group).started > 0.99 * fair.of(group).jobs


def test_capacity_follows_growth_and_every_order_has_the_same_workers() -> None:
    report = simulated(Scenario.GROWTH, enforce=True, workers=64, minutes=20)
    workers = [[sample.workers for sample in run.trace] for run in report.orders]
    assert workers[0][-1] > 3 * workers[0][0]
    assert workers[0] == workers[1] == workers[2]


def test_a_mountain_counts_in_its_shards_need_up_to_its_quota(monkeypatch: pytest.MonkeyPatch) -> None:
    needs: list[int] = []

    def slots(_: Capacity, need: Mapping[str, int]) -> list[int]:
        needs.extend(need.values())
        return [8] * len(need)

    monkeypatch.setattr(Capacity, "slots", slots)
    report = simulated(Scenario.BURST, enforce=True)
    assert max(sample.waiting for sample in report.of(Order.FAIR).trace) > 500
    under_the_fair_order = needs[: SMALL.minutes * SMALL.shards]
    assert 64 < max(under_the_fair_order) < 128
    assert min(needs) >= 0


def test_an_outage_of_one_provider_leaves_as_many_handlers_as_configured() -> None:
    trace = simulated(Scenario.PROVIDER_OUTAGE, enforce=True, minutes=20).of(Order.FAIR).trace
    assert "guardrail_step_down" in {sample.reason for sample in trace}
    assert min(sample.workers for sample in trace) == SMALL.workers // 2


def test_observing_capacity_changes_nothing_and_says_what_it_would_do() -> None:
    trace = simulated(Scenario.STEADY).of(Order.FAIR).trace
    assert {sample.workers for sample in trace} == {SMALL.workers}
    assert all(sample.reason for sample in trace)


def test_bounds_that_are_broken_are_named() -> None:
    report = simulated(Scenario.BURST)
    assert report.broken(jain_min=0.5, starvation_max=None) == []
    (jain, starvation) = report.broken(jain_min=1.0, starvation_max=0.0)
    assert "Jain's index" in jain
    assert "starvation factor" in starvation


def test_a_job_that_is_finished_by_its_former_holder_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The ledger's promise can fail: a run that hands out the same fence for ever finishes jobs twice."""
    from queue_pipeline.engine import simulation

    start = simulation._Run._start

    def unfenced(run: simulation._Run, turn: int, job: int, holding: dict[int, int]) -> None:
        run._fence = 0
        start(run, turn, job, holding)

    monkeypatch.setattr(simulation._Run, "_start", unfenced)
    monkeypatch.setattr(simulation._Run, "_let_go", _let_go_of_what_is_held)
    report = simulated(Scenario.DEAD_HOST)
    assert any("finished twice" in sentence for sentence in report.broken(jain_min=None, starvation_max=None))


def _let_go_of_what_is_held(run: object, job: int, lane: int, shard: int) -> None:
    from queue_pipeline.engine.simulation import _Run

    assert isinstance(run, _Run)
    if run._holding[shard].pop(job, None) is not None:
        run._running -= 1
        run._queues[shard].ended(lane)


@pytest.mark.parametrize(
    ("field", "value"), [("workspaces", 99), ("minutes", 4), ("minutes", 1441), ("workers", 3), ("shards", 65)]
)
def test_a_plan_that_cannot_be_simulated_is_refused_with_its_remedy(field: str, value: Any) -> None:
    with pytest.raises(InvalidInput, match=field):
        simulate(replace(SMALL, **{field: value}))


def test_the_load_is_what_the_plan_says() -> None:
    load = simulation_load.drawn(SMALL)
    seconds = sum(load.turns) / 20
    assert seconds == pytest.approx(0.7 * SMALL.workers * SMALL.minutes * 60, rel=0.05)
    assert list(load.due) == sorted(load.due)
    assert Counter(load.workspaces) == {Group.LARGE: 40, Group.MEDIUM: 360, Group.SMALL: 3600}


def lanes(*caps: int) -> list[SimulatedLane]:
    return [SimulatedLane(f"lane-{number}", 1, cap) for number, cap in enumerate(caps)]


def test_a_simulated_lane_at_its_cap_is_passed_over_until_a_job_of_it_has_ended() -> None:
    queue = FairOrder(lanes(1, 64))
    for job in (0, 1):
        queue.add(0, job, rank=job)
    queue.add(1, 2, rank=5)
    assert sorted(queue.take(3, 100)) == [0, 2]
    assert queue.take(3, 100) == []
    assert queue.jobs() == [1]
    queue.ended(0)
    assert queue.take(3, 100) == [1]


def test_a_simulated_lane_that_rested_joins_at_the_time_of_the_lane_served_next_even_if_that_is_at_its_cap() -> None:
    capped, other = lanes(2, 64)
    queue = FairOrder([capped, other])
    for job in range(4):
        queue.add(0, job, rank=job)
    assert queue.take(4, 100) == [0, 1]
    queue.add(1, 9, rank=9)
    assert other.vtime == capped.vtime == 2 * vtime_step(1)


def test_jobs_that_come_back_are_before_later_ones_of_their_lane() -> None:
    queue = FairOrder(lanes(64))
    queue.add(0, 7, rank=70)
    queue.add(0, 3, rank=30)
    assert queue.take(1, 100) == [3]


def test_fifo_takes_the_oldest_whoever_asked() -> None:
    queue = FifoOrder()
    for job, rank in ((1, 30), (2, 10), (3, 20)):
        queue.add(job, job, rank)
    assert queue.take(2, 100) == [2, 3]
    assert queue.take(2, 0) == []


def test_interleaving_takes_turns_in_the_order_in_which_workspaces_come_first() -> None:
    pool = [(1, 10), (1, 11), (2, 20), (1, 12), (3, 30)]
    assert interleaved(pool, 4) == [(1, 10), (2, 20), (3, 30), (1, 11)]


def test_the_interleaved_order_uses_up_a_selection_before_it_looks_again() -> None:
    queue = InterleavedOrder()
    for job in range(30):
        queue.add(0, job, rank=job)
    assert queue.take(1, 100) == [0]
    queue.add(1, 99, rank=-1)
    assert queue.take(2, 100) == [1, 2]
    assert len(queue.jobs()) == 28
