"""What tells people something about one queue: alerts, notifications, and the samples that alerts are judged by."""

import logging
import threading
from collections.abc import Sequence
from dataclasses import replace

from queue_pipeline.domain.capacity import CapacityPolicy
from queue_pipeline.domain.errors import DatabaseUnavailable
from queue_pipeline.engine import alert, capacity_tick, health, quota
from queue_pipeline.engine.alert import TURN_SECONDS, Alerting, AlertTurn
from queue_pipeline.engine.canary_tick import tick
from queue_pipeline.engine.notification import NoticeSink, deliver_notifications
from queue_pipeline.store.session import Database

log = logging.getLogger(__name__)


class Teller:
    """Called by sensors, by the ingress, by cron and by hand; any number of them at a time."""

    def __init__(
        self,
        database: Database,
        alerting: Alerting,
        notices: NoticeSink,
        shards: Sequence[str],
        *,
        capacity: CapacityPolicy | None = None,
    ) -> None:
        self._database = database
        self._capacity = capacity
        self.alerting = alerting
        self._notices = notices
        self._shards = shards

    def turn(self, *, by: str, seconds: float = TURN_SECONDS) -> AlertTurn:
        """Look at the canary, evaluate once, post for at most so many seconds, and look at the quotas and capacity.

        Raises DatabaseUnavailable.
        """
        said = self._look_at_canary()
        turn = alert.turn(self._database, self.alerting, by=by, seconds=seconds)
        return replace(turn, changes=(*said, *turn.changes, *self._look_at_quotas(), *self._look_at_capacity()))

    def _look_at_canary(self) -> Sequence[str]:
        """Whatever is wrong with looking at it, alerts must not wait for it."""
        try:
            return tick(self._database, limits=self.alerting.limits).said
        except DatabaseUnavailable:
            raise
        except Exception:
            log.exception("looking at the canary")
            return ["The canary could not be looked at; the log says why."]

    def _look_at_quotas(self) -> Sequence[str]:
        """After the alerts, so that none waits for it; whatever is wrong, the next turn looks again."""
        try:
            return quota.tick(self._database, limits=self.alerting.limits).said
        except Exception:
            log.exception("looking at the quotas")
            return ["The quotas could not be looked at; the log says why."]

    def _look_at_capacity(self) -> Sequence[str]:
        """After the alerts too. Without a policy, somebody else looks."""
        if self._capacity is None:
            return []
        try:
            return capacity_tick.tick(self._database, self._capacity).said
        except Exception:
            log.exception("looking at capacity")
            return ["Capacity could not be looked at; the log says why."]

    def deliver(self, *, by: str, seconds: float = TURN_SECONDS, stop: threading.Event | None = None) -> int:
        """Deliver the notifications that nobody delivered yet, for at most so many seconds; returns how many."""
        return deliver_notifications(self._database, self._notices, by=by, seconds=seconds, stop=stop)

    def sample_if_missing(self) -> bool:
        """Measure and record the queue when nobody did for longer than a sample may be late; whether it did."""
        return health.sample_if_missing(
            self._database,
            limits=self.alerting.limits,
            shards=self._shards,
            older_than_seconds=self.alerting.rules.sample_gap,
        )
