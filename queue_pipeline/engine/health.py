"""Measure the queue, keep the measurements, and say where running jobs are."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from queue_pipeline.domain.growth import growth_notes
from queue_pipeline.domain.health import HealthSnapshot, ShardHealth, judged, starved_after
from queue_pipeline.domain.limits import Limits
from queue_pipeline.engine import growth as dead_rows
from queue_pipeline.engine import pause
from queue_pipeline.store import health as store
from queue_pipeline.store import pause as pause_store
from queue_pipeline.store.session import Database
from queue_pipeline.store.starvation import starved

#: The longest stretch of history that is read at once.
HISTORY_HOURS_MAX = 31 * 24


@dataclass(frozen=True)
class RunningJob:
    """A claimed job and, once it has run longer than expected, where its handler was when last sampled."""

    job_id: int
    kind: str
    workspace: str
    shard: str | None
    function_run_id: int
    attempt: int
    claimed_at: datetime
    running_seconds: float
    deadline_in_seconds: float
    step: str | None
    progress: str | None
    progress_age_seconds: float | None
    stack: str | None


def measure(db: Database, *, limits: Limits, shards: Sequence[str]) -> HealthSnapshot:
    """A judged snapshot of the queue at one instant; changes nothing.

    `shards` are the shards in use; each is in `by_shard` even when it is idle. Raises DatabaseUnavailable.
    """
    with db.begin() as tx:
        totals = store.totals(tx, stale_cutoff_seconds=limits.stale_cutoff_seconds)
        found = store.shards(tx, shard_count=len(shards))
        pauses = pause_store.open_pauses(tx)
        by_shard = {
            shard: ShardHealth(**found.get(shard, {}), is_paused=pause.why_shard_rests(pauses, shard) is not None)
            for shard in sorted({*shards, *found})
        }
        pending_due = sum(health.pending_due for health in by_shard.values())
        waits = store.waits(tx, pending=pending_due)
        longer_than = starved_after(waits.get("wait_p50_seconds"), limits)
        starvation = starved(tx, longer_than_seconds=longer_than)
        growth = dead_rows.read(tx, limits)
    snapshot = HealthSnapshot(
        **totals,
        pending_due=pending_due,
        running=sum(health.running for health in by_shard.values()),
        oldest_due_age_seconds=max(
            (health.oldest_due_age_seconds for health in by_shard.values() if not health.is_paused), default=0.0
        ),
        wait_p50_seconds=waits.get("wait_p50_seconds"),
        wait_p95_seconds=waits.get("wait_p95_seconds"),
        wait_max_seconds=waits.get("wait_max_seconds"),
        horizon_age_seconds=growth.horizon.age_seconds if growth.horizon else None,
        horizon_age_transactions=growth.horizon.age_transactions if growth.horizon else 0,
        dead_rows=growth.worst.dead if growth.worst else 0,
        transaction_age=growth.transaction_age,
        growth_notes=tuple(growth_notes(growth, limits)),
        counts_are_floors=max(pending_due, totals["scheduled"], totals["dead"]) >= store.COUNT_MAX,
        by_shard=by_shard,
        pauses=tuple(pause.sentence(each) for each in pauses),
        starved_workspaces=starvation.workspaces,
        longest_unserved_seconds=starvation.longest_seconds,
    )
    return judged(snapshot, limits)


def record(db: Database, snapshot: HealthSnapshot) -> None:
    """Append the snapshot to the history. Raises DatabaseUnavailable."""
    with db.begin() as tx:
        store.record(tx, asdict(snapshot))


def sample_if_missing(db: Database, *, limits: Limits, shards: Sequence[str], older_than_seconds: float) -> bool:
    """Measure and record when the latest sample is older than this, as whoever samples each minute must be away.

    Returns whether it did. Raises DatabaseUnavailable.
    """
    with db.begin() as tx:
        age = store.sample_age(tx)
    if age is not None and 0 <= age <= older_than_seconds:
        return False
    record(db, measure(db, limits=limits, shards=shards))
    return True


def history(db: Database, *, hours: float) -> Sequence[Mapping[str, Any]]:
    """The recorded samples of the last `hours`, oldest first, at most a month back. Raises DatabaseUnavailable."""
    with db.begin() as tx:
        return store.history(tx, seconds=min(hours, HISTORY_HOURS_MAX) * 3600)


def prune_history(db: Database, *, days: int, batch: int = 5000) -> int:
    """Delete samples older than `days`, in short transactions; returns how many. Raises DatabaseUnavailable."""
    total = 0
    while True:
        with db.begin() as tx:
            gone = store.prune_history(tx, days=days, limit=batch)
        total += gone
        if gone < batch:
            return total


def aged_shards(db: Database, *, limits: Limits, shards: Sequence[str]) -> dict[str, float]:
    """The shards whose oldest pending job breaks the queue-age limit, with its age in seconds.

    Costs next to nothing when no limit is broken, so it may be asked every few seconds. Under a backlog of many
    breached jobs it names the shards of the oldest of them. Raises DatabaseUnavailable.
    """
    with db.begin() as tx:
        aged = store.aged_shards(tx, older_than_seconds=limits.queue_age_limit_seconds, shard_count=len(shards))
        pauses = pause_store.open_pauses(tx) if aged else []
    return {shard: age for shard, age in aged.items() if pause.why_shard_rests(pauses, shard) is None}


def running(db: Database, *, limit: int = 1000) -> list[RunningJob]:
    """The claimed jobs, longest running first, at most `limit`. Raises DatabaseUnavailable."""
    with db.begin() as tx:
        return [RunningJob(**row) for row in store.running(tx, limit=limit)]
