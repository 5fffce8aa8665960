"""A claim must not feel how much is pending, and how much has been."""

import statistics
import time

import psycopg
from benchmarks.server import Server
from benchmarks.systems import OURS
from benchmarks.target import Target, tell
from benchmarks.worker_process import call
from psycopg.conninfo import make_conninfo
from queue_pipeline.store import claim, function_run
from queue_pipeline.store.session import SCHEMA

RATIO_MAX = 2.0
ROUNDS = 20
CLAIMS = 20

LANES_SQL = "INSERT INTO workspace_lane (workspace, shard, ready) SELECT 'w' || n, 'shard-00', true FROM generate_series(0, %s - 1) n"
PENDING_SQL = """
INSERT INTO job (kind, workspace, state, run_at, first_due_at, payload)
SELECT 'bench.noop', 'w' || CASE WHEN n %% 2 = 0 THEN 0 ELSE n %% %s END, 'PENDING', now() - n * interval '1 millisecond', now(), '{"job": 1}'
FROM generate_series(1, %s) n
"""
FINISHED_SQL = """
INSERT INTO job (kind, workspace, state, run_at, first_due_at, finished_at, payload)
SELECT 'bench.noop', 'w' || n %% %s, 'SUCCEEDED', now(), now(), now(), '{"job": 1}' FROM generate_series(1, %s) n
"""


def measure(server: Server, smaller: int) -> list[Target]:
    """Medians of claims of 20 that are rolled back, in turns on a small and a large queue; half of it in one workspace."""
    small = _filled(server, "claim_small", lanes=100, pending=1_000, finished=0)
    pending, finished = 1_000_000 // smaller, 10_000_000 // smaller
    large = _filled(server, "claim_large", lanes=100_000 // smaller, pending=pending, finished=finished)
    try:
        taken: dict[str, list[float]] = {small: [], large: []}
        for _ in range(ROUNDS):
            for url in taken:
                taken[url] += _claims(url)
    finally:
        server.drop("claim_small")
        server.drop("claim_large")
    few, many = (statistics.median(seconds) * 1000 for seconds in taken.values())
    return [
        Target(
            f"a claim of 20 among {pending:,} pending jobs of {100_000 // smaller:,} workspaces and {finished:,} finished ones",
            f"<= {RATIO_MAX:g} x that among 1,000",
            f"{many / few:.2f} x ({many:.2f} ms, {few:.2f} ms; medians of {ROUNDS * CLAIMS})",
            many / few <= RATIO_MAX,
        )
    ]


def _filled(server: Server, name: str, *, lanes: int, pending: int, finished: int) -> str:
    url = make_conninfo(server.fresh(name), options=f"-csearch_path={SCHEMA}")
    call(OURS, url, "setup")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(LANES_SQL, (lanes,))
        tell(f"Filling {name}: {finished:,} finished, {pending:,} pending jobs …")
        for _ in range(10 if finished else 0):
            connection.execute(FINISHED_SQL, (lanes, finished // 10))
        connection.execute(PENDING_SQL, (lanes, pending))
        connection.execute("VACUUM ANALYZE")
        connection.execute("CHECKPOINT")
    return url


def _claims(url: str) -> list[float]:
    """The claim as a drain makes it: prepared once, planned once."""
    seconds = []
    with psycopg.connect(url, autocommit=True) as connection:
        run_id = function_run.next_function_run_id(connection)
        connection.execute(
            function_run.BEGIN_SQL,
            {
                "function_run_id": run_id,
                "shard": "shard-00",
                "host": "bench",
                "pid": 1,
                "dagster_run_id": None,
                "lease_seconds": 600,
            },
        )
        fence = connection.execute("SELECT fence FROM function_run WHERE function_run_id = %s", (run_id,)).fetchone()
        assert fence is not None
        claim.prepare(connection)
        who = {"function_run_id": run_id, "run_fence": fence[0], "shard": "shard-00", "size": 20, "floor": claim.LOWEST}
        for number in range(CLAIMS + 6):
            with connection.transaction(force_rollback=True):
                started = time.perf_counter()
                rows = connection.execute(claim.CLAIM_SQL, {**who, **claim.NO_RULE.parameters()}).fetchall()
                if number >= 6:  # the driver prepares a statement at its fifth execution
                    seconds.append(time.perf_counter() - started)
            assert len(rows) == 20, rows[:1]
    return seconds
