"""Equal workspaces get equal shares, and weights are kept."""

import psycopg
from benchmarks.server import Server
from benchmarks.systems import OURS
from benchmarks.target import Target
from benchmarks.worker_process import Worker, call, wait
from psycopg.conninfo import make_conninfo
from queue_pipeline.store.session import SCHEMA

JAIN_MIN = 0.99
OFF_MAX = 0.05
EQUAL = 200
JOBS_OF_EQUAL = 200
PER_WEIGHT = 10
JOBS_OF_WEIGHTED = 4_000
WEIGHTS = (1, 2, 4)

SERVED_SQL = "SELECT workspace, count(*) FROM job WHERE state = 'SUCCEEDED' GROUP BY workspace"


def measure(server: Server, smaller: int) -> list[Target]:
    """Both are looked at while every workspace still has work, after about half of the smallest share."""
    jobs = JOBS_OF_EQUAL // min(smaller, 4)
    equal = _served(server, ["equal", EQUAL, jobs], until=EQUAL * jobs // 2)
    values = [equal.get(f"equal-{number}", 0) for number in range(EQUAL)]
    jain = sum(values) ** 2 / (len(values) * sum(value**2 for value in values))
    until = PER_WEIGHT * JOBS_OF_WEIGHTED * sum(WEIGHTS) // WEIGHTS[-1] // 4
    weighted = _served(server, ["weighted", PER_WEIGHT, JOBS_OF_WEIGHTED, *WEIGHTS], until=until)
    shares = {w: sum(n for name, n in weighted.items() if name.startswith(f"weight-{w}-")) / w for w in WEIGHTS}
    off = max(abs(share / shares[1] - 1) for share in shares.values())
    ratio = " : ".join(f"{shares[w] * w / shares[1]:.3f}" for w in WEIGHTS)
    return [
        Target(f"Jain's index over {EQUAL} equal workspaces", f">= {JAIN_MIN}", f"{jain:.5f}", jain >= JAIN_MIN),
        Target("weights 1 : 2 : 4, served", f"within {OFF_MAX:.0%}", f"{ratio} ({off:.1%} off)", off <= OFF_MAX),
    ]


def _served(server: Server, load: list[object], until: int) -> dict[str, int]:
    url = make_conninfo(server.fresh("shares"), options=f"-csearch_path={SCHEMA}")
    call(OURS, url, "setup")
    call(OURS, url, *load)
    worker = Worker(OURS, url, "linger")
    try:
        with psycopg.connect(url, autocommit=True) as connection:
            while True:
                served = dict(connection.execute(SERVED_SQL).fetchall())
                if sum(served.values()) >= until:
                    return served
                worker.check()
                wait(0, 0.05)
    finally:
        worker.stop()
        server.drop("shares")
