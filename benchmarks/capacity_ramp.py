"""Capacity control under a tenfold rise of the load, and then under a storm of lock waits.

    python -m benchmarks.capacity_ramp [--png FILE] [--json FILE]

Real drains (the engine, in threads, without Dagster) on a private embedded PostgreSQL, or QUEUE_PIPELINE_BENCH_URL's. Everything
that production does in minutes is done thirty times faster: a sample every 2 s instead of every 60 s, and a bound of
10 s for the age of jobs instead of 300 s. Handlers sleep for half a second. The trace goes to stdout. About two minutes.
Exit code 1 when a target is missed.
"""

import argparse
import json
import math
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import psycopg
from benchmarks.server import server
from queue_pipeline import NewJob, enqueue_many
from queue_pipeline.domain.capacity import CapacityPolicy
from queue_pipeline.domain.dispatch_window import WindowSource
from queue_pipeline.domain.drain import DrainOptions
from queue_pipeline.domain.flag import CAPACITY_MODE
from queue_pipeline.domain.lane import shard_names
from queue_pipeline.domain.limits import Limits
from queue_pipeline.engine import capacity, flags
from queue_pipeline.engine.capacity_tick import tick
from queue_pipeline.engine.dispatch import open_due_windows
from queue_pipeline.engine.drain import drain
from queue_pipeline.engine.handlers import HandlerSpec, Registry
from queue_pipeline.store import migrate
from queue_pipeline.store.capacity import Decision
from queue_pipeline.store.session import Database

FASTER = 30
HANDLER_SECONDS = 0.5
LOW, HIGH = 4.0, 40.0  # jobs per second
LOW_SECONDS, HIGH_SECONDS, STORM_SECONDS = 20.0, 60.0, 12.0
AGE_BOUND = 300.0 / FASTER
SHARDS, WORKSPACES, CONCURRENCY = 2, 16, 2
WAITERS = 12
WAITING_SQL = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
POLICY = CapacityPolicy(
    shards=SHARDS,
    floor=SHARDS,
    configured=SHARDS * CONCURRENCY,
    ceiling=64,
    sample_seconds=60.0 / FASTER,
    smoothing_seconds=300.0 / FASTER,
    drain_backlog_seconds=300.0 / FASTER,
    age_high_seconds=60.0 / FASTER,
    age_low_seconds=10.0 / FASTER,
    calm_seconds=600.0 / FASTER,
    in_flight_window_seconds=300.0 / FASTER,
)
LIMITS = Limits(heartbeat_seconds=0.5)


@dataclass(frozen=True)
class Point:
    """One decision on the trace; seconds since the start."""

    seconds: float
    workers: int
    running: int
    arrivals: float
    ended: float
    due: int
    age: float
    reason: str
    why: str


def _nap(_: object, __: Any) -> None:
    time.sleep(HANDLER_SECONDS)


