"""The ingress as it is: uvicorn on a free loopback port, in this process or in one of its own."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette

from queue_pipeline.engine.enqueue import NewJob, enqueue_many
from queue_pipeline.store.session import Database
from queue_pipeline_tests.http import cron_handlers  # noqa: F401 - registers the kinds that are enqueued here
from queue_pipeline_tests.waiting import eventually

PROJECT = Path(__file__).parents[2]
HANDLERS = "queue_pipeline_tests.http.cron_handlers"
CRON = "/api/cron/background-jobs"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def client_of(port: int) -> httpx.Client:
    return httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30, trust_env=False)


@contextmanager
def served(app: Starlette) -> Iterator[httpx.Client]:
    """The application behind a real uvicorn in a thread."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False, proxy_headers=False))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        eventually(lambda: server.started, within=30, what="uvicorn to start")
        with client_of(listening.getsockname()[1]) as client:
            yield client
        server.should_exit = True
        thread.join(timeout=20)
        assert not thread.is_alive()


class IngressProcess:
    """`queue-pipeline serve-http` in a process of its own."""

    def __init__(self, port: int, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.client = client_of(port)

    def answers(self) -> bool:
        with suppress(httpx.HTTPError):
            self.client.get("/healthz")
            return True
        assert self.process.poll() is None, "the ingress ended"
        return False


@pytest.fixture
def start_ingress(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[..., IngressProcess]]:
    """Starts an ingress on a database with these settings; ended at the end of the test."""
    started: list[IngressProcess] = []

    def start(database_url: str, **settings: str) -> IngressProcess:
        monkeypatch.setenv("QUEUE_PIPELINE_DATABASE_URL", database_url)
        monkeypatch.setenv("QUEUE_PIPELINE_HOME", str(tmp_path / "home"))
        monkeypatch.setenv("QUEUE_PIPELINE_HANDLERS", HANDLERS)
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        port = free_port()
        process = subprocess.Popen(
            [sys.executable, "-m", "queue_pipeline", "serve-http", "--port", str(port)], cwd=PROJECT
        )
        started.append(IngressProcess(port, process))
        eventually(started[-1].answers, within=30, what="the ingress to answer")
        return started[-1]

    yield start
    for ingress in started:
        ingress.client.close()
        if ingress.process.poll() is None:
            ingress.process.terminate()
            try:
                ingress.process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                ingress.process.kill()
                ingress.process.wait()


def enqueue_jobs(db: Database, count: int, kind: str = "http_test.quick", workspace: str = "acme") -> None:
    with db.begin() as tx:
        enqueue_many(tx, kind, [NewJob(workspace, {"n": number}) for number in range(count)])


def job_states(db: Database) -> dict[str, int]:
    with db.begin() as tx:
        return {row[0]: row[1] for row in tx.exec_driver_sql("SELECT state, count(*) FROM job GROUP BY state")}


def grace_is_over(db: Database) -> int:
    """As if the launch grace of all open windows had passed; how many there were."""
    with db.begin() as tx:
        return tx.exec_driver_sql(
            "UPDATE dispatch_window SET launch_by = clock_timestamp() - interval '1 s' WHERE state = 'OPEN'"
        ).rowcount
