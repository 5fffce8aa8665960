"""Drain one shard: take the window, then claim, handle and settle until the budget or the queue ends.

The loop runs in the calling thread and never inside a transaction while handlers run. It has no batch barrier:
a slot that falls free is filled at once, whatever the others do.
"""

import logging
import os
import platform
import threading
import time
from collections import Counter
from collections.abc import Callable
from queue import Empty, SimpleQueue

from queue_pipeline.domain.claim import AttemptResult
from queue_pipeline.domain.drain import DrainOptions, DrainProgress, DrainReport
from queue_pipeline.domain.errors import DatabaseUnavailable
from queue_pipeline.domain.function_run import EndReason, FunctionRunState
from queue_pipeline.domain.limits import Limits
from queue_pipeline.engine import dispatch
from queue_pipeline.engine.context import JobContext
from queue_pipeline.engine.execution import Execution, execute
from queue_pipeline.engine.handlers import Registry
from queue_pipeline.engine.lease import Identity, Lease
from queue_pipeline.engine.ledger import Ledger
from queue_pipeline.engine.listener import Listener
from queue_pipeline.engine.slots import Finished, Slots
from queue_pipeline.engine.sweeper import Sweeper
from queue_pipeline.engine.watch import Watch
from queue_pipeline.store import dispatch_window, function_run
from queue_pipeline.store.claim import Claimant
from queue_pipeline.store.session import Database

log = logging.getLogger(__name__)

__all__ = ["DrainOptions", "DrainProgress", "DrainReport", "drain", "request_stop_all"]

_DEFAULT_LIMITS = Limits()
_IDLE_WAIT_SECONDS = 0.25
_LOOK_EVERY_SECONDS = 0.5
_REPORT_EVERY_SECONDS = 0.2
_ENDING_SECONDS = 20.0


def drain(
    database: Database,
    registry: Registry,
    options: DrainOptions,
    *,
    limits: Limits = _DEFAULT_LIMITS,
    stop: threading.Event | None = None,
    on_turn: Callable[[DrainProgress], None] | None = None,
) -> DrainReport:
    """Drain one shard in the calling thread until its end; see DrainOptions.

    Setting `stop` ends it gracefully: nothing more is claimed, running handlers get a grace, unstarted jobs go
    back. `on_turn` is called a few times a second. Raises DatabaseUnavailable when the database is away before the
    window is taken; afterwards outages are waited out, and a lost lease ends the drain.
    """
    return _Drain(database, registry, options, limits=limits, stop=stop or threading.Event(), on_turn=on_turn).run()


def request_stop_all(database: Database, why: str, shard: str | None = None) -> int:
    """Ask every living function run (of a shard) to stop gracefully; returns how many were asked."""
    with database.begin() as tx:
        return function_run.request_stop(tx, reason=why, shard=shard)


