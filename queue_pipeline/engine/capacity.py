"""The capacity that is in force: what drains and dispatch obey, how it stands, and what an operator says against it.

Drains and dispatch obey by looking (`of_drain`, `drains_wanted`); `capacity_tick` decides.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from queue_pipeline.domain.capacity import (
    CapacityDecision,
    CapacityOverride,
    CapacityPolicy,
    ShardCapacity,
    allocation,
)
from queue_pipeline.domain.errors import InvalidInput
from queue_pipeline.domain.flag import CAPACITY_MODE, ENFORCE, OFF
from queue_pipeline.domain.lane import shard_names
from queue_pipeline.domain.limits import Limits
from queue_pipeline.engine import flags
from queue_pipeline.store import capacity as store
from queue_pipeline.store import capacity_in_force as in_force_store
from queue_pipeline.store import dispatch_window
from queue_pipeline.store.capacity import Decision
from queue_pipeline.store.capacity_in_force import InForce, LivingDrain, Override
from queue_pipeline.store.session import Database, Tx

_DEFAULT_LIMITS = Limits()
#: Ceiling of workers where no other is set: one drain of 16 threads for each of the four default shards.
WORKERS_MAX_DEFAULT = 64
OVERRIDE_HOURS_MAX = 72.0
#: The part of a shard whose work came after the latest sample.
_AT_LEAST = ShardCapacity(1, 1)


@dataclass(frozen=True)
class CapacityStatus:
    """What holds now. `workers` and `in_flight_max` are None where nothing is enforced: drains are as configured.

    `running` is how many handlers living drains allow at once, `drains` how many of them live, by shard, and `wanted`
    how many there are to be, 0 where nothing is due and nobody drains. Decisions are newest first.
    """

    mode: str
    workers: int | None
    in_flight_max: int | None
    running: int
    drains: Mapping[str, int]
    wanted: Mapping[str, int]
    override: Override | None
    policy: CapacityPolicy
    decisions: Sequence[Decision]

    @property
    def desired(self) -> int:
        """Workers by the latest decision, enforced or not; as configured before the first."""
        return self.decisions[0].to_workers if self.decisions else self.policy.configured


def policy_of(
    *, shards: int, concurrency: int, workers_max: int | None = None, provider_rate_max: float | None = None
) -> CapacityPolicy:
    """The knobs for an installation: one handler per shard at least, as many as configured at rest."""
    configured = shards * concurrency
    ceiling = max(WORKERS_MAX_DEFAULT, configured) if workers_max is None else workers_max
    return CapacityPolicy(
        shards=shards,
        floor=shards,
        configured=min(configured, ceiling),
        ceiling=ceiling,
        provider_rate_max=provider_rate_max,
    )


def of_drain(tx: Tx, shard: str, function_run_id: int, *, limits: Limits = _DEFAULT_LIMITS) -> CapacityOverride:
    """What one drain obeys now: its part of its shard's workers, and the cap on claimed jobs; None: as configured."""
    held = in_force(tx)
    if held.workers is None:
        return CapacityOverride(None, held.in_flight_max)
    living = in_force_store.living(tx)
    part = _parts(held.workers, held.by_shard, living, limits).get(shard, _AT_LEAST)
    sharing = [each.function_run_id for each in living if each.shard == shard]
    place = sharing.index(function_run_id) if function_run_id in sharing else len(sharing)
    each, rest = divmod(part.workers, max(1, len(sharing)))
    workers = max(1, min(each + (place < rest), limits.workers_per_drain_max))
    return CapacityOverride(workers, held.in_flight_max)


def drains_wanted(tx: Tx, shards: Sequence[str], *, limits: Limits = _DEFAULT_LIMITS) -> dict[str, int]:
    """How many drains each shard is to have while it has due work: one, unless its workers need more."""
    held = in_force(tx)
    if held.workers is None:
        return dict.fromkeys(shards, 1)
    parts = _parts(held.workers, held.by_shard, in_force_store.living(tx), limits)
    return {shard: parts.get(shard, _AT_LEAST).drains for shard in shards}


def in_force(tx: Tx) -> InForce:
    """What holds now: an operator's word, else the loop's where it is enforced, else None."""
    mode = flags.value(tx, CAPACITY_MODE)
    held = in_force_store.in_force(tx)
    if mode != ENFORCE:
        held = replace(held, workers=None, in_flight_max=None)
    word = None if mode == OFF else in_force_store.override(tx)
    if word is None:
        return held
    return replace(
        held,
        workers=held.workers if word.workers is None else word.workers,
        in_flight_max=held.in_flight_max if word.in_flight_max is None else word.in_flight_max,
    )


