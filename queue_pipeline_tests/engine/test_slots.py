"""Slots that are resized while handlers run: nobody is interrupted, and no more run than are allowed."""

import threading
from datetime import UTC, datetime
from queue import SimpleQueue

from queue_pipeline.domain.attempt import AttemptOutcome
from queue_pipeline.domain.claim import AttemptResult, Claim
from queue_pipeline.engine.execution import Execution
from queue_pipeline.engine.slots import Finished, Slots
from queue_pipeline_tests.waiting import eventually

NOW = datetime(2026, 11, 30, tzinfo=UTC)


class Work:
    """Handlers that end when they are let go, one by one."""

    def __init__(self, count: int, jobs: int) -> None:
        self.mailbox: SimpleQueue[Finished | None] = SimpleQueue()
        self.started = 0
        self._lock = threading.Lock()
        self._gate = threading.Semaphore(0)
        self.slots = Slots(count, self._run, self.mailbox, lambda: True)
        self.slots.add([Claim(n, n, "nap", "acme", "{}", 1, 5, 60, NOW, NOW, NOW, NOW) for n in range(jobs)])

    def _run(self, execution: Execution) -> AttemptResult:
        with self._lock:
            self.started += 1
        self._gate.acquire()
        return execution.result(AttemptOutcome.SUCCEEDED)

    def end(self, count: int) -> None:
        """Let so many handlers end, and hear of each."""
        for _ in range(count):
            self._gate.release()
        for _ in range(count):
            message = self.mailbox.get(timeout=30)
            assert message is not None
            self.slots.finished(message[0])

    def until_started(self, count: int) -> None:
        eventually(lambda: self.started >= count, within=30, what=f"{count} handlers to have started")
        assert self.started == count


def test_more_slots_start_more_handlers_at_once() -> None:
    work = Work(2, jobs=8)
    work.until_started(2)
    work.slots.resize(5)
    work.until_started(5)
    assert (work.slots.count, work.slots.held, work.slots.buffered) == (5, 8, 3)
    work.end(8)


def test_fewer_slots_let_handlers_end_and_start_no_more_than_allowed() -> None:
    work = Work(4, jobs=8)
    work.until_started(4)
    work.slots.resize(2)
    work.end(2)
    work.end(1)
    work.until_started(5)  # the first two threads that ended took nothing
    work.end(5)
    assert work.slots.idle == 2


def test_idle_slots_end_and_come_back() -> None:
    work = Work(4, jobs=0)
    work.slots.resize(1)
    work.slots.resize(3)
    work.slots.add([Claim(n, n, "nap", "acme", "{}", 1, 5, 60, NOW, NOW, NOW, NOW) for n in range(5)])
    work.until_started(3)
    work.end(5)


def test_what_is_taken_back_does_not_keep_a_surplus_slot() -> None:
    work = Work(2, jobs=4)
    work.until_started(2)
    work.slots.resize(1)
    assert len(work.slots.take_back_unstarted()) == 2
    work.end(2)
    work.slots.add([Claim(n, n, "nap", "acme", "{}", 1, 5, 60, NOW, NOW, NOW, NOW) for n in (10, 11)])
    work.until_started(3)
    work.end(2)


def test_a_slot_whose_handler_hangs_is_replaced() -> None:
    work = Work(2, jobs=4)
    work.until_started(2)
    work.slots.abandon(work.slots.executions()[0])
    work.until_started(3)
    assert (work.slots.abandoned, work.slots.held) == (1, 3)
    work.end(4)
    work.until_started(4)
