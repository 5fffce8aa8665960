"""A mountain of one workspace must not keep a thousand others waiting."""

import psycopg
from benchmarks.server import Server
from benchmarks.systems import OURS
from benchmarks.target import Target, at, tell
from benchmarks.worker_process import BenchError, Worker, call, wait
from psycopg.conninfo import make_conninfo
from queue_pipeline.store.session import SCHEMA

MOUNTAIN = 1_000_000
OTHERS = 1_000
RATIO_MAX = 3.0
PACED_PER_SECOND = 50

WAITS_SQL = """
SELECT extract(epoch FROM a.claimed_at - j.first_due_at)::float8
FROM job j JOIN job_attempt a USING (job_id) WHERE j.workspace LIKE %s AND j.state = 'SUCCEEDED'
"""


def measure(server: Server, smaller: int) -> list[Target]:
    """p95 waits of a thousand workspaces with one job each, on an idle queue and beside a mountain."""
    url = make_conninfo(server.fresh("crowd"), options=f"-csearch_path={SCHEMA}")
    call(OURS, url, "setup")
    worker = Worker(OURS, url, "linger")
    try:
        with psycopg.connect(url, autocommit=True) as connection:
            together, paced = _both(worker, connection, url, "idle")
            count = MOUNTAIN // smaller
            tell(f"Enqueueing {count:,} jobs of one workspace …")
            call(OURS, url, "mountain", count)
            crowded, crowded_paced = _both(worker, connection, url, "crowd")
            left = connection.execute("SELECT count(*) FROM job WHERE state = 'PENDING'").fetchone()
            assert left is not None
    finally:
        worker.stop()
        server.drop("crowd")
    ratio = crowded / together
    return [
        Target(
            "p95 wait of 1,000 workspaces that enqueue one job each at once, beside a workspace with "
            f"{count:,} jobs ({left[0]:,} of them left at the end)",
            f"<= {RATIO_MAX:g} x idle",
            f"{ratio:.2f} x ({crowded * 1000:.0f} ms, idle {together * 1000:.0f} ms)",
            ratio <= RATIO_MAX and left[0] > 0,
        ),
        Target(
            f"the same, {PACED_PER_SECOND} a second: the drain is never idle any more, so a job waits for a slot",
            "told",
            f"{crowded_paced / paced:.2f} x ({crowded_paced * 1000:.1f} ms, idle {paced * 1000:.1f} ms)",
        ),
    ]


def _both(worker: Worker, connection: psycopg.Connection[tuple[float]], url: str, name: str) -> tuple[float, float]:
    call(OURS, url, "one_each", f"{name}-together", OTHERS, 0)
    together = _waits(worker, connection, f"{name}-together")
    call(OURS, url, "one_each", f"{name}-paced", OTHERS // 2, PACED_PER_SECOND)
    return at(together, 95), at(_waits(worker, connection, f"{name}-paced", OTHERS // 2), 95)


def _waits(
    worker: Worker, connection: psycopg.Connection[tuple[float]], prefix: str, count: int = OTHERS
) -> list[float]:
    tries = 0
    while True:
        rows = connection.execute(WAITS_SQL, (f"{prefix}-%",)).fetchall()
        if len(rows) == count:
            return [row[0] for row in rows]
        worker.check()
        tries += 1
        wait(0, 0.2)
        if tries > 1500:
            raise BenchError(f"{prefix}: {len(rows)} of {count} jobs done after 5 minutes: {worker.words()}")
