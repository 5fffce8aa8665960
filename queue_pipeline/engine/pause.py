"""Pause and resume a workspace, a kind, a shard or everything. Whoever does it says who and why; both are kept.

What runs goes on. What waits keeps its place: when the pause ends, jobs are as old as they were.
"""

from collections.abc import Callable, Sequence
from datetime import UTC

from queue_pipeline.domain.errors import InvalidInput
from queue_pipeline.domain.lane import shard_names
from queue_pipeline.domain.limits import Limits
from queue_pipeline.domain.pause import PauseScope, checked_hours, checked_name, checked_scope, said_of
from queue_pipeline.store import pause as store
from queue_pipeline.store.pause import Pause
from queue_pipeline.store.session import Database, Tx

_DEFAULT_LIMITS = Limits()
LISTED_MAX = 1000
OnBatch = Callable[[int], None]


def pause(
    db: Database,
    scope: str,
    name: str = "",
    *,
    who: str,
    why: str,
    shards: int,
    hours: float | None = None,
    limits: Limits = _DEFAULT_LIMITS,
    on_batch: OnBatch | None = None,
) -> Pause:
    """Pause something, for so many hours or until it is resumed. Nothing of it is started from now on.

    The waiting jobs of a workspace are parked in short transactions; `on_batch` hears how many so far.
    Raises InvalidInput, also when it is paused already.
    """
    checked = _checked(scope, name, shards=shards, who=who, why=why)
    hours = checked_hours(hours)
    seconds = None if hours is None else hours * 3600
    with db.begin() as tx:
        begun = store.begin(tx, scope=checked, name=name, seconds=seconds, who=who.strip(), why=why.strip())
        if begun is None:
            raise InvalidInput("name", said_of(checked, name), "It is paused already; see `queue-pipeline pause list`.")
        if checked is PauseScope.WORKSPACE:
            store.stop_lane(tx, name, shards=shards)
        store.notify(tx)
    _repeat(db, lambda tx: store.park(tx, limit=limits.promote_batch), limits, on_batch)
    return begun


def resume(
    db: Database,
    scope: str,
    name: str = "",
    *,
    who: str,
    why: str,
    shards: int,
    limits: Limits = _DEFAULT_LIMITS,
    on_batch: OnBatch | None = None,
) -> Pause:
    """End a pause; what was parked is due again where it stood. Raises InvalidInput when there is none."""
    checked = _checked(scope, name, shards=shards, who=who, why=why)
    with db.begin() as tx:
        ended = store.end(tx, scope=checked, name=name, who=who.strip(), why=why.strip())
        if ended is None:
            raise InvalidInput("name", said_of(checked, name), "It is not paused; see `queue-pipeline pause list`.")
        _let_go(tx, [ended])
    _repeat(db, lambda tx: store.unpark(tx, limit=limits.promote_batch), limits, on_batch)
    return ended


def look(db: Database, *, limits: Limits = _DEFAULT_LIMITS) -> int:
    """End what is overdue, park and unpark one batch; returns how many jobs were moved. Raises DatabaseUnavailable."""
    with db.begin() as tx:
        _let_go(tx, store.end_overdue(tx))
        moved = store.park(tx, limit=limits.promote_batch) + store.unpark(tx, limit=limits.promote_batch)
        if not moved:
            store.release(tx, settle_seconds=limits.pause_settle_seconds)
    return moved


def listed(db: Database, *, open_only: bool = True, limit: int = LISTED_MAX) -> list[Pause]:
    """Pauses that hold, oldest first; or all that there were, newest first. Raises DatabaseUnavailable."""
    with db.begin() as tx:
        return store.open_pauses(tx) if open_only else store.latest(tx, limit=limit)


def why_shard_rests(pauses: Sequence[Pause], shard: str) -> str | None:
    """Why nothing of a shard is started, as a sentence without its full stop; None when it is not paused."""
    for each in pauses:
        if each.scope == PauseScope.EVERYTHING or (each.scope == PauseScope.SHARD and each.name == shard):
            return sentence(each).removesuffix(".")
    return None


def sentence(paused: Pause) -> str:
    """What is paused, since when, by whom and until when; why is kept, and may name people."""
    until = "" if paused.until is None else f" until {paused.until.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    since = f"{paused.since.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    return f"{said_of(paused.scope, paused.name)} is paused since {since}{until} by {paused.who}."


def _checked(scope: str, name: str, *, shards: int, who: str, why: str) -> PauseScope:
    for field, text in (("who", who), ("why", why)):
        if not text.strip():
            raise InvalidInput(field, text, "Say who pauses or resumes and why; both are kept.")
    checked = checked_scope(scope)
    checked_name(checked, name)
    if checked is PauseScope.SHARD and name not in shard_names(shards):
        raise InvalidInput("name", name, f"There is shard-00 to {shard_names(shards)[-1]}.")
    return checked


def _let_go(tx: Tx, ended: Sequence[Pause]) -> None:
    for workspace in store.names_of(ended, PauseScope.WORKSPACE):
        store.start_lane(tx, workspace)
    if ended:
        store.notify(tx)


def _repeat(db: Database, batch: Callable[[Tx], int], limits: Limits, on_batch: OnBatch | None) -> None:
    """What is left when this process ends in the middle, the next look goes on with."""
    total = 0
    while True:
        with db.begin() as tx:
            moved = batch(tx)
        total += moved
        if on_batch is not None:
            on_batch(total)
        if moved < limits.promote_batch:
            return
