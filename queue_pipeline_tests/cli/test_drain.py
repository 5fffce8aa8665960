"""Draining in real processes."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from queue_pipeline.store.session import Database
from queue_pipeline_tests.cli.conftest import Command
from queue_pipeline_tests.waiting import eventually

pytestmark = pytest.mark.usefixtures("environment")


def start(*arguments: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "queue_pipeline", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def enqueue(run: Command, payload: str, times: int = 1, workspace: str = "acme") -> None:
    for _ in range(times):
        assert run("enqueue", "drill.work", "--workspace", workspace, "--payload", payload).code == 0


def states(db: Database) -> dict[str, int]:
    with db.begin() as tx:
        rows = tx.execute(sa.text("SELECT state, count(*) FROM job GROUP BY state"))
        return {row[0]: row[1] for row in rows}


@pytest.fixture
def drain() -> "Iterator[subprocess.Popen[str]]":
    """A drain that goes on until it is stopped."""
    process = start("drain", "--seconds", "60", "--json")
    yield process
    process.kill()
    process.communicate()


def test_every_shard_is_drained_until_it_is_empty(run: Command, db: Database) -> None:
    for workspace in ("a", "b", "c", "d", "e", "f"):
        enqueue(run, '{"seconds": 0}', workspace=workspace)
    out, err = start("drain", "--until-empty", "--json", "--concurrency", "2", "--batch-size", "5").communicate(
        timeout=60
    )
    reports: list[dict[str, Any]] = json.loads(out)
    assert sum(report["counts"]["succeeded"] for report in reports) == 6
    assert states(db) == {"SUCCEEDED": 6}, err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_drain_gracefully(
    run: Command, db: Database, drain: "subprocess.Popen[str]", number: signal.Signals
) -> None:
    enqueue(run, '{"seconds": 1}', times=12)
    eventually(lambda: states(db).get("RUNNING"), within=30, what="a job to run")
    drain.send_signal(number)
    out, _err = drain.communicate(timeout=60)
    assert drain.returncode == 0
    assert {report["end_reason"] for report in json.loads(out)} == {"stopped"}
    assert "RUNNING" not in states(db)


def test_where_a_job_hangs_is_shown_while_it_hangs(run: Command, drain: "subprocess.Popen[str]") -> None:
    assert run("enqueue", "drill.hang", "--workspace", "acme", "--payload", "{}").code == 0

    def hanging() -> Any:
        return next((job for job in run("running", "--json").data if job["stack"]), None)

    job = eventually(hanging, within=30, what="a sample of the hanging handler", every=0.2)
    assert "never comes" in job["progress"]
    assert "drill.py" in job["stack"]
    assert "was last seen here" in run("running").out
    assert "was last seen here" not in run("running", "--no-stacks").out
