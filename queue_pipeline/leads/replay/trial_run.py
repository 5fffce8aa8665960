"""Evaluate the cases of a selection side by side, within a time that nothing can stretch."""

import queue
import threading
from collections.abc import Callable, Sequence

from queue_pipeline.leads.replay import case_record
from queue_pipeline.leads.replay.artifact import CaseRecord
from queue_pipeline.leads.replay.evaluation import Bench, evaluate
from queue_pipeline.leads.replay.failure import EndpointAway, ReplayFailure
from queue_pipeline.leads.replay.manifest import Case, Tiers

#: Between the end of the time and giving up on a call that does not keep to it.
_GRACE_SECONDS = 2.0


def evaluate_all(
    cases: Sequence[Case],
    bench: Bench,
    *,
    tiers: Tiers,
    concurrency: int,
    finished: Callable[[CaseRecord], None],
) -> list[CaseRecord]:
    """The record of every case, in order. `finished` is called for each as it ends, in the calling thread.

    A case that has not ended when the time is over is given up: its thread may live on, and nobody listens to it.
    """
    waiting: queue.SimpleQueue[Case] = queue.SimpleQueue()
    done: queue.SimpleQueue[CaseRecord] = queue.SimpleQueue()
    for case in cases:
        waiting.put(case)

    def work() -> None:
        while bench.clock.left() > 0:
            try:
                case = waiting.get_nowait()
            except queue.Empty:
                return
            done.put(case_record.recorded(case, evaluate(case, bench), tiers))

    for number in range(min(concurrency, len(cases))):
        threading.Thread(target=work, name=f"replay-{number}", daemon=True).start()
    records: dict[str, CaseRecord] = {}
    while len(records) < len(cases):
        try:
            record = done.get(timeout=max(0.0, bench.clock.left() + _GRACE_SECONDS))
        except queue.Empty:
            break
        records[record.case_id] = record
        finished(record)
    return [records.get(case.case_id) or case_record.not_run(case, _out_of_time(), tiers) for case in cases]


def _out_of_time() -> ReplayFailure:
    return EndpointAway("the time of the replay was over before this case had ended")