class Bench:
    """The queue with everything around it in threads: arrivals, dispatch, drains, looks at capacity."""

    def __init__(self, url: str) -> None:
        self.db = Database(url, pool_size=10)
        self.registry = Registry()
        self.registry.add(HandlerSpec("nap", _nap, None, 60, 5, 10.0, 0.0, False))
        self.rate = LOW
        self.stop = threading.Event()
        self.began = time.monotonic()
        self._drains: list[threading.Thread] = []
        self._loops = [threading.Thread(target=self._repeat, args=each, daemon=True) for each in (
            (self._arrive, 0.1), (self._dispatch, 0.25), (self._look, 0.1))]  # fmt: skip
        self._owed = 0.0
        self._sent = 0
        self._arrived = time.monotonic()

    def __enter__(self) -> Self:
        for loop in self._loops:
            loop.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        for thread in (*self._loops, *self._drains):
            thread.join(15)
        self.db.dispose()

    def seconds(self) -> float:
        return time.monotonic() - self.began

    def decisions(self) -> list[Decision]:
        return list(reversed(capacity.status(self.db, POLICY, decisions=500).decisions))

    def trace(self) -> list[Point]:
        decisions = self.decisions()
        now, with_clock = self.seconds(), self._database_seconds()
        return [
            Point(
                seconds=now - (with_clock - each.decided_at.timestamp()),
                workers=each.to_workers,
                running=each.workers_running or 0,
                arrivals=each.arrivals_per_second or 0.0,
                ended=each.finished_per_second or 0.0,
                due=each.due or 0,
                age=each.age_p95_seconds or 0.0,
                reason=each.reason_code,
                why=each.why,
            )
            for each in decisions
        ]

    def _database_seconds(self) -> float:
        connection = self.db.direct()
        with connection:
            row = connection.execute("SELECT extract(epoch FROM clock_timestamp())::float8").fetchone()
        assert row is not None
        return float(row[0])

    def _repeat(self, turn: Callable[[], None], every: float) -> None:
        while not self.stop.wait(every):
            turn()

    def _arrive(self) -> None:
        now = time.monotonic()
        self._owed += (now - self._arrived) * self.rate
        self._arrived = now
        count, self._owed = math.floor(self._owed), self._owed % 1.0
        jobs = [NewJob(f"team-{(self._sent + n) % WORKSPACES}", {}) for n in range(count)]
        self._sent += count
        if jobs:
            with self.db.begin() as tx:
                enqueue_many(tx, "nap", jobs, handlers=self.registry)

    def _dispatch(self) -> None:
        for opened in open_due_windows(
            self.db, shard_names(SHARDS), source=WindowSource.SENSOR, window_seconds=1, limits=LIMITS
        ):
            if opened.dispatch_key is not None:
                thread = threading.Thread(target=self._drain, args=(opened.shard, opened.dispatch_key), daemon=True)
                thread.start()
                self._drains.append(thread)

    def _drain(self, shard: str, key: str) -> None:
        options = DrainOptions(
            shard, key, concurrency=CONCURRENCY, budget_seconds=240, linger_seconds=5, hand_over=False, shards=SHARDS
        )
        drain(self.db, self.registry, options, limits=LIMITS, stop=self.stop)

    def _look(self) -> None:
        tick(self.db, POLICY)


def main() -> int:
    """Run the ramp and the storm, print the trace, and say whether each target was met."""
    options = _options()
    with server() as private:
        url = private.fresh("capacity")
        migrate.upgrade(url)
        with Bench(url) as bench:
            flags.flip(bench.db, CAPACITY_MODE, "enforce", who="benchmark", why="measured")
            _pause(LOW_SECONDS)
            bench.rate, rise = HIGH, bench.seconds()
            _pause(HIGH_SECONDS)
            with lock_storm(url):
                storm, before = bench.seconds(), len(bench.decisions())
                _pause(STORM_SECONDS)
            calm = bench.seconds()
            trace = bench.trace()
    for line in told(trace):
        print(line)
    targets = judged(trace, rise, before)
    for met, sentence in targets:
        print(f"{'met   ' if met else 'MISSED'} {sentence}")
    if options.png is not None:
        draw(trace, rise, (storm, calm), options.png)
    if options.json is not None:
        options.json.write_text(json.dumps([asdict(point) for point in trace], indent=2) + "\n", encoding="utf-8")
    return 0 if all(met for met, _ in targets) else 1


def judged(trace: list[Point], rise: float, before_storm: int) -> list[tuple[bool, str]]:
    """Each target with what was measured."""
    low = [point for point in trace if point.seconds < rise]
    high = [point for point in trace[:before_storm] if point.seconds >= rise]
    storm = trace[before_storm:]
    worst = max((point.age for point in high), default=math.inf)
    over = [point.seconds for point in high if point.age > AGE_BOUND]
    back = (
        "it never was over it"
        if not over
        else f"it was back under it {over[-1] + POLICY.sample_seconds - rise:.0f} s after the rise"
    )
    peak = max((point.workers for point in high), default=0)
    settled = high[-5:]
    downs = [number for number, point in enumerate(storm, 1) if point.reason == "guardrail_step_down"]
    needed = HIGH * HANDLER_SECONDS
    return [
        (
            peak >= needed,
            f"workers went from {low[-1].workers if low else 0} to {peak}; {HIGH:.0f} jobs/s keep {needed:.0f} busy",
        ),
        (
            bool(settled) and max(point.age for point in settled) <= AGE_BOUND,
            f"age (p95) is under its bound of {AGE_BOUND:.0f} s at the end; its worst was {worst:.1f} s, and {back}",
        ),
        (
            bool(downs) and downs[0] <= 2,
            f"the lock storm stepped workers down in sample {downs[0] if downs else 'none'} of the storm",
        ),
    ]


