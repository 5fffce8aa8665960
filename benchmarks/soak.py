"""Does anything grow for ever? A whole `queue-pipeline up` under steady load, with retention at shortened ages.

    python -m benchmarks.soak --minutes 30 --rate 200 [--workspaces 1000] [--out DIRECTORY]

Starts a system of its own in a temporary home, enqueues `rate` jobs per second across many workspaces, forgets what is
older than a tenth of the run, and samples every 15 seconds: sizes and dead tuples of every table (Dagster's too),
memory of every process, queue age and throughput. Prints a table, writes soak.csv, soak.json and soak.png, and judges:
over the last half nothing may grow beyond its bound. Exit code 1 when something does, or when the queue fell behind.

Ages are shortened through the same functions that the daily job calls. Dagster's ticks, which its daemon keeps for at
least a day, are deleted by the soak itself.
"""

import argparse
import csv
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import psycopg
from benchmarks import soak_handlers  # noqa: F401 - registers the kinds for enqueue
from benchmarks.others import busy_seconds, tree_seconds
from benchmarks.soak_report import Row, draw, judge, table
from benchmarks.through_dagster import System, running
from queue_pipeline import NewJob, enqueue_many
from queue_pipeline.integrations.embedded_postgres import embedded_url

SAMPLE_SECONDS = 15.0
ENQUEUE_SECONDS = 0.1
HANDLER_SECONDS = 0.01
#: Real payloads are a few hundred bytes.
FILLER = "x" * 300

TABLES_SQL = """
SELECT schemaname || '.' || relname AS name, pg_table_size(relid) AS table_bytes, pg_indexes_size(relid) AS index_bytes,
       n_live_tup AS live, n_dead_tup AS dead, n_tup_ins AS inserted, n_tup_del AS deleted
FROM pg_stat_user_tables WHERE schemaname IN ('queue_pipeline', 'dagster')
"""
QUEUE_SQL = """
SELECT (SELECT count(*) FROM (SELECT FROM job WHERE state = 'PENDING' LIMIT 1000000) p) AS pending,
       coalesce((SELECT extract(epoch FROM clock_timestamp() - min(first_due_at)) FROM job WHERE state = 'PENDING'), 0)::float8 AS age,
       (SELECT count(*) FROM function_run WHERE state = 'RUNNING') AS drains,
       (SELECT pg_database_size(current_database())) AS database_bytes,
       (SELECT coalesce(sum(size), 0) FROM pg_ls_waldir())::bigint AS wal_directory_bytes,
       pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint AS wal_bytes
"""
WAITS_SQL = """
SELECT count(*), percentile_cont(0.5) WITHIN GROUP (ORDER BY wait), percentile_cont(0.95) WITHIN GROUP (ORDER BY wait), max(wait)
FROM (SELECT extract(epoch FROM started_at - due_at)::float8 AS wait FROM job_attempt
      WHERE finished_at > clock_timestamp() - interval '15 seconds') w
"""


class Load(threading.Thread):
    """Enqueues at a steady rate until it is told to stop; what could not be enqueued in time is caught up."""

    def __init__(self, url: str, rate: float, workspaces: int) -> None:
        super().__init__(daemon=True)
        self._url, self._rate, self._workspaces = url, rate, workspaces
        self.stopping = threading.Event()
        self.enqueued = 0
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            began = time.monotonic()
            with psycopg.connect(self._url) as connection:
                while not self.stopping.wait(ENQUEUE_SECONDS):
                    due = int((time.monotonic() - began) * self._rate) - self.enqueued
                    jobs = [
                        NewJob(
                            f"soak-{random.randrange(self._workspaces)}", {"seconds": HANDLER_SECONDS, "text": FILLER}
                        )
                        for _ in range(due)
                    ]
                    enqueue_many(connection, "soak.work", jobs)
                    connection.commit()
                    self.enqueued += due
        except BaseException as error:
            self.error = error
            raise


