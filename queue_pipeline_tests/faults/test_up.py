"""`up` on real processes: whatever is killed comes back, and the end of everything fails no run."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import psycopg
import pytest

from queue_pipeline.integrations import embedded_postgres
from queue_pipeline.integrations.supervision import Supervisor
from queue_pipeline_tests.waiting import eventually

pytestmark = [pytest.mark.faults, pytest.mark.xdist_group("up")]
_PROJECT = Path(__file__).parents[2]


@dataclass(frozen=True)
class System:
    """An installation of its own: a home, two ports, and a way to call the command line on it."""

    home: Path
    environment: Mapping[str, str]
    ui: str

    @property
    def supervisor(self) -> Supervisor:
        sockets = embedded_postgres.socket_directory(self.home)
        return Supervisor(self.home / "supervisor", sockets / "supervisor.sock", self.home / "logs")

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "queue_pipeline", *words],
            env=dict(self.environment), cwd=_PROJECT, capture_output=True, text=True, timeout=200,
        )  # fmt: skip

    def up(self) -> subprocess.Popen[str]:
        """`up` in the foreground, in a process group of its own as a terminal would have it; returns once ready."""
        process = subprocess.Popen(
            [sys.executable, "-m", "queue_pipeline", "up"],
            env=dict(self.environment), cwd=_PROJECT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            process_group=0,
        )  # fmt: skip
        assert process.stdout is not None
        for line in process.stdout:
            if "queue-pipeline is up" in line:
                return process
        raise AssertionError(f"up ended with {process.wait()}")

    def enqueue(self, steps: int = 1) -> int:
        payload = json.dumps({"path": str(self.home / "began"), "steps": steps})
        done = self.command("enqueue", "test.slow", "--workspace", "acme", "--payload", payload)
        assert done.returncode == 0, done.stderr
        with self.sql() as connection:
            row = connection.execute("SELECT max(job_id) FROM queue_pipeline.job").fetchone()
        assert row is not None
        return int(row[0])

    def state_of(self, job_id: int) -> str:
        with self.sql() as connection:
            row = connection.execute("SELECT state FROM queue_pipeline.job WHERE job_id = %s", (job_id,)).fetchone()
        return str(row[0]) if row else "absent"

    def sql(self) -> psycopg.Connection[tuple[Any, ...]]:
        return psycopg.connect(embedded_postgres.embedded_url(self.home))

    def failed_runs(self) -> list[tuple[Any, ...]]:
        """Dagster runs that ended as failures, read from Dagster's own table."""
        with self.sql() as connection:
            return connection.execute("SELECT run_id, status FROM dagster.runs WHERE status = 'FAILURE'").fetchall()


@pytest.fixture
def system(open_tmp: Path) -> Iterator[System]:
    yield (made := _system(open_tmp))
    made.command("down")
    assert made.supervisor.pid() is None


@pytest.fixture(scope="module")
def running_system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """One detached system for the tests that only kill parts of it."""
    place = Path(tempfile.mkdtemp(prefix="qp-"))
    place.chmod(0o755)
    made = _system(place)
    started = made.command("up", "--detach")
    assert started.returncode == 0, started.stderr
    yield made
    stopped = made.command("down")
    assert stopped.returncode == 0, stopped.stderr
    assert not embedded_postgres.is_running(made.home)
    shutil.rmtree(place, ignore_errors=True)


