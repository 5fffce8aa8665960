"""Keep the history as long as it is wanted, and no longer."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from queue_pipeline.domain.retention import BY_NAME, known_classes
from queue_pipeline.store import pruning as store
from queue_pipeline.store.session import Database

BATCH_ROWS = 1000
#: After a batch nothing is done for as long as it took, at most so many seconds: others get half of the disk at least.
REST_SECONDS_MAX = 1.0


@dataclass(frozen=True)
class Pruned:
    """How many rows of a class went; `done` is false when the time was over before."""

    name: str
    rows: int
    done: bool


def prune_classes(
    db: Database,
    ages: Mapping[str, float],
    *,
    seconds: float | None = None,
    batch: int = BATCH_ROWS,
    on_batch: Callable[[str, int], None] | None = None,
) -> list[Pruned]:
    """Delete what is older than its age in seconds, class by class, in the order of `domain.retention`.

    `seconds` bounds the whole: what is not done then is left to the next time. Short transactions that wait for
    nobody; it may be stopped anywhere and run again, and two at once share the work. Raises InvalidInput,
    DatabaseUnavailable.
    """
    known_classes(ages)
    ends = None if seconds is None else time.monotonic() + seconds
    told = on_batch or _tell_nobody
    return [
        _prune_class(db, name, age_seconds=ages[name], batch=batch, ends=ends, told=told)
        for name in BY_NAME
        if name in ages
    ]


def count_classes(db: Database, ages: Mapping[str, float]) -> dict[str, int]:
    """How many rows of each class would go, at most a million. Raises InvalidInput, DatabaseUnavailable."""
    known_classes(ages)
    found = {}
    for name in BY_NAME:
        if name in ages:
            with db.begin() as tx:
                found[name] = store.count(tx, name, age_seconds=ages[name])
    return found


def _prune_class(
    db: Database, name: str, *, age_seconds: float, batch: int, ends: float | None, told: Callable[[str, int], None]
) -> Pruned:
    rows, after = 0, store.START
    while ends is None or time.monotonic() < ends:
        began = time.monotonic()
        with db.begin() as tx:
            gone = store.delete(tx, name, age_seconds=age_seconds, limit=batch, after=after)
        rows, after = rows + gone.deleted, gone.upto
        if gone.deleted:
            told(name, rows)
        if gone.seen < batch:
            return Pruned(name, rows, done=True)
        threading.Event().wait(min(time.monotonic() - began, REST_SECONDS_MAX))
    return Pruned(name, rows, done=False)


def _tell_nobody(_: str, __: int) -> None:
    return
