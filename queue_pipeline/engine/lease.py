"""Keep a function run alive while it works: presence lock, heartbeat, and the way out when they are lost.

A thread of its own on a connection of its own, so that neither a slow handler nor a slow query can stop it.
A heartbeat alone proves nothing: a drain whose loop has stopped turning stops renewing its own lease.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from queue_pipeline.domain.errors import DatabaseUnavailable
from queue_pipeline.domain.limits import Limits
from queue_pipeline.engine.execution import Execution
from queue_pipeline.engine.sampling import samples_of, stack_of
from queue_pipeline.store import function_run, handler_state
from queue_pipeline.store.function_run import Begun
from queue_pipeline.store.notify import wait_for_notifications
from queue_pipeline.store.session import Database, Direct

log = logging.getLogger(__name__)

_PULSE_CHECK_SECONDS = 0.1
_PRESENCE_RETRY_SECONDS = 0.1
_RECONNECT_SECONDS = 0.3


@dataclass(frozen=True)
class Identity:
    """Who runs a drain."""

    shard: str
    host: str
    pid: int
    dagster_run_id: str | None


class Lease:
    """The lease of one function run. `open` begins the run and starts the thread; `close` ends both."""

    def __init__(
        self,
        database: Database,
        limits: Limits,
        *,
        counters: Callable[[], Mapping[str, float | None]],
        executions: Callable[[], list[Execution]],
        on_change: Callable[[], None],
    ) -> None:
        self._database = database
        self._limits = limits
        self._counters = counters
        self._executions = executions
        self._on_change = on_change
        self._connection: Direct | None = None
        self._closing = threading.Event()
        self._pulse = threading.Event()
        self._renewed = time.monotonic()
        self._turned = time.monotonic()
        self._progressed = False
        self._present = False
        self._drain_thread = threading.get_ident()
        self._thread: threading.Thread | None = None
        self.begun: Begun | None = None
        self.lost = False
        self.stop_reason: str | None = None
        self.cancelled: set[tuple[int, int]] = set()

    def open(self, identity: Identity, dispatch_key: str | None, window_by_hand: Callable[[int], str]) -> bool:
        """Begin the function run by taking the window; False when somebody else has it.

        Without a key, `window_by_hand(function_run_id)` finds or opens one. Raises DatabaseUnavailable.
        """
        connection = self._database.direct()
        run_id = function_run.next_function_run_id(connection)
        self._present = function_run.take_presence_lock(connection, run_id)
        self._renewed = time.monotonic()
        self.begun = function_run.begin(
            connection,
            function_run_id=run_id,
            dispatch_key=dispatch_key or window_by_hand(run_id),
            shard=identity.shard,
            host=identity.host,
            pid=identity.pid,
            dagster_run_id=identity.dagster_run_id,
            lease_seconds=self._limits.lease_seconds,
        )
        if self.begun is None:
            connection.close()
            return False
        self._connection = connection
        self._thread = threading.Thread(target=self._keep, name="queue-pipeline-lease", daemon=True)
        self._thread.start()
        return True

    def turned(self, *, progressed: bool) -> None:
        """The drain's loop says that it turned, and whether the turn moved or rightly had nothing to do."""
        self._turned = time.monotonic()
        self._progressed = self._progressed or progressed

    def safe(self) -> bool:
        """Whether the lease certainly still holds, with a margin, on this process's monotonic clock."""
        return (
            not self.lost
            and time.monotonic() < self._renewed + self._limits.lease_seconds - self._limits.fence_margin_seconds
        )

    def pulse(self) -> None:
        """Heartbeat now instead of at the next interval."""
        self._pulse.set()

    def close(self) -> None:
        """Stop the thread and give up the presence lock."""
        self._closing.set()
        self._pulse.set()
        if self._thread is not None:
            self._thread.join(timeout=10)
        if self._connection is not None:
            self._connection.close()

    def _keep(self) -> None:
        wait = 0.0
        while not self._closing.is_set():
            self._rest(wait)
            if self._closing.is_set():
                return
            if self._stalled():
                wait = self._limits.heartbeat_seconds
                continue
            try:
                self._beat()
                wait = self._limits.heartbeat_seconds if self._present else _PRESENCE_RETRY_SECONDS
            except DatabaseUnavailable as error:
                log.warning(
                    "function run %s cannot renew its lease: %s", self.begun and self.begun.function_run_id, error
                )
                self._drop_connection()
                wait = min(_RECONNECT_SECONDS, self._limits.heartbeat_seconds)
            except Exception:
                log.exception("lease keeper of function run %s", self.begun and self.begun.function_run_id)
                self._drop_connection()
                wait = min(_RECONNECT_SECONDS, self._limits.heartbeat_seconds)
            if self.lost:
                self._on_change()
                return

    def _rest(self, seconds: float) -> None:
        """Wait for the next heartbeat on the connection itself: when it breaks, the lock is gone and time is short."""
        until = time.monotonic() + seconds
        while not self._pulse.is_set() and (left := until - time.monotonic()) > 0:
            if self._connection is None:
                self._pulse.wait(left)
                continue
            try:
                for _ in wait_for_notifications(self._connection, min(left, _PULSE_CHECK_SECONDS)):
                    break
            except DatabaseUnavailable:
                self._drop_connection()
                break
        self._pulse.clear()

    def _beat(self) -> None:
        assert self.begun is not None
        connection = self._connected()
        progressed, self._progressed = self._progressed or self._handlers_progressed(), False
        before = time.monotonic()
        answer = function_run.heartbeat(
            connection,
            self.begun,
            lease_seconds=self._limits.lease_seconds,
            progressed=progressed,
            counters=self._counters(),
        )
        if not answer.living:
            self.lost = True
            return
        self._renewed = before
        if answer.stop_requested and self.stop_reason is None:
            self.stop_reason = answer.stop_reason or "asked to stop"
            self._on_change()
        samples = samples_of(self._executions())
        if samples:
            handler_state.store_samples(connection, samples)
        cancelled = handler_state.cancel_requested(connection, self.begun.function_run_id)
        if cancelled != self.cancelled:
            self.cancelled = cancelled
            self._on_change()

    def _connected(self) -> Direct:
        if self._connection is None:
            self._connection = self._database.direct()
            self._present = False
        if not self._present:
            # After a lost connection its old session may hold the lock for a moment: tried again very soon.
            assert self.begun is not None
            self._present = function_run.take_presence_lock(self._connection, self.begun.function_run_id)
        return self._connection

    def _drop_connection(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _handlers_progressed(self) -> bool:
        since = time.monotonic() - self._limits.heartbeat_seconds * 1.5
        return any(e.progress_at is not None and e.progress_at > since for e in self._executions())

    def _stalled(self) -> bool:
        silent = time.monotonic() - self._turned
        if silent < self._limits.loop_stall_seconds:
            return False
        log.error(
            "the loop of function run %s has not turned for %.0f s; its lease is no longer renewed. It is at:\n%s",
            self.begun and self.begun.function_run_id,
            silent,
            stack_of(self._drain_thread),
        )
        return True