def forget(age_seconds: float) -> None:
    """What the daily job does, with one age for all, again and again; runs in a process of its own."""
    import dagster as dg
    from queue_pipeline.defs.retention import purge_runs
    from queue_pipeline.domain.retention import BY_NAME
    from queue_pipeline.engine.dagster_run import database_time
    from queue_pipeline.engine.pruning import prune_classes
    from queue_pipeline.settings import load_settings
    from queue_pipeline.store.dagster_schema import forget_checks
    from queue_pipeline.wiring import dagster_database_url, open_database

    settings = load_settings()
    database = open_database(settings, application="soak retention")
    ages = {**dict.fromkeys(BY_NAME, age_seconds), "attempts": 2 * age_seconds}
    with dg.DagsterInstance.get() as instance, psycopg.connect(embedded_url(settings.home), autocommit=True) as own:
        while True:
            began = time.monotonic()
            pruned = prune_classes(database, ages, seconds=60)
            before = database_time(database) - timedelta(seconds=age_seconds)
            runs = purge_runs(instance, before=before, runs_max=1000, seconds=60)
            checks = forget_checks(dagster_database_url(settings))
            ticks = own.execute(
                "DELETE FROM dagster.job_ticks WHERE timestamp < %s", (before.replace(tzinfo=None),)
            ).rowcount
            seconds = time.monotonic() - began
            rows = {each.name: each.rows for each in pruned if each.rows}
            print(
                json.dumps(
                    {"seconds": round(seconds, 2), "rows": rows, "runs": runs, "checks": checks, "ticks": ticks}
                ),
                flush=True,
            )
            time.sleep(max(0.0, SAMPLE_SECONDS - seconds))


@dataclass
class Soak:
    """One run: the system, its load, its retention, and the samples."""

    system: System
    load: Load
    forgetting: subprocess.Popen[bytes]
    began: float
    rows: list[Row]
    first_wal: int = 0

    def sample(self) -> Row:
        """Everything at one instant."""
        (pending, age, drains, database, wal_directory, wal), (_, p50, p95, most) = (
            self.system.ask(QUEUE_SQL)[0],
            self.system.ask(WAITS_SQL)[0],
        )
        tables = {
            row[0]: dict(zip(("table", "index", "live", "dead", "inserted", "deleted"), row[1:], strict=True))
            for row in self.system.ask(TABLES_SQL)
        }
        memory = self._memory()
        self.first_wal = self.first_wal or wal
        row: Row = {
            "seconds": round(time.monotonic() - self.began, 1),
            "enqueued": self.load.enqueued,
            "finished": tables["queue_pipeline.job_attempt"]["inserted"],
            "pending": pending,
            "age_seconds": round(age, 3),
            "wait_p50_ms": round((p50 or 0) * 1000, 1),
            "wait_p95_ms": round((p95 or 0) * 1000, 1),
            "wait_max_ms": round((most or 0) * 1000, 1),
            "drains": drains,
            "database_bytes": database,
            "wal_directory_bytes": wal_directory,
            "wal_bytes": wal - self.first_wal,
            "cpu_seconds": round(self._cpu_seconds(), 1),
            "busy_seconds": round(busy_seconds(), 1),
            "load_1m": round(os.getloadavg()[0], 2),
        }
        for name, sizes in tables.items():
            row |= {f"{name}:{what}": value for what, value in sizes.items()}
        return row | {f"memory:{name}": value for name, value in memory.items()}

    def _programs(self) -> dict[str, psutil.Process]:
        from queue_pipeline.cli.bring_up import installation_of
        from queue_pipeline.settings import Settings

        states = installation_of(Settings(home=self.system.home)).supervisor().states()
        return {name: psutil.Process(state.pid) for name, state in states.items() if state.pid}

    def _memory(self) -> dict[str, int]:
        """Bytes of each program: resident, and for PostgreSQL without the buffers that its processes share."""
        found: dict[str, int] = {}
        for name, process in self._programs().items():
            tree = [process, *process.children(recursive=True)]
            if name.startswith("postgres"):
                found["postgresql (private)"] = sum(_private(each) for each in tree)
                continue
            found[name] = _resident(process)
            children = [_resident(child) for child in tree[1:]]
            if children:
                found[f"{name}: its largest child"] = max(children)
                found[f"{name}: children"] = sum(children)
        found["soak retention"] = _resident(psutil.Process(self.forgetting.pid))
        return found

    def _cpu_seconds(self) -> float:
        own = psutil.Process(self.forgetting.pid)
        return sum(tree_seconds(process) for process in (*self._programs().values(), own)) + sum(
            psutil.Process().cpu_times()[:2]
        )


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


