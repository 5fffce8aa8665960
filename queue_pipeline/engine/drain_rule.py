"""What a drain obeys besides its options, looked up every two seconds: flags, canary, pauses, and capacity."""

from dataclasses import dataclass, replace

from queue_pipeline.domain.limits import Limits
from queue_pipeline.domain.pause import PauseScope
from queue_pipeline.engine import capacity, flags
from queue_pipeline.engine.pause import why_shard_rests
from queue_pipeline.store import pause
from queue_pipeline.store.claim import NO_CAP, NO_RULE, Claimant, LaneRule
from queue_pipeline.store.session import Tx


@dataclass(frozen=True)
class DrainRule:
    """`lane` is what claims obey; `paused` says why nothing is claimed at all; `workers` is None for as configured."""

    lane: LaneRule = NO_RULE
    paused: str | None = None
    workers: int | None = None


def look(tx: Tx, drain: Claimant, limits: Limits) -> DrainRule:
    """What holds for a drain now."""
    pauses = pause.open_pauses(tx)
    held = capacity.of_drain(tx, drain.shard, drain.function_run_id, limits=limits)
    lane = replace(
        flags.lane_rule(tx),
        paused_kinds=tuple(pause.names_of(pauses, PauseScope.KIND)),
        in_flight_max=NO_CAP if held.in_flight_max is None else held.in_flight_max,
    )
    return DrainRule(lane, why_shard_rests(pauses, drain.shard), held.workers)