class _Drain:
    def __init__(
        self,
        database: Database,
        registry: Registry,
        options: DrainOptions,
        *,
        limits: Limits,
        stop: threading.Event,
        on_turn: Callable[[DrainProgress], None] | None,
    ) -> None:
        self.database = database
        self.registry = registry
        self.options = options
        self.limits = limits
        self.stop = stop
        self.on_turn = on_turn
        self.counts: Counter[str] = Counter()
        self.mailbox: SimpleQueue[Finished | None] = SimpleQueue()
        self.notified = threading.Event()
        self.slots = Slots(options.concurrency, self._handle, self.mailbox, self._may_start)
        self.lease = Lease(
            database, limits, counters=self._counters, executions=self.slots.executions, on_change=self._poke
        )  # fmt: skip
        self.started = time.monotonic()
        self.reported = 0.0
        self.successor_key: str | None = None

    def run(self) -> DrainReport:
        identity = Identity(self.options.shard, platform.node(), os.getpid(), self.options.dagster_run_id)
        key = self.options.dispatch_key

        def window_by_hand(run_id: int) -> str:
            return dispatch.window_for_drain_by_hand(self.database, self.options.shard, run_id, self.limits)

        if not self.lease.open(identity, key, window_by_hand):
            self.slots.close()
            return self._not_taken(key or "")
        assert self.lease.begun is not None
        claimant = Claimant(self.lease.begun.function_run_id, self.lease.begun.fence, self.options.shard)
        self.ledger = Ledger(
            self.database, claimant, options=self.options, limits=self.limits, slots=self.slots, counts=self.counts
        )
        self.watch = Watch(self.slots, self.ledger, self.lease, self.limits)
        listener = Listener(self.database, self._notified, self.lease.pulse)
        sweeper = Sweeper(self.database, self.options.shard, self.limits)
        sweeper.start()
        listener.start()
        reason, detail = EndReason.CRASHED, "the drain's loop raised an error"
        try:
            reason, detail = self._loop()
        except Exception as error:
            log.exception("drain of %s", self.options.shard)
            detail = f"the drain's loop raised {type(error).__name__}: {error}"
        finally:
            sweeper.close()
            report = self._end(reason, detail)
            listener.close()
            self.lease.close()
            self.ledger.close()
            self.slots.close()
        return report

    def _loop(self) -> tuple[EndReason, str]:
        idle_since: float | None = None
        handed_over_at: float | None = None
        while True:
            self._receive()
            now = time.monotonic()
            self.watch.look(now)
            moved = self.ledger.exchange(notified=self._take_notified()) if self._exchange_is_due(now) else False
            resting = self.slots.held == 0 and not self.ledger.pending and self.ledger.dry and self.ledger.connected
            self.lease.turned(progressed=moved or resting)
            self._report(now)
            idle_since = (idle_since or now) if resting else None
            if end := self._must_end():
                return end
            if idle_since is not None and self._idle_long_enough(now - idle_since):
                self.ledger.rest_dry_lanes()
                return EndReason.EMPTY, self.ledger.rule.paused or "nothing was due any more"
            if now - self.started < self.options.budget_seconds:
                continue
            if not self.options.hand_over:
                return EndReason.BUDGET, f"its {self.options.budget_seconds:.0f} s were over"
            if handed_over_at is None:
                handed_over_at = now
                self._hand_over()
            if self._handed_over(now - handed_over_at):
                return EndReason.BUDGET, f"its {self.options.budget_seconds:.0f} s were over"

    def _receive(self) -> None:
        """Wait until a handler ends, a notification comes, or it is time to look around."""
        try:
            message = self.mailbox.get(timeout=self._wait_seconds())
        except Empty:
            return
        while True:
            if message is not None:
                self.ledger.note(*message)
            try:
                message = self.mailbox.get_nowait()
            except Empty:
                return

    def _wait_seconds(self) -> float:
        if not self.ledger.connected or self.ledger.contended:
            return 0.02
        if self.ledger.pending:
            return 0.001
        return _IDLE_WAIT_SECONDS if self.ledger.dry or self.slots.buffered or not self.slots.idle else 0.0

    def _exchange_is_due(self, now: float) -> bool:
        if self.notified.is_set() or now - self.ledger.looked_at >= _LOOK_EVERY_SECONDS:
            return True
        if self.ledger.pending and (self.slots.held <= self.slots.count or now - self.ledger.pending_since >= 0.005):
            return True
        return (not self.ledger.dry or self.ledger.contended) and self.slots.idle > 0

    def _must_end(self) -> tuple[EndReason, str] | None:
        if self.lease.lost or self.ledger.fenced:
            return EndReason.FENCED, "the function run was recovered by somebody else"
        if self.stop.is_set():
            return EndReason.STOPPED, "the process was told to stop"
        if self.lease.stop_reason is not None:
            return EndReason.STOPPED, self.lease.stop_reason
        if self.slots.abandoned > self.limits.abandoned_threads_max:
            return EndReason.SLOTS_HUNG, f"{self.slots.abandoned} handlers never returned; a fresh process goes on"
        return None

    def _idle_long_enough(self, idle_seconds: float) -> bool:
        if self.options.until_empty:
            return idle_seconds > 0.05
        return idle_seconds >= self.options.linger_seconds

    def _hand_over(self) -> None:
        try:
            self.successor_key = dispatch.open_successor(
                self.database, self.options.shard, self.ledger.claimant.function_run_id, self.limits
            )
        except DatabaseUnavailable:
            self.successor_key = None

    def _handed_over(self, seconds: float) -> bool:
        """Whether the successor has taken its window, or there is none, or it does not come."""
        if self.successor_key is None or seconds >= self.limits.handover_seconds:
            return True
        try:
            state = self.ledger.window_state(self.successor_key)
        except DatabaseUnavailable:
            return False
        return state is None or state[0] != "OPEN"

    def _end(self, reason: EndReason, detail: str) -> DrainReport:
        """Give back what was not started, wait for what runs, write everything down, hand over."""
        self.ledger.release_unstarted()
        grace = self.limits.termination_grace_seconds
        if reason in (EndReason.BUDGET, EndReason.EMPTY):
            grace = self.limits.deadline_max_seconds  # each handler is bounded by its own deadline
        self._wait_for_handlers(0.0 if reason is EndReason.FENCED else grace)
        self.ledger.give_up_running(f"the drain ended ({detail}) before the handler did")
        self._settle_rest()
        state = FunctionRunState.FAILED if reason is EndReason.CRASHED else FunctionRunState.SUCCEEDED
        ended = False
        try:
            ended = self.ledger.end(self.lease.begun, state, reason, detail)
            if ended and reason is not EndReason.EMPTY and self.options.hand_over and self.successor_key is None:
                self._hand_over()
        except DatabaseUnavailable as error:
            log.warning(
                "function run %s could not write its end, recovery will: %s",
                self.ledger.claimant.function_run_id,
                error,
            )
        return DrainReport(
            shard=self.options.shard,
            function_run_id=self.ledger.claimant.function_run_id,
            end_reason=str(reason) if ended else str(EndReason.FENCED),
            end_detail=detail,
            seconds=time.monotonic() - self.started,
            counts={name: self.counts[name] for name in (*function_run.COUNTERS, "late_writes_refused")},
            successor_key=self.successor_key,
        )

    def _wait_for_handlers(self, grace_seconds: float) -> None:
        until = time.monotonic() + grace_seconds
        told = False
        while self.slots.held and time.monotonic() < until and not self.lease.lost:
            if not told and (self.stop.is_set() or self.lease.stop_reason is not None):
                told, until = True, min(until, time.monotonic() + self.limits.termination_grace_seconds)
            self._receive()
            self.watch.look(time.monotonic())
            if self.ledger.pending:
                self.ledger.exchange(notified=False, claim=False)
            self.lease.turned(progressed=False)

    def _settle_rest(self) -> None:
        until = time.monotonic() + _ENDING_SECONDS
        while self.ledger.pending and time.monotonic() < until:
            if not self.ledger.exchange(notified=False, claim=False):
                self._receive()

    def _counters(self) -> dict[str, float | None]:
        return {**self.counts, "workers": self.slots.count, "connect_wait_p95": self.database.connect_wait_p95()}

    def _may_start(self) -> bool:
        return self.lease.safe()

    def _handle(self, execution: Execution) -> AttemptResult:
        context = JobContext(self.database, execution, self.lease.safe, self.limits)
        return execute(execution, self.registry, context, self.limits)

    def _notified(self, payload: str) -> None:
        if payload in ("stop", "cancel"):
            self.lease.pulse()
        elif payload == "rule":
            self.ledger.look_again()
        elif not self.notified.is_set():
            self.notified.set()
            self._poke()

    def _take_notified(self) -> bool:
        notified = self.notified.is_set()
        self.notified.clear()
        return notified

    def _poke(self) -> None:
        self.mailbox.put(None)

    def _report(self, now: float) -> None:
        if self.on_turn is not None and now - self.reported >= _REPORT_EVERY_SECONDS:
            self.reported = now
            self.on_turn(DrainProgress(now - self.started, self.slots.held, dict(self.counts)))

    def _not_taken(self, key: str) -> DrainReport:
        connection = self.database.direct()
        try:
            found = dispatch_window.state_of(connection, key)
        finally:
            connection.close()
        if found is None:
            why = f"there is no window {key}"
        elif found[1] is not None:
            why = f"window {key} was taken by function run {found[1]} ({found[0]})"
        else:
            why = f"window {key} is {found[0]}"
        return DrainReport(self.options.shard, None, "not_taken", why, time.monotonic() - self.started, why_not=why)