def _private(process: psutil.Process) -> int:
    try:
        memory = process.memory_info()
    except psutil.NoSuchProcess:
        return 0
    return int(memory.rss - memory.shared)


def soak(minutes: float, rate: float, workspaces: int, out: Path) -> int:
    """Run, sample, judge; returns the exit code."""
    age = minutes * 60 / 10
    settings = {
        "QUEUE_PIPELINE_HANDLERS": "benchmarks.soak_handlers",
        "QUEUE_PIPELINE_SHARDS": "2",
    }
    out.mkdir(parents=True, exist_ok=True)
    with running(**settings) as system, (out / "retention.jsonl").open("wb") as log:
        environment = {**system.environment, "DAGSTER_HOME": str(system.home / "dagster")}
        command = [sys.executable, "-m", "benchmarks.soak", "--forget-after", str(age)]
        forgetting = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        load = Load(embedded_url(system.home), rate, workspaces)
        run = Soak(system, load, forgetting, time.monotonic(), [])
        try:
            load.start()
            print(
                f"home {system.home}, {rate:g} jobs/s for {minutes:g} min, ages {age:g} s, pid {os.getpid()}",
                flush=True,
            )
            while (left := run.began + minutes * 60 - time.monotonic()) > 0:
                time.sleep(min(SAMPLE_SECONDS, left))
                if load.error is not None or forgetting.poll() is not None:
                    raise SystemExit(
                        f"the load or the retention ended early: {load.error or (out / 'retention.jsonl').read_text()[-2000:]}"
                    )
                run.rows.append(run.sample())
                _tell(run.rows)
            return _report(run.rows, rate, out)
        finally:
            load.stopping.set()
            forgetting.terminate()
            forgetting.wait()


def _tell(rows: list[Row]) -> None:
    now, before = rows[-1], rows[-2] if len(rows) > 1 else rows[-1]
    seconds = now["seconds"] - before["seconds"] or SAMPLE_SECONDS
    dead = sum(value for name, value in now.items() if name.endswith(":dead"))
    print(
        f"{now['seconds']:7.0f} s  {(now['finished'] - before['finished']) / seconds:6.1f} jobs/s  age {now['age_seconds']:6.2f} s  "
        f"p95 {now['wait_p95_ms']:7.1f} ms  dead {dead:7d}  database {now['database_bytes'] / 2**20:6.1f} MiB  "
        f"cpu {_cores(before, now, 'cpu_seconds'):4.2f} of {_cores(before, now, 'busy_seconds'):4.2f} busy cores",
        flush=True,
    )


def _cores(before: Row, now: Row, key: str) -> float:
    seconds = now["seconds"] - before["seconds"]
    return float(now[key] - before[key]) / seconds if seconds else 0.0


def _report(rows: list[Row], rate: float, out: Path) -> int:
    names = list(dict.fromkeys(name for row in rows for name in row))
    with (out / "soak.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(rows)
    findings = judge(rows, rate)
    (out / "soak.json").write_text(
        json.dumps({"at": datetime.now(UTC).isoformat(), "rate": rate, "findings": findings, "samples": rows}, indent=1)
    )
    (out / "soak.png").write_bytes(draw(rows, rate))
    ours, busy = (_cores(rows[0], rows[-1], key) for key in ("cpu_seconds", "busy_seconds"))
    print(f"The soak used {ours:.2f} cores, others {max(0.0, busy - ours):.2f}.")
    print(table(findings))
    grown = [finding["what"] for finding in findings if not finding["good"]]
    print("Nothing grows." if not grown else f"Still growing or too slow: {', '.join(grown)}.")
    return 1 if grown else 0


def main() -> int:
    """Run the soak, or be its retention."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--rate", type=float, default=200.0)
    parser.add_argument("--workspaces", type=int, default=1000)
    parser.add_argument("--out", type=Path, default=Path("soak"))
    parser.add_argument("--forget-after", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.forget_after is not None:
        forget(options.forget_after)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))  # so that the system is stopped too
    return soak(options.minutes, options.rate, options.workspaces, options.out)


if __name__ == "__main__":
    raise SystemExit(main())
