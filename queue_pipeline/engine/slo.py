"""The service levels of a canary's window, or of the last hour, measured at one instant. Changes nothing."""

from datetime import datetime, timedelta

from queue_pipeline.domain.errors import NotFound
from queue_pipeline.domain.limits import Limits
from queue_pipeline.domain.measurement import Parameter
from queue_pipeline.domain.slo_report import WORSE_BY_SECONDS, SloReport, SloWindow, reported
from queue_pipeline.store import audit
from queue_pipeline.store import canary as canary_store
from queue_pipeline.store import slo as store
from queue_pipeline.store.session import Database, Tx

_DEFAULT_LIMITS = Limits()
WITHOUT_CANARY_HOURS = 1.0


def measure_slo(db: Database, *, canary_id: int | None = None, limits: Limits = _DEFAULT_LIMITS) -> SloReport:
    """The report of a canary, by default the one that was started last; of the last hour when there never was one.

    Raises NotFound, DatabaseUnavailable.
    """
    with db.begin() as tx:
        audit.read_one_instant(tx)
        window = _window(tx, canary_id)
        between: dict[str, Parameter] = {"since": window.since, "until": window.until}
        cohorts: dict[str, Parameter] = {"canary_id": window.canary_id, **between}
        samples: dict[str, Parameter] = {"canary_id": window.canary_id, "until": window.over_at}
        asked: dict[str, dict[str, Parameter]] = {
            "window_queue_age": between,
            "window_waits": {**cohorts, "worse_by": WORSE_BY_SECONDS},
            "window_end_to_end": cohorts,
            "window_outcomes": cohorts,
            "window_duplicates": cohorts,
            "queue_age_burn": {"until": window.until, "limit_seconds": limits.queue_age_limit_seconds},
            "canary_window": samples,
            "canary_contention": samples,
        }
        found = {query: store.measured(tx, query, parameters) for query, parameters in asked.items()}
    return reported(window, found, limits)


def _window(tx: Tx, canary_id: int | None) -> SloWindow:
    canary = canary_store.latest(tx) if canary_id is None else canary_store.get(tx, canary_id)
    now = store.instant(tx)
    if canary is None:
        if canary_id is not None:
            raise NotFound("canary", canary_id, "There is no such canary; see `queue-pipeline canary status`.")
        since = now - timedelta(hours=WITHOUT_CANARY_HOURS)
        said = "No canary was ever started: this is the last hour of all workspaces."
        return SloWindow(since, now, None, said, over_at=now)
    ended: datetime | None = store.window_end(tx, canary.canary_id)
    over_at = canary.ended_at or now
    if canary.watching_since is None:
        said = f"Canary {canary.canary_id} has no window: this is its warm-up."
        return SloWindow(canary.started_at, ended or now, canary.canary_id, said, over_at)
    said = f"The window of canary {canary.canary_id}{', so far' if ended is None else ''}."
    return SloWindow(canary.watching_since, ended or now, canary.canary_id, said, over_at)
