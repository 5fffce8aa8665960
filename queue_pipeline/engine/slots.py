"""Worker slots: threads that run handlers, as many as are allowed now, each replaced when its handler hangs.

The threads are daemons: a handler that never returns must not keep the process alive.
"""

import threading
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue

from queue_pipeline.domain.attempt import AttemptOutcome
from queue_pipeline.domain.claim import AttemptResult, Claim
from queue_pipeline.engine.execution import Execution

Run = Callable[[Execution], AttemptResult]
Finished = tuple[Execution, AttemptResult]


class Slots:
    """`count` threads taking executions from a buffer and putting results into a mailbox.

    `resize` may change their number at any time; no handler is ever interrupted by that.
    """

    def __init__(
        self, count: int, run: Run, mailbox: "SimpleQueue[Finished | None]", may_start: Callable[[], bool]
    ) -> None:
        self._count = 0
        self._alive = 0
        self._changing = threading.Lock()
        self._run = run
        self._mailbox = mailbox
        self._may_start = may_start
        self._buffer: SimpleQueue[Execution | None] = SimpleQueue()
        self._open: dict[tuple[int, int], Execution] = {}
        self.abandoned = 0
        self.resize(count)

    @property
    def count(self) -> int:
        """How many handlers may run at once."""
        return self._count

    @property
    def held(self) -> int:
        """Claimed jobs that have not ended: running or waiting for a slot."""
        return len(self._open)

    @property
    def idle(self) -> int:
        """Slots without work, counting the buffer as work."""
        return max(0, self._count - len(self._open))

    @property
    def buffered(self) -> int:
        """Claimed jobs beyond what the slots can run at once."""
        return max(0, len(self._open) - self._count)

    def add(self, claims: list[Claim]) -> None:
        """Hand claimed jobs to the slots, in order."""
        now = time.monotonic()
        for claim in claims:
            execution = Execution(claim, now)
            self._open[(claim.job_id, claim.fence)] = execution
            self._buffer.put(execution)

    def executions(self) -> list[Execution]:
        """Everything in hand, started or not."""
        return list(self._open.values())

    def running(self) -> list[Execution]:
        """The handlers that have started and not ended."""
        return [execution for execution in list(self._open.values()) if execution.started is not None]

    def finished(self, execution: Execution) -> None:
        """Forget an execution whose result has arrived."""
        self._open.pop((execution.claim.job_id, execution.claim.fence), None)

    def abandon(self, execution: Execution) -> None:
        """Give up on a hanging handler: its slot gets a new thread, its late result will be ignored."""
        execution.abandon()
        self.finished(execution)
        self.abandoned += 1
        with self._changing:
            self._alive -= 1
            self._start_missing()

    def resize(self, count: int) -> None:
        """Let so many handlers run at once: missing threads start now, surplus ones end when their handler does."""
        if count == self._count:
            return
        with self._changing:
            self._count = count
            self._start_missing()
            for _ in range(self._alive - count):
                self._buffer.put(None)  # wakes an idle one, which looks whether it is surplus

    def take_back_unstarted(self) -> list[Execution]:
        """Empty the buffer; returns the executions that no slot has started."""
        unstarted: list[Execution] = []
        calls_to_end = 0
        while not self._buffer.empty():
            try:
                execution = self._buffer.get_nowait()
            except Empty:  # a slot was quicker
                break
            if execution is None:
                calls_to_end += 1
                continue
            self.finished(execution)
            unstarted.append(execution)
        for _ in range(calls_to_end):
            self._buffer.put(None)
        return unstarted

    def close(self) -> None:
        """Let the threads end, those that are busy after their handlers."""
        self.resize(0)

    def _start_missing(self) -> None:
        while self._alive < self._count:
            self._alive += 1
            threading.Thread(target=self._work, name="queue-pipeline-slot", daemon=True).start()

    def _is_surplus(self) -> bool:
        """Whether this thread is one too many; it ends then."""
        with self._changing:
            surplus = self._alive > self._count
            self._alive -= surplus
            return surplus

    def _work(self) -> None:
        while not self._is_surplus():
            execution = self._buffer.get()
            if execution is None:
                continue
            result = self._run(execution) if self._may_start() else execution.result(AttemptOutcome.RELEASED)
            self._mailbox.put((execution, result))
            if execution.abandoned:
                return
