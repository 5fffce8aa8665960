"""Several drains on one shard share its work without standing in each other's way."""

import statistics
import time

import psycopg
from benchmarks.server import Server
from benchmarks.systems import OURS
from benchmarks.target import Target, tell
from benchmarks.worker_process import BenchError, Worker, call, wait
from psycopg.conninfo import make_conninfo
from queue_pipeline.store.session import SCHEMA

RATIO_MIN = 1.6
ROUNDS = 3
DRAINS = 4
#: kind: jobs. `five_ms` waits as a handler that calls somebody does; `noop` is the queue's own work and nothing else.
LOADS = {"five_ms": 12_000, "noop": 24_000}
WORKSPACES = 200


def measure(server: Server, smaller: int) -> list[Target]:
    """Jobs per second of one drain and of four, in turns; the ratio of each round."""
    found: list[Target] = []
    for kind, full in LOADS.items():
        jobs = full // min(smaller, 4)
        ratios, deadlocks, rates = [], 0, []
        for number in range(ROUNDS):
            one, few = _rate(server, kind, jobs // 4 if kind == "five_ms" else jobs, 1)
            four, more = _rate(server, kind, jobs, DRAINS)
            deadlocks += few + more
            ratios.append(four / one)
            rates.append((one, four))
            tell(f"{kind}, round {number + 1}: {one:.0f} and {four:.0f} jobs/s")
        ratio = statistics.median(ratios)
        one, four = rates[ratios.index(ratio)]
        said = f"{ratio:.2f} x ({one:.0f} and {four:.0f} jobs/s; {min(ratios):.2f} to {max(ratios):.2f}); {deadlocks} deadlocks"
        judged = kind == "five_ms"
        met = ratio >= RATIO_MIN and not deadlocks if judged else not deadlocks
        wanted = f">= {RATIO_MIN} x one, no deadlock" if judged else "told; no deadlock"
        found.append(Target(f"four drains on one shard, `{kind}` jobs of {WORKSPACES} workspaces", wanted, said, met))
    return found


def _rate(server: Server, kind: str, jobs: int, drains: int) -> tuple[float, int]:
    """Jobs per second while all drains are at work, and the deadlocks that PostgreSQL counted."""
    url = make_conninfo(server.fresh("drains"), options=f"-csearch_path={SCHEMA}")
    call(OURS, url, "setup")
    workers = [Worker(OURS, url, "linger") for _ in range(drains)]
    try:
        with psycopg.connect(url, autocommit=True) as connection:
            _until(workers, connection, "SELECT count(*) FROM function_run WHERE state = 'RUNNING'", drains)
            call(OURS, url, "load", jobs, kind, WORKSPACES)
            started = time.perf_counter()
            _until(workers, connection, "SELECT count(*) FROM job WHERE state = 'SUCCEEDED'", jobs)
            seconds = time.perf_counter() - started
            row = connection.execute(
                "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
            ).fetchone()
            assert row is not None
            return jobs / seconds, row[0]
    finally:
        for worker in workers:
            worker.stop()
        server.drop("drains")


def _until(workers: list[Worker], connection: psycopg.Connection[tuple[int]], sql: str, count: int) -> None:
    end = time.time() + 180
    while True:
        row = connection.execute(sql).fetchone()
        assert row is not None
        if row[0] >= count:
            return
        for worker in workers:
            worker.check()
        if not wait(end, 0.02):
            raise BenchError(f"{row[0]} of {count} after 3 minutes ({sql})")
