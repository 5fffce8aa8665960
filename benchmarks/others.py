"""How much of the machine somebody else used during a measurement: a figure taken on a busy machine is none."""

from __future__ import annotations

import time
from contextlib import suppress

import psutil

#: Beyond this share of all cores, a measurement is shown but no target is judged by it.
SHARE_MAX = 0.10


class Others:
    """Begins to watch when it is made. Without the server's process (another host) nothing is known."""

    def __init__(self, server: psutil.Process | None) -> None:
        self._server = server
        self._began = time.monotonic()
        self._busy = busy_seconds()
        self._ours = self._our_seconds()

    def share(self) -> float | None:
        """The share of all cores that neither the bench, nor its workers, nor the server used; None if not known."""
        if self._server is None:
            return None
        whole = (time.monotonic() - self._began) * (psutil.cpu_count() or 1)
        foreign = (busy_seconds() - self._busy) - (self._our_seconds() - self._ours)
        return round(max(0.0, foreign / whole), 3)

    def _our_seconds(self) -> float:
        trees = [psutil.Process()] if self._server is None else [psutil.Process(), self._server]
        return sum(tree_seconds(process) for process in trees)


def busy_seconds() -> float:
    """CPU seconds that all cores have worked since the machine started."""
    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system + times.irq + times.softirq + times.steal)


def tree_seconds(process: psutil.Process) -> float:
    """CPU seconds of a process, of its living children, and of those that it has seen end."""
    total = 0.0
    for each in (process, *process.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            times = each.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total