def override(
    db: Database,
    policy: CapacityPolicy,
    *,
    workers: int | None = None,
    in_flight_max: int | None = None,
    hours: float,
    who: str,
    why: str,
) -> Override:
    """Set workers, or the cap on claimed jobs, or both, by hand, for so many hours; it replaces an earlier word.

    Raises InvalidInput beyond the bounds of the policy, and without name and reason.
    """
    _signed(who, why)
    if workers is None and in_flight_max is None:
        raise InvalidInput("workers", "none", "Say how many workers, or how many jobs in flight, or both.")
    if workers is not None and not policy.floor <= workers <= policy.ceiling:
        remedy = f"It can be {policy.floor} (one per shard) to {policy.ceiling} (QUEUE_PIPELINE_WORKERS_MAX)."
        raise InvalidInput("workers", workers, remedy)
    if in_flight_max is not None and not policy.in_flight_floor <= in_flight_max < 2**31:
        raise InvalidInput("in_flight_max", in_flight_max, f"The floor is {policy.in_flight_floor}.")
    if not 0 < hours <= OVERRIDE_HOURS_MAX:
        raise InvalidInput("hours", hours, f"It can be more than 0 and at most {OVERRIDE_HOURS_MAX:g}.")
    with db.begin() as tx:
        in_force_store.end_override(tx, who=who.strip(), why=f"replaced: {why.strip()}")
        begun = in_force_store.begin_override(
            tx, workers=workers, in_flight_max=in_flight_max, seconds=hours * 3600, who=who.strip(), why=why.strip()
        )
        in_force_store.notify(tx)
    return begun


def release(db: Database, *, who: str, why: str) -> Override:
    """Take an override back. Raises InvalidInput when there is none."""
    _signed(who, why)
    with db.begin() as tx:
        ended = in_force_store.end_override(tx, who=who.strip(), why=why.strip())
        if ended is None:
            raise InvalidInput("override", "none", "Nothing is overridden; see `queue-pipeline capacity`.")
        in_force_store.notify(tx)
    return ended


def status(
    db: Database, policy: CapacityPolicy, *, decisions: int = 20, limits: Limits = _DEFAULT_LIMITS
) -> CapacityStatus:
    """What holds now, and the latest decisions. Raises DatabaseUnavailable."""
    names = shard_names(policy.shards)
    with db.begin() as tx:
        held, living = in_force(tx), in_force_store.living(tx)
        busy = {facts.shard for facts in dispatch_window.shard_facts(tx, names) if facts.due or facts.living}
        wanted = drains_wanted(tx, names, limits=limits)
        return CapacityStatus(
            mode=flags.value(tx, CAPACITY_MODE),
            workers=held.workers,
            in_flight_max=held.in_flight_max,
            running=sum(each.workers for each in living),
            drains={name: sum(each.shard == name for each in living) for name in names},
            wanted={name: wanted[name] if name in busy else 0 for name in names},
            override=in_force_store.override(tx),
            policy=policy,
            decisions=store.decisions(tx, limit=decisions),
        )


def said_of(decision: Decision | CapacityDecision) -> str:
    """A decision as one sentence."""
    code = decision.reason_code if isinstance(decision, Decision) else decision.reason
    return (
        f"{_told('Workers', decision.from_workers, decision.to_workers)}, "
        f"{_told('jobs in flight', decision.from_in_flight, decision.to_in_flight)} ({code}): {decision.why}."
    )


def _told(what: str, before: int, after: int) -> str:
    return f"{what} stay {after:,}" if before == after else f"{what} {before:,} to {after:,}"


def _parts(
    workers: int, by_shard: Mapping[str, int], living: Sequence[LivingDrain], limits: Limits
) -> dict[str, ShardCapacity]:
    """The parts of shards that had work when it was last measured, or that are drained."""
    names = {*by_shard, *(each.shard for each in living)}
    return allocation(
        workers,
        {name: by_shard.get(name, 0) for name in sorted(names)},
        drains_per_shard_max=limits.drains_per_shard_max,
        workers_per_drain_max=limits.workers_per_drain_max,
    )


def _signed(who: str, why: str) -> None:
    for field, text in (("who", who), ("why", why)):
        if not text.strip():
            raise InvalidInput(field, text, "Say who decides about capacity and why; both are kept.")
