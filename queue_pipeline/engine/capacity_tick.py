"""One look at capacity: measure, decide, and put in force, once per interval, whoever comes first.

Any number of processes may look at once: one has its turn, the others pass. Everything that one look does is one
transaction by the database's clock.
"""

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from queue_pipeline.domain.capacity import (
    CapacityDecision,
    CapacityOverride,
    CapacityPolicy,
    CapacitySample,
    CapacityState,
    decide,
)
from queue_pipeline.domain.flag import CAPACITY_MODE, ENFORCE, OFF
from queue_pipeline.domain.lane import shard_names
from queue_pipeline.engine import flags
from queue_pipeline.engine.capacity import said_of
from queue_pipeline.store import capacity as store
from queue_pipeline.store import capacity_in_force as in_force_store
from queue_pipeline.store.capacity import Decision, Measured
from queue_pipeline.store.capacity_in_force import InForce, Override
from queue_pipeline.store.session import Database, Tx, is_outage

log = logging.getLogger(__name__)

#: What is usual is judged by so many samples.
_SAMPLES_LOOKED_AT = 30
#: A sample that comes later than this, in intervals, means that one is missing: somebody looks every few seconds.
_LATE_AFTER = 1.75
CLOCK = "clock"


@dataclass(frozen=True)
class CapacityTick:
    """What one look changed, as sentences; none when it changed nothing, was not due, or another was at it."""

    said: Sequence[str] = ()


def tick(db: Database, policy: CapacityPolicy) -> CapacityTick:
    """Measure and decide if an interval has passed since the last decision. Raises DatabaseUnavailable."""
    with db.begin() as tx:
        if not store.take_turn(tx):
            return CapacityTick()
        ended = in_force_store.end_override(tx, who=CLOCK, why="its time was over", only_overdue=True)
        said = [] if ended is None else [f"The capacity override by {ended.who} is over."]
        mode = flags.value(tx, CAPACITY_MODE)
        if mode == OFF:
            _put_in_force(tx, None, {})
            return CapacityTick(said)
        age = store.last_decision_age(tx)
        if age is not None and 0 <= age < policy.sample_seconds:
            return CapacityTick(said)
        return CapacityTick([*said, *_look(tx, mode, policy)])


def _look(tx: Tx, mode: str, policy: CapacityPolicy) -> list[str]:
    last = next(iter(store.decisions(tx, limit=1)), None)
    earlier = store.samples(tx, limit=_SAMPLES_LOOKED_AT)
    taken = _sample(tx, earlier[0] if earlier else None, policy)
    number = None if taken is None else store.record_sample(tx, taken)
    word, held = in_force_store.override(tx), in_force_store.in_force(tx)
    state = _state(mode, last, held, word, policy)
    decision = decide(state, _with_gaps(taken, earlier, policy), policy)
    decision = _since(decision, mode, last)
    store.record_decision(
        tx, decision, mode=mode, capacity_sample_id=number, state={**asdict(decision.state), "override": None}
    )
    by_shard = held.by_shard if taken is None else taken.by_shard
    if mode != ENFORCE:
        _put_in_force(tx, None, by_shard)
    else:  # an operator's word stands beside the loop's, which holds again as soon as that is over
        _put_in_force(tx, state if word is not None else decision.state, by_shard)
    if (decision.from_workers, decision.from_in_flight) == (decision.to_workers, decision.to_in_flight):
        return []
    return [said_of(decision) if mode == ENFORCE or word is not None else f"Only observed: {said_of(decision)}"]


def _sample(tx: Tx, before: Measured | None, policy: CapacityPolicy) -> Measured | None:
    try:
        with tx.begin_nested():
            return store.measure(tx, before, shards=shard_names(policy.shards), seconds=policy.sample_seconds)
    except Exception as error:
        if is_outage(error):
            raise
        log.exception("measuring for capacity")  # a missing sample is decided upon, as a bad one
        return None


def _state(
    mode: str, last: Decision | None, held: InForce, word: Override | None, policy: CapacityPolicy
) -> CapacityState:
    """What the last decision remembered, about what is in force now: as configured, where nothing is enforced."""
    workers, in_flight = policy.configured, policy.in_flight_floor
    if mode == ENFORCE and held.workers is not None and held.in_flight_max is not None:
        workers, in_flight = held.workers, held.in_flight_max
    remembered = {} if last is None else dict(last.state)
    spoken = None if word is None else CapacityOverride(word.workers, word.in_flight_max)
    known: dict[str, Any] = {**remembered, "workers": workers, "in_flight_max": in_flight, "override": spoken}
    return CapacityState(**known)


def _since(decision: CapacityDecision, mode: str, last: Decision | None) -> CapacityDecision:
    """Told from what really held before: an override, or the loop's last number where it is enforced."""
    if last is None or not (last.operator_override or mode == last.mode == ENFORCE):
        return decision
    return replace(decision, from_workers=last.to_workers, from_in_flight=last.to_in_flight)


def _with_gaps(
    taken: Measured | None, earlier: Sequence[Measured], policy: CapacityPolicy
) -> list[CapacitySample | None]:
    """Newest first, with None for each sample that should be between two of them and is not."""
    found: list[CapacitySample | None] = [None] if taken is None else []
    for measured in [*([] if taken is None else [taken]), *earlier]:
        sample = CapacitySample(**measured.numbers)
        late = sample.seconds / policy.sample_seconds - _LATE_AFTER
        found += [sample, *[None] * math.ceil(max(0.0, late))]
    return found


def _put_in_force(tx: Tx, state: CapacityState | None, by_shard: Mapping[str, int]) -> None:
    changed = in_force_store.enforce(
        tx,
        workers=None if state is None else state.workers,
        in_flight_max=None if state is None else state.in_flight_max,
        by_shard=by_shard,
    )
    if changed:
        in_force_store.notify(tx)
