"""queue_pipeline's drain, alone in a process, without Dagster: `engine.drain` with its default limits."""

import asyncio
import sys

from job_body import body, main, paced
from queue_pipeline import JobContext, NewJob, enqueue, enqueue_many, handler
from queue_pipeline.engine.drain import DrainOptions, drain
from queue_pipeline.engine.handlers import registry
from queue_pipeline.store import migrate
from queue_pipeline.store.session import Database

SHARD = "shard-00"


def _register(kind):
    @handler(f"bench.{kind}")
    def run(ctx: JobContext, payload) -> None:  # noqa: ARG001
        body(kind, payload["job"])


for each in ("noop", "latency", "two_seconds", "five_ms"):
    _register(each)


def setup(url):
    migrate.upgrade(url)


def load(url, count, kind, workspaces="1"):
    database = Database(url)
    jobs = [NewJob(f"workspace-{job % int(workspaces)}", {"job": job}) for job in range(int(count))]
    with database.begin() as tx:
        enqueue_many(tx, f"bench.{kind}", jobs)
    database.dispose()


def mountain(url, count):
    database = Database(url)
    for start in range(0, int(count), 10_000):
        with database.begin() as tx:
            enqueue_many(tx, "bench.noop", [NewJob("mountain", {"job": job}) for job in range(start, start + 10_000)])
    database.dispose()


def one_each(url, prefix, count, rate):
    """One job of each workspace: all in one transaction, or at a rate."""
    database = Database(url)
    jobs = [NewJob(f"{prefix}-{job}", {"job": job}) for job in range(int(count))]

    async def send(job):
        with database.begin() as tx:
            enqueue(tx, "bench.noop", workspace=jobs[job].workspace, payload=jobs[job].payload)

    if float(rate):
        asyncio.run(paced(len(jobs), float(rate), send))
    else:
        with database.begin() as tx:
            enqueue_many(tx, "bench.noop", jobs)
    database.dispose()


def equal(url, workspaces, jobs):
    database = Database(url)
    for job in range(int(jobs)):
        with database.begin() as tx:
            enqueue_many(tx, "bench.noop", [NewJob(f"equal-{w}", {"job": job}) for w in range(int(workspaces))])
    database.dispose()


def weighted(url, workspaces, jobs, *weights):
    """So many workspaces of each weight, configured before their first job."""
    database = Database(url)
    names = [(f"weight-{weight}-{w}", int(weight)) for weight in weights for w in range(int(workspaces))]
    with database.begin() as tx:
        for name, weight in names:
            tx.exec_driver_sql(
                "INSERT INTO queue_pipeline.workspace_lane (workspace, shard, weight) VALUES (%s, %s, %s)",
                (name, SHARD, weight),
            )
    for start in range(0, int(jobs), 100):
        with database.begin() as tx:
            jobs_now = [NewJob(name, {"job": job}) for name, _ in names for job in range(start, start + 100)]
            enqueue_many(tx, "bench.noop", jobs_now)
    database.dispose()


def work(url, profile):
    """`batch 20, concurrency 4`; the profile says how it ends."""
    options = DrainOptions(
        shard=SHARD,
        shards=1,
        batch_size=20,
        concurrency=4,
        budget_seconds=600,
        linger_seconds=600,
        until_empty=profile == "drain",
    )
    database = Database(url)
    print(drain(database, registry, options).sentence(), file=sys.stderr)
    database.dispose()


def enqueue_paced(url, count, rate):
    database = Database(url)

    async def send(job):
        with database.begin() as tx:
            enqueue(tx, "bench.latency", workspace=f"workspace-{job % 10}", payload={"job": job})

    asyncio.run(paced(int(count), float(rate), send))
    database.dispose()


if __name__ == "__main__":
    main(
        {
            "setup": setup,
            "load": load,
            "mountain": mountain,
            "one_each": one_each,
            "equal": equal,
            "weighted": weighted,
            "work": work,
            "paced": enqueue_paced,
        }
    )