def told(trace: list[Point]) -> Iterator[str]:
    """The trace as lines."""
    yield "    s  arrivals/s  ended/s   due  age p95  in drains  workers  reason"
    for each in trace:
        yield (
            f"{each.seconds:5.0f}  {each.arrivals:10.1f}  {each.ended:7.1f}  {each.due:4d}  {each.age:7.1f}"
            f"  {each.running:9d}  {each.workers:7d}  {each.reason}: {each.why}"
        )


@contextmanager
def lock_storm(url: str) -> Iterator[None]:
    """Sessions that hold and wait for one row of a table of their own."""
    connections = [psycopg.connect(url, autocommit=True) for _ in range(WAITERS + 1)]
    connections[0].execute("CREATE TABLE storm AS SELECT 1 AS row")
    threads = [threading.Thread(target=_wait_for_row, args=(each,), daemon=True) for each in connections[1:]]
    try:
        with connections[0].transaction():
            connections[0].execute("SELECT FROM storm FOR UPDATE")
            for thread in threads:
                thread.start()
            while connections[0].execute(WAITING_SQL).fetchone() != (WAITERS,):
                time.sleep(0.01)
            yield
    finally:
        for thread in threads:
            thread.join(10)
        for connection in connections:
            connection.close()


def _wait_for_row(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    with suppress(psycopg.Error):
        connection.execute("SELECT FROM storm FOR UPDATE")


def draw(trace: list[Point], rise: float, storm: tuple[float, float], path: Path) -> None:
    """Workers above, arrivals and age below, the rise and the storm marked."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5), dpi=100, layout="constrained")
    workers, load = figure.subplots(2, 1, sharex=True)
    times = [point.seconds for point in trace]
    workers.step(times, [point.workers for point in trace], where="post", color="#1f5fa8", label="decided")
    workers.step(times, [point.running for point in trace], where="post", color="#9db8d9", label="allowed by drains")
    down = [point for point in trace if point.reason == "guardrail_step_down"]
    workers.plot(
        [point.seconds for point in down], [point.workers for point in down], "v", color="#b03a2e", label="guardrail"
    )
    workers.set_ylabel("handlers at once")
    workers.legend(loc="upper left", fontsize=8)
    load.plot(times, [point.arrivals for point in trace], color="#4a8f5b")
    load.set_ylabel("arrivals (jobs/s)", color="#4a8f5b")
    load.set_xlabel("seconds (one is thirty of production)")
    ages = load.twinx()
    ages.plot(times, [point.age for point in trace], color="#b03a2e")
    ages.axhline(AGE_BOUND, color="#b03a2e", linestyle=":", linewidth=1)
    ages.set_ylabel("age p95 (s)", color="#b03a2e")
    for axes in (workers, load, ages):
        axes.set_ylim(bottom=0)
        axes.axvline(rise, color="#888888", linewidth=0.8)
    for axes in (workers, load):
        axes.axvspan(*storm, color="#f3e0c8", zorder=0)
    workers.set_title("Ten times the load, then a storm of lock waits", fontsize=10)
    figure.savefig(path)
    print(f"drawn in {path}", file=sys.stderr)


def _pause(seconds: float) -> None:
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        time.sleep(min(1.0, left))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.capacity_ramp", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--png", type=Path, help="draw the trace into this file")
    parser.add_argument("--json", type=Path, help="also write the trace to this file")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
