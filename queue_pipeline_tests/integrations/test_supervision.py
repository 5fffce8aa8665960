"""A supervised program comes back, gets its environment whole, and is told apart from one that cannot run."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from queue_pipeline.integrations.log_stream import LogStream
from queue_pipeline.integrations.ports_in_use import listener_on
from queue_pipeline.integrations.start_watch import StartWatch
from queue_pipeline.integrations.supervision import Program, SupervisionError, Supervisor, run_once
from queue_pipeline_tests.waiting import eventually

_WAIT = "import signal; print('waits', flush=True); signal.pause()"
_AWKWARD = 'it\'s "5 %" of ;x #y $HOME \\ ünï\nnext'


@pytest.fixture
def supervisor(open_tmp: Path) -> Iterator[Supervisor]:
    made = Supervisor(open_tmp / "super visor", open_tmp / "s.sock", open_tmp / "logs 100%")
    yield made
    made.shut_down()


def _program(name: str, script: str = _WAIT, **environment: str) -> Program:
    return Program(name, [sys.executable, "-c", script], environment, stop_seconds=5)


def _pid(supervisor: Supervisor, name: str) -> int:
    state = supervisor.states()[name]
    return state.pid if state.state == "RUNNING" else 0


def _running_pid(supervisor: Supervisor, name: str, *, other_than: int = 0) -> int:
    return eventually(
        lambda: _pid(supervisor, name) if _pid(supervisor, name) != other_than else 0, within=30, what=f"{name} to run"
    )


def test_a_killed_program_comes_back(supervisor: Supervisor, tmp_path: Path) -> None:
    supervisor.start([_program("sleeper")], tmp_path)
    supervisor.run("sleeper")
    before = _running_pid(supervisor, "sleeper")
    os.kill(before, signal.SIGKILL)
    assert _running_pid(supervisor, "sleeper", other_than=before)


def test_a_program_gets_every_character_of_its_environment(supervisor: Supervisor, tmp_path: Path) -> None:
    script = f"import os; print(ascii(os.environ['SECRET']), flush=True); {_WAIT}"
    supervisor.start([_program("teller", script, SECRET=_AWKWARD)], tmp_path)
    supervisor.run("teller")
    log = supervisor.log("teller")
    eventually(lambda: "waits" in log.read_text(), within=30, what="its words")
    assert log.read_text().startswith(ascii(_AWKWARD))


def test_files_that_may_hold_secrets_are_their_owners_alone(supervisor: Supervisor, tmp_path: Path) -> None:
    supervisor.start([_program("sleeper", SECRET="hunter2")], tmp_path)
    holders = [path for path in supervisor.directory.rglob("*") if path.is_file() and b"hunter2" in path.read_bytes()]
    assert [oct(path.stat().st_mode & 0o777) for path in holders] == ["0o600"]


def test_the_next_start_takes_a_living_supervisor_over_and_leaves_unchanged_programs_alone(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    assert supervisor.start([_program("same"), _program("changed", A="1"), _program("gone")], tmp_path) is False
    for name in ("same", "changed", "gone"):
        supervisor.run(name)
    before = {name: _running_pid(supervisor, name) for name in ("same", "changed", "gone")}
    own_pid = supervisor.pid()

    assert supervisor.start([_program("same"), _program("changed", A="2"), _program("new")], tmp_path) is True

    assert supervisor.pid() == own_pid
    assert set(supervisor.states()) == {"same", "changed", "new"}
    assert _pid(supervisor, "same") == before["same"]
    supervisor.run("changed")
    assert _running_pid(supervisor, "changed") != before["changed"]


def test_what_a_killed_supervisor_leaves_behind_is_ended_before_the_next(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    programs = [_program("sleeper")]
    supervisor.start(programs, tmp_path)
    supervisor.run("sleeper")
    left = _running_pid(supervisor, "sleeper")
    own_pid = supervisor.pid()
    assert own_pid is not None
    os.kill(own_pid, signal.SIGKILL)
    eventually(lambda: supervisor.pid() is None, within=30, what="the supervisor to be gone")
    assert left in {process.pid for process in supervisor.descendants()}
    supervisor.end_leftovers(programs)
    assert supervisor.descendants() == []
    assert supervisor.start(programs, tmp_path) is False


def test_the_watch_tells_a_program_that_dies_each_time_with_its_last_words(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    supervisor.start([_program("broken", "raise SystemExit('no such module: my_app')")], tmp_path)
    supervisor.run("broken")
    watch = StartWatch(supervisor)

    def told() -> str:
        try:
            watch.check()
        except SupervisionError as error:
            return str(error)
        return ""

    assert "no such module: my_app" in eventually(told, within=60, what="the watch to notice")


def test_a_supervisor_of_which_nothing_is_left_says_so(supervisor: Supervisor) -> None:
    assert supervisor.pid() is None
    assert supervisor.states() == {}
    with pytest.raises(SupervisionError, match="is gone"):
        supervisor.end("anything")


def test_a_directory_that_its_configuration_cannot_name_is_refused(open_tmp: Path) -> None:
    with pytest.raises(SupervisionError, match="choose another directory"):
        Supervisor(open_tmp / "a ;b", open_tmp / "s.sock", open_tmp / "logs").start([_program("x")], open_tmp)


def test_a_program_starts_with_default_signals_even_where_they_are_ignored(tmp_path: Path) -> None:
    script = "import signal, sys; sys.exit(signal.getsignal(signal.SIGINT) is signal.SIG_IGN)"
    previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        assert run_once(_program("asks", script), tmp_path / "s", tmp_path / "log")
    finally:
        signal.signal(signal.SIGINT, previous)


def test_the_stream_names_each_line_drops_noise_and_follows_rotation(tmp_path: Path) -> None:
    log = tmp_path / "daemon.log"
    log.write_text("before we looked\n")
    stream = LogStream({"daemon": log}, colour=False)
    with log.open("a") as out:
        out.write(
            "\x1b[32m2026 - dagster - INFO - tick\x1b[0m\n\n2026 - dagster - DEBUG - spam\n  its second line\nhal"
        )
    assert list(stream.lines()) == [("daemon", "2026 - dagster - INFO - tick")]
    with log.open("a") as out:
        out.write("f a line\n")
    assert list(stream.lines()) == [("daemon", "half a line")]
    log.rename(tmp_path / "daemon.log.1")
    log.write_text("anew\n")
    assert list(stream.lines()) == [("daemon", "anew")]


def test_a_port_that_is_held_names_its_holder() -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        holder = listener_on("127.0.0.1", server.getsockname()[1])
        assert holder is not None
        assert f"pid {os.getpid()}" in holder
        port = server.getsockname()[1]
    assert listener_on("127.0.0.1", port) is None