def _system(place: Path) -> System:
    ui, http = _free_port(), _free_port()
    home = place / "home"
    environment = {
        **os.environ,
        "QUEUE_PIPELINE_HOME": str(home),
        "QUEUE_PIPELINE_UI_PORT": str(ui),
        "QUEUE_PIPELINE_HTTP_PORT": str(http),
        "QUEUE_PIPELINE_HANDLERS": "queue_pipeline_tests.faults.up_handlers",
        "QUEUE_PIPELINE_LINGER_SECONDS": "3",
    }
    return System(home, environment, f"http://127.0.0.1:{ui}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _command_line(process: psutil.Process) -> str:
    """The command line of a process; nothing of one that has ended meanwhile."""
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return ""


def _pid(system: System, program: str) -> int:
    state = system.supervisor.states().get(program)
    return state.pid if state is not None and state.state == "RUNNING" else 0


@pytest.mark.parametrize("program", ["ingress", "webserver", "daemon", "code-server", "postgres"])
def test_a_killed_program_comes_back_and_jobs_are_done_again(running_system: System, program: str) -> None:
    before = _pid(running_system, program)
    assert before
    os.kill(before, signal.SIGKILL)
    eventually(lambda: _pid(running_system, program) not in {0, before}, within=60, what=f"{program} to come back")
    eventually(lambda: httpx.get(f"{running_system.ui}/server_info", timeout=5), within=60, what="the UI to answer")
    job_id = eventually(running_system.enqueue, within=60, what="a job to be accepted")
    eventually(lambda: running_system.state_of(job_id) == "SUCCEEDED", within=120, what=f"job {job_id} to be done")


def test_a_second_up_says_who_is_running_and_harms_nothing(running_system: System) -> None:
    before = running_system.supervisor.states()
    second = running_system.command("up")
    assert second.returncode == 0
    assert "Already running" in second.stdout
    assert running_system.ui in second.stdout
    assert str(running_system.supervisor.pid()) in second.stdout
    assert {state.pid for state in running_system.supervisor.states().values()} == {s.pid for s in before.values()}


def test_ctrl_c_ends_everything_and_fails_no_run_in_progress(system: System) -> None:
    up = system.up()
    job_id = system.enqueue(steps=600)
    eventually((system.home / "began").exists, within=90, what="the job to be running")
    up.send_signal(signal.SIGINT)
    assert up.wait(90) == 0
    assert system.supervisor.pid() is None
    assert not embedded_postgres.is_running(system.home)
    assert not [p for p in system.supervisor.descendants() if p.is_running()]
    with embedded_postgres.running(system.home):
        assert system.failed_runs() == []
        assert system.state_of(job_id) in {"PENDING", "SCHEDULED"}


def test_a_killed_up_is_followed_by_one_that_goes_on_with_its_processes(system: System) -> None:
    first = system.up()
    before = {name: _pid(system, name) for name in system.supervisor.states()}
    job_id = system.enqueue(steps=150)
    eventually((system.home / "began").exists, within=90, what="the job to be running")
    first.kill()
    first.wait(30)
    second = system.up()
    assert {name: _pid(system, name) for name in before} == before
    eventually(lambda: system.state_of(job_id) == "SUCCEEDED", within=120, what="the job to be done")
    assert (system.home / "began").read_text() == "began\n"
    second.terminate()
    assert second.wait(90) == 0


def test_a_killed_supervisor_is_replaced_and_its_programs_with_it(system: System) -> None:
    up = system.up()
    before = system.supervisor.pid()
    assert before is not None
    os.kill(before, signal.SIGKILL)
    eventually(lambda: system.supervisor.pid() not in {None, before}, within=60, what="a new supervisor")
    eventually(lambda: _pid(system, "daemon"), within=120, what="the daemon")
    job_id = eventually(system.enqueue, within=60, what="a job to be accepted")
    eventually(lambda: system.state_of(job_id) == "SUCCEEDED", within=120, what=f"job {job_id} to be done")
    assert sum("dagster._daemon" in _command_line(process) for process in system.supervisor.descendants()) == 1
    up.terminate()
    assert up.wait(90) == 0


def test_up_on_a_database_of_ones_own_starts_no_server_and_puts_no_samples_there(
    system: System, blank_database_url: str
) -> None:
    own = System(system.home, {**system.environment, "QUEUE_PIPELINE_DATABASE_URL": blank_database_url}, system.ui)
    started = own.command("up", "--detach")
    assert started.returncode == 0, started.stderr
    assert "your PostgreSQL" in started.stdout
    assert "postgres" not in own.supervisor.states()
    with psycopg.connect(blank_database_url) as connection:
        assert connection.execute("SELECT count(*) FROM queue_pipeline.job").fetchone() == (0,)
        assert connection.execute("SELECT count(*) > 0 FROM dagster.daemon_heartbeats").fetchone() == (True,)
    assert own.command("down").returncode == 0


def test_a_port_in_use_is_named_with_its_holder_and_the_remedy(system: System) -> None:
    port = int(system.environment["QUEUE_PIPELINE_UI_PORT"])
    with socket.create_server(("127.0.0.1", port)):
        refused = system.command("up")
    assert refused.returncode == 3
    assert f"Port {port}" in refused.stderr
    assert f"pid {os.getpid()}" in refused.stderr
    assert f"QUEUE_PIPELINE_UI_PORT={port + 100}" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_handler_module_that_cannot_be_imported_stops_up_with_its_name(system: System) -> None:
    broken = System(system.home, {**system.environment, "QUEUE_PIPELINE_HANDLERS": "no.such.module"}, system.ui)
    refused = broken.command("up")
    assert refused.returncode in {2, 3}
    assert "no.such.module" in refused.stderr
    assert system.supervisor.pid() is None
    assert not embedded_postgres.is_running(system.home)


def test_a_schema_of_a_newer_program_stops_up_with_the_remedy(system: System) -> None:
    with embedded_postgres.running(system.home), system.sql() as connection:
        connection.execute("CREATE SCHEMA queue_pipeline")
        connection.execute("CREATE TABLE queue_pipeline.alembic_version (version_num varchar(32) PRIMARY KEY)")
        connection.execute("INSERT INTO queue_pipeline.alembic_version VALUES ('9999')")
    refused = system.command("up")
    assert refused.returncode == 3
    assert "9999" in refused.stderr
    assert "newer program" in refused.stderr
    assert not [p for p in psutil.process_iter() if str(system.home) in " ".join(_command(p))]


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []
