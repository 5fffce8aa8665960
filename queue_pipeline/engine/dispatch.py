"""Open dispatch windows: once per key, for shards with due work that nobody drains, whoever asks."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from queue_pipeline.domain import dispatch_window as rules
from queue_pipeline.domain.dispatch_window import WindowSource
from queue_pipeline.domain.limits import Limits
from queue_pipeline.engine import capacity, pause
from queue_pipeline.store import dispatch_window as store
from queue_pipeline.store import lane
from queue_pipeline.store.dispatch_window import OpenWindow, ShardFacts
from queue_pipeline.store.session import Database, Tx

_DEFAULT_LIMITS = Limits()


@dataclass(frozen=True)
class ShardDispatch:
    """What was decided for one shard: the key of the window that was opened, or None, and why, as a sentence."""

    shard: str
    dispatch_key: str | None
    why: str


def open_due_windows(
    database: Database,
    shards: Sequence[str],
    *,
    source: WindowSource,
    window_seconds: int,
    limits: Limits = _DEFAULT_LIMITS,
) -> list[ShardDispatch]:
    """Make due work visible, then open a window for every shard that has some and fewer drains than it is to have.

    `window_seconds` tiles time: one window per shard and tile. Raises DatabaseUnavailable.
    """
    pause.look(database, limits=limits)
    promote_and_wake(database, len(shards), limits)
    pauses = pause.listed(database)
    with database.begin() as tx:
        wanted = capacity.drains_wanted(tx, shards, limits=limits)
    resting = {shard: why for shard in shards if (why := pause.why_shard_rests(pauses, shard)) is not None}
    return [
        ShardDispatch(shard, None, f"{shard} rests: {resting[shard]}")
        if shard in resting
        else _open_if_due(database, shard, source, window_seconds, limits, wanted=wanted[shard])
        for shard in shards
    ]


def open_windows(database: Database) -> list[OpenWindow]:
    """Committed windows that nobody has taken yet and whose launch grace has not passed."""
    with database.begin() as tx:
        return store.waiting(tx)


def open_relief_window(database: Database, shard: str, *, limits: Limits = _DEFAULT_LIMITS) -> ShardDispatch:
    """Open one window more for a shard that falls behind although it is drained: one beside those it is to have."""
    with database.begin() as tx:
        store.lock_opening(tx, shard)
        wanted = capacity.drains_wanted(tx, [shard], limits=limits)[shard]
        (facts,) = store.shard_facts(tx, [shard])
        if not facts.due:
            return ShardDispatch(shard, None, f"{shard} has nothing due")
        if facts.open_key is not None:
            return ShardDispatch(shard, None, f"{shard} has window {facts.open_key} open already")
        if facts.living >= min(wanted + 1, limits.drains_per_shard_max):
            return ShardDispatch(shard, None, f"{shard} has {facts.living} function runs already, the most allowed")
        return _open(tx, shard, WindowSource.RELIEF, 60, limits)


def window_for_drain_by_hand(database: Database, shard: str, function_run_id: int, limits: Limits) -> str:
    """The key of a window for a drain that nobody dispatched: the shard's waiting window, else one of its own."""
    with database.begin() as tx:
        store.lock_opening(tx, shard)
        for window in store.waiting(tx):
            if window.shard == shard and window.source != WindowSource.CLI:
                return window.dispatch_key
        key = f"drain:v1:{shard}:by-hand:{function_run_id}"
        store.open_window(
            tx,
            dispatch_key=key,
            shard=shard,
            source=WindowSource.CLI,
            launch_grace_seconds=limits.launch_grace_seconds,
        )
    return key


def open_successor(database: Database, shard: str, function_run_id: int, limits: Limits) -> str | None:
    """Open the one window that succeeds a function run, if its shard has due work and no other function run.

    Returns its key, or None when there is nothing to hand over.
    """
    with database.begin() as tx:
        store.lock_opening(tx, shard)
        (facts,) = store.shard_facts(tx, [shard])
        others = facts.living - (1 if facts.function_run_id == function_run_id else 0)
        if not facts.due or facts.open_key is not None or others > 0:
            return None
        key = rules.successor_key(shard, function_run_id)
        window_id = store.open_window(
            tx,
            dispatch_key=key,
            shard=shard,
            source=WindowSource.SUCCESSOR,
            launch_grace_seconds=limits.launch_grace_seconds,
            succeeds_run_id=function_run_id,
        )
        if window_id is None:
            return None
        store.link_successor(tx, function_run_id, window_id)
        return key


def promote_and_wake(database: Database, shards: int, limits: Limits) -> None:
    """Make scheduled jobs that are due pending, and lanes with due work ready."""
    connection = database.direct()
    try:
        lane.promote_and_wake(
            connection, promote_limit=limits.promote_batch, wake_limit=limits.wake_batch, shards=shards
        )
    finally:
        connection.close()


def why_not(facts: ShardFacts, *, wanted: int = 1) -> str | None:
    """Why a shard needs no window now, as a sentence; None when it needs one. It is to have `wanted` drains."""
    if facts.living >= wanted and facts.function_run_id is not None and facts.heartbeat_age_seconds is not None:
        heartbeat = f"heartbeat {facts.heartbeat_age_seconds:.0f} s ago"
        others = f" and {facts.living - 1} more" if facts.living > 1 else ""
        return f"{facts.shard} is drained by function run {facts.function_run_id}{others}, {heartbeat}"
    if facts.open_key is not None and facts.open_age_seconds is not None:
        return f"{facts.shard} has window {facts.open_key} open since {facts.open_age_seconds:.0f} s"
    if not facts.due:
        return f"{facts.shard} has nothing due"
    return None


def _open_if_due(
    database: Database, shard: str, source: WindowSource, window_seconds: int, limits: Limits, *, wanted: int
) -> ShardDispatch:
    with database.begin() as tx:
        (facts,) = store.shard_facts(tx, [shard])
        if reason := why_not(facts, wanted=wanted):
            return ShardDispatch(shard, None, reason)
        store.lock_opening(tx, shard)
        (facts,) = store.shard_facts(tx, [shard])
        if reason := why_not(facts, wanted=wanted):
            return ShardDispatch(shard, None, reason)
        opened = _open(tx, shard, source, window_seconds, limits)
    if opened.dispatch_key is not None and facts.living:
        why = f"{shard} has {facts.living} of {wanted} drains: opened {opened.dispatch_key}"
        return ShardDispatch(shard, opened.dispatch_key, why)
    return opened


def _open(tx: Tx, shard: str, source: WindowSource, window_seconds: int, limits: Limits) -> ShardDispatch:
    now = datetime.fromtimestamp(store.database_now_epoch(tx), UTC)
    key = rules.dispatch_key(
        shard, window_seconds, rules.window_start(now, window_seconds), function=_function_of(source)
    )
    opened = store.open_window(
        tx, dispatch_key=key, shard=shard, source=source, launch_grace_seconds=limits.launch_grace_seconds
    )
    if opened is None:
        return ShardDispatch(shard, None, f"{shard} had its window of these {window_seconds} s ({key}) already")
    return ShardDispatch(shard, key, f"{shard} has due work and nobody drains it: opened {key}")


def _function_of(source: WindowSource) -> str:
    return "relief" if source is WindowSource.RELIEF else "drain"
