"""A drain's dealings with the database: claim, settle, and get back in step after an outage."""

import logging
import random
import time
from collections import Counter

from queue_pipeline.domain.attempt import AttemptOutcome, next_state
from queue_pipeline.domain.claim import AttemptResult, claim_size
from queue_pipeline.domain.drain import DrainOptions, counter_of
from queue_pipeline.domain.errors import DatabaseUnavailable
from queue_pipeline.domain.function_run import EndReason, FunctionRunState
from queue_pipeline.domain.limits import Limits
from queue_pipeline.engine import drain_rule
from queue_pipeline.engine.drain_rule import DrainRule
from queue_pipeline.engine.execution import Execution
from queue_pipeline.engine.slots import Slots
from queue_pipeline.store import claim as store
from queue_pipeline.store import dispatch_window, function_run, lane
from queue_pipeline.store.claim import Claimant
from queue_pipeline.store.function_run import Begun
from queue_pipeline.store.session import Database, Direct

log = logging.getLogger(__name__)

_RECONNECT_MAX_SECONDS = 2.0
_REST_LANES_EVERY_SECONDS = 0.2
_LOOK_EVERY_SECONDS = 0.5
_RULE_EVERY_SECONDS = 2.0


class Ledger:
    """Results waiting to be written, and the connection on which claims and results are exchanged."""

    def __init__(
        self,
        database: Database,
        claimant: Claimant,
        *,
        options: DrainOptions,
        limits: Limits,
        slots: Slots,
        counts: Counter[str],
    ) -> None:
        self.claimant = claimant
        self.pending: list[AttemptResult] = []
        self.pending_since = 0.0
        self.looked_at = 0.0
        self.dry = False
        self.contended = False
        self.fenced = False
        self._database = database
        self._options = options
        self._limits = limits
        self._slots = slots
        self._counts = counts
        self._connection: Direct | None = None
        self._in_doubt: list[AttemptResult] = []
        self._retry_at = 0.0
        self._retry_seconds = 0.1
        self._rested_at = 0.0
        self.rule = DrainRule()
        self._ruled_at = -_RULE_EVERY_SECONDS
        self._floor = store.LOWEST
        self._capped = False
        self._mean_seconds: float | None = None

    @property
    def connected(self) -> bool:
        """Whether the last exchange reached the database."""
        return self._connection is not None

    def note(self, execution: Execution, result: AttemptResult) -> None:
        """A handler has ended. The result of an abandoned one comes too late and is only counted."""
        if execution.abandoned:
            self._refuse([result])
            return
        self._slots.finished(execution)
        self.add(result)
        if execution.started is not None:
            took = time.monotonic() - execution.started
            self._mean_seconds = took if self._mean_seconds is None else 0.9 * self._mean_seconds + 0.1 * took

    def add(self, result: AttemptResult) -> None:
        """Queue the end of an attempt for the next exchange."""
        if not self.pending:
            self.pending_since = time.monotonic()
        self.pending.append(result)

    def exchange(self, *, notified: bool, claim: bool = True) -> bool:
        """Write the pending results and claim what the slots can use, in one transaction.

        Returns whether anything moved. An outage is noted, and the next call reconnects when its time has come.
        """
        if not self._connect():
            return False
        assert self._connection is not None
        now = time.monotonic()
        freed = self._capped and bool(self.pending)
        self.dry = self.dry and not notified and not freed
        look = claim and now - self.looked_at >= _LOOK_EVERY_SECONDS
        results, self.pending = self.pending, []
        try:
            self._look_at_rule(now)
            size = self._size() if claim and (look or self.contended or not self.dry) else 0
            brought = store.exchange(
                self._connection,
                self.claimant,
                results=results,
                size=size,
                wake_limit=self._limits.wake_batch if look or notified else 0,
                promote_limit=self._limits.promote_batch if look else 0,
                shards=self._options.shards,
                rule=self.rule.lane,
                floor=self._floor,
            )
            self._settled(results, brought.settled)
        except DatabaseUnavailable as error:
            self._lost_connection(results, error)
            return False
        if look:
            self.looked_at = now
        if not brought.living:
            self.fenced = True
        if size:
            self._claimed(brought, size)
        return bool(results or brought.claims)

    def release_unstarted(self) -> None:
        """Give back claimed jobs that no slot has started; it costs them no attempt."""
        for execution in self._slots.take_back_unstarted():
            self.add(execution.result(AttemptOutcome.RELEASED))

    def give_up_running(self, reason: str) -> None:
        """End the attempts of handlers that still run; their jobs go to another function run."""
        for execution in self._slots.executions():
            self.add(execution.result(AttemptOutcome.LOST, error_class="DrainEnded", error=reason))
            execution.abandon()
            self._slots.finished(execution)

    def rest_dry_lanes(self) -> None:
        """Take empty lanes out of the fair order, so that nobody opens a window for them."""
        if self._connection is None:
            return
        try:
            lane.rest_dry_lanes(self._connection, self.claimant.shard)
        except DatabaseUnavailable as error:
            self._lost_connection([], error)

    def window_state(self, dispatch_key: str) -> tuple[str, int | None] | None:
        """State and function run of a window. Raises DatabaseUnavailable."""
        if not self._connect() or self._connection is None:
            raise DatabaseUnavailable("not connected")
        return dispatch_window.state_of(self._connection, dispatch_key)

    def end(self, begun: Begun | None, state: FunctionRunState, reason: EndReason, detail: str) -> bool:
        """Write the end of the function run; False when it had been fenced. Raises DatabaseUnavailable."""
        assert begun is not None
        if not self._connect() or self._connection is None:
            raise DatabaseUnavailable("not connected")
        self._counts["abandoned_threads"] = self._slots.abandoned
        return function_run.end(
            self._connection, begun, state=state, end_reason=reason, end_detail=detail, counters=self._counts
        )

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def look_again(self) -> None:
        """Somebody says that the rule has changed: the next exchange looks at it."""
        self._ruled_at = -_RULE_EVERY_SECONDS

    def _size(self) -> int:
        if self.rule.paused is not None:
            self.dry, self.contended = True, False
            return 0
        return claim_size(
            idle=self._slots.idle,
            buffered=self._slots.buffered,
            concurrency=self._slots.count,
            batch_size=self._options.batch_size,
            mean_seconds=self._mean_seconds,
        )

    def _look_at_rule(self, now: float) -> None:
        """A flip of a flag, a canary, a pause or another capacity takes effect here within two seconds."""
        if now - self._ruled_at < _RULE_EVERY_SECONDS:
            return
        with self._database.begin() as tx:
            self.rule = drain_rule.look(tx, self.claimant, self._limits)
        self._slots.resize(self.rule.workers or self._options.concurrency)
        self._ruled_at = now
        self._floor = store.LOWEST

    def _claimed(self, brought: store.Exchange, size: int) -> None:
        self._slots.add(brought.claims)
        self._counts["claimed"] += len(brought.claims)
        self.dry = len(brought.claims) + brought.parked < size
        passed_over = not brought.claims and brought.lanes_seen == 0
        again, self.contended = self.contended, passed_over and brought.lanes_open
        if not again:  # a claim that is tried again because of a conflict is still the same claim
            self._counts["claims"] += 1
            self._counts["claim_conflicts"] += self.contended
        self._floor = store.LOWEST if self.dry else brought.floor
        self._capped = self.dry and brought.lanes_ready and not self.contended  # the end of a job may make room
        crowded = not brought.claims and brought.lanes_seen > 0
        now = time.monotonic()
        if self.dry and (crowded or now - self._rested_at >= _REST_LANES_EVERY_SECONDS) and brought.lanes_seen:
            self._rested_at = now
            self.rest_dry_lanes()
            self.dry = self.dry and brought.lanes_seen < size

    def _settled(self, results: list[AttemptResult], settled: dict[tuple[int, int], str]) -> None:
        refused: list[AttemptResult] = []
        for result in results:
            state = settled.get((result.job_id, result.fence))
            if state is None:
                refused.append(result)
            else:
                self._counts[counter_of(result.outcome, state)] += 1
                if state == "PENDING":
                    self.dry = False
        if results:
            self.contended = False
        self._refuse(refused)

    def _refuse(self, refused: list[AttemptResult]) -> None:
        if not refused:
            return
        self._counts["late_writes_refused"] += len(refused)
        log.warning("%d late writes refused: %s", len(refused), [f"{r.job_id}:{r.outcome}" for r in refused[:10]])
        if self._connection is not None:
            try:
                store.record_refused(self._connection, self.claimant.function_run_id, refused)
            except DatabaseUnavailable as error:
                self._lost_connection([], error)

    def _lost_connection(self, results: list[AttemptResult], error: DatabaseUnavailable) -> None:
        log.warning("function run %s: %s", self.claimant.function_run_id, error)
        self._in_doubt.extend(results)
        self.pending = results + self.pending
        self.close()
        self._retry_seconds = min(_RECONNECT_MAX_SECONDS, self._retry_seconds * 2)
        spread = 0.5 + random.random() / 2  # noqa: S311 - spreads load, protects nothing
        self._retry_at = time.monotonic() + self._retry_seconds * spread

    def _connect(self) -> bool:
        if self._connection is not None:
            return True
        if time.monotonic() < self._retry_at:
            return False
        try:
            connection = self._database.direct()
            store.prepare(connection)
            self._get_back_in_step(connection)
        except DatabaseUnavailable as error:
            self._lost_connection([], error)
            return False
        self._connection = connection
        self._retry_seconds = 0.1
        return True

    def _get_back_in_step(self, connection: Direct) -> None:
        """After an outage nobody knows whether the last exchange was committed: ask, and act on the answer."""
        if self._in_doubt:
            before = store.settled_before(connection, self._in_doubt)
            for result in self.pending:
                if (result.job_id, result.fence) in before:
                    self._counts[counter_of(result.outcome, result.next_state)] += 1
            self.pending = [r for r in self.pending if (r.job_id, r.fence) not in before]
            self._in_doubt = []
        known = {(e.claim.job_id, e.claim.fence) for e in self._slots.executions()}
        known |= {(r.job_id, r.fence) for r in self.pending}
        for job_id, fence in store.held_by(connection, self.claimant.function_run_id) - known:
            state = next_state(AttemptOutcome.RELEASED, attempt=1, max_attempts=1)
            self.add(AttemptResult(job_id, fence, AttemptOutcome.RELEASED, state, free=True))
