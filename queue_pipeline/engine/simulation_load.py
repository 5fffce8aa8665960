"""The load of a simulation: who asks for how much work, and when. Drawn from a seeded generator, so repeatable.

Nothing but `random()`, square roots and integers is used: the same seed gives the same load on every machine.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import sqrt
from random import Random

from queue_pipeline.domain.simulation import ORDINARY_LOAD, TURNS_PER_SECOND, Group, Scenario, SimulationPlan

#: Of a hundred workspaces so many belong to each ordinary group, which asks for this share of the ordinary load.
_GROUPS = ((Group.LARGE, 1, 0.2), (Group.MEDIUM, 9, 0.3), (Group.SMALL, 90, 0.5))
#: A job takes 0.5 to 4 s, most often 1.5 s, so 2 s in the mean.
_SERVICE_SECONDS = (0.5, 1.5, 4.0)
_SERVICE_MEAN_SECONDS = 2.0
#: The mountain of `burst`: this share of what all workers can do in the time, in jobs that are due at once.
_BURST_LOAD = 0.08
_BURST_AT = 1 / 6
_SLOW_WORKSPACES = 8
_SLOW_TIMES = 20
_SLOW_LOAD = 0.15
_PROVIDER_SHARE = 0.3
_GROWTH_FROM = 0.01


@dataclass(frozen=True)
class Load:
    """Jobs in the order in which they become due: when (in turns), of which lane and group, and for how many turns."""

    workspaces: Sequence[Group]
    due: Sequence[int]
    lane: Sequence[int]
    turns: Sequence[int]
    group: Sequence[Group]


@dataclass(frozen=True, slots=True)
class _Drawn:
    due: int
    lane: int
    turns: int
    group: Group


def drawn(plan: SimulationPlan) -> Load:
    """The load of this plan."""
    dice = Random(plan.seed)  # noqa: S311 - a simulation, nothing secret
    workspaces = [_group_of(number) for number in range(plan.workspaces)]
    jobs = _ordinary(plan, dice)
    if plan.scenario is Scenario.BURST:
        jobs += _burst(plan, dice, lane=len(workspaces))
        workspaces.append(Group.BURSTER)
    if plan.scenario is Scenario.SLOW_TENANTS:
        jobs += _slow(plan, dice, first_lane=len(workspaces))
        workspaces += [Group.SLOW] * _SLOW_WORKSPACES
    jobs.sort(key=lambda job: job.due)
    return Load(
        workspaces,
        [job.due for job in jobs],
        [job.lane for job in jobs],
        [job.turns for job in jobs],
        [job.group for job in jobs],
    )


def _group_of(number: int) -> Group:
    """Spread evenly, so that a growing part of the workspaces has the same mixture as all."""
    place = number % 100
    return Group.LARGE if place == 0 else Group.MEDIUM if place < 10 else Group.SMALL


def _ordinary(plan: SimulationPlan, dice: Random) -> list[_Drawn]:
    """Jobs of the ordinary workspaces: independent arrivals, each group's spread evenly over its workspaces."""
    seconds = plan.turns / TURNS_PER_SECOND
    grows = plan.scenario is Scenario.GROWTH
    total = ORDINARY_LOAD * plan.workers * seconds / _SERVICE_MEAN_SECONDS
    share = dice.random
    jobs: list[_Drawn] = []
    first = 0
    for group, of_hundred, part in _GROUPS:
        for _ in range(round(total * part * (0.5 if grows else 1.0))):
            at = sqrt(share()) if grows else share()
            hundreds = max(1, int((max(_GROWTH_FROM, at) if grows else 1.0) * plan.workspaces / 100))
            lane = int(share() * hundreds) * 100 + first + int(share() * of_hundred)
            jobs.append(_Drawn(int(at * plan.turns), lane, _turns(dice), _needed(group, plan, dice)))
        first += of_hundred
    return jobs


def _needed(group: Group, plan: SimulationPlan, dice: Random) -> Group:
    outage = plan.scenario is Scenario.PROVIDER_OUTAGE
    return Group.PROVIDER if outage and dice.random() < _PROVIDER_SHARE else group


def _burst(plan: SimulationPlan, dice: Random, *, lane: int) -> list[_Drawn]:
    count = round(_BURST_LOAD * plan.workers * plan.turns / TURNS_PER_SECOND / _SERVICE_MEAN_SECONDS)
    return [_Drawn(plan.at(_BURST_AT), lane, _turns(dice), Group.BURSTER) for _ in range(count)]


def _slow(plan: SimulationPlan, dice: Random, *, first_lane: int) -> list[_Drawn]:
    mean = _SERVICE_MEAN_SECONDS * _SLOW_TIMES
    count = round(_SLOW_LOAD * plan.workers * plan.turns / TURNS_PER_SECOND / mean)
    late = _evenly(plan, dice)
    return [
        _Drawn(late(), first_lane + number % _SLOW_WORKSPACES, _turns(dice) * _SLOW_TIMES, Group.SLOW)
        for number in range(count)
    ]


def _evenly(plan: SimulationPlan, dice: Random) -> Callable[[], int]:
    """Turns between a sixth of the time and a third: the slow jobs come in one wave."""
    first = plan.at(_BURST_AT)
    return lambda: first + int(dice.random() * first)


def _turns(dice: Random) -> int:
    low, usual, high = _SERVICE_SECONDS
    return max(1, round(dice.triangular(low, high, usual) * TURNS_PER_SECOND))
