"""The embedded server starts for whoever comes, ends with whoever leaves last, and says what is wrong in a sentence."""

from __future__ import annotations

import os
import pwd
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from queue_pipeline.integrations import embedded_data, server_account
from queue_pipeline.integrations import embedded_postgres as embedded
from queue_pipeline.integrations.embedded_postgres import EmbeddedPostgresError
from queue_pipeline_tests.waiting import eventually

_AS_ROOT = os.geteuid() == 0


@pytest.fixture
def home(open_tmp: Path) -> Iterator[Path]:
    place = open_tmp / "home"
    yield place
    if place.is_dir() and embedded.is_running(place):
        embedded.stop(place)


def _postmaster_pid(home: Path) -> int:
    return int((embedded_data.data_directory(home) / "postmaster.pid").read_text().splitlines()[0])


def test_a_new_home_becomes_a_server_that_answers_on_its_socket_alone(home: Path) -> None:
    with embedded.running(home) as url, psycopg.connect(url) as connection:
        row = connection.execute(
            "SELECT current_database(), current_user, current_setting('listen_addresses'), current_setting('fsync'),"
            " current_setting('server_encoding'), current_setting('TimeZone'), 'Ä' < 'B'"
        ).fetchone()
    assert row == ("queue_pipeline", "postgres", "", "on", "UTF8", "UTC", False)
    assert not embedded.is_running(home)


def test_what_was_committed_is_there_after_the_next_start(home: Path) -> None:
    with embedded.running(home) as url, psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS one")
    with embedded.running(home) as url, psycopg.connect(url) as connection:
        assert connection.execute("SELECT one FROM kept").fetchone() == (1,)


def test_the_last_to_leave_stops_the_server(home: Path) -> None:
    with embedded.running(home) as url:
        with embedded.running(home):
            assert embedded.started_alone(home)
        with psycopg.connect(url) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
    assert not embedded.is_running(home)


def test_many_processes_that_start_at_once_share_one_server(home: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from queue_pipeline.integrations import embedded_postgres as e\n"
        "import psycopg\n"
        "with e.running(Path(sys.argv[1])) as url, psycopg.connect(url) as c:\n"
        "    print(c.execute('SELECT system_identifier FROM pg_control_system()').fetchone()[0], flush=True)\n"
        "    sys.stdin.read()\n"
    )
    starters = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(home)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    identifiers = set()
    for starter in starters:
        assert starter.stdout is not None
        identifiers.add(starter.stdout.readline().strip())
    assert len(identifiers) == 1
    assert identifiers != {""}
    for starter in starters:
        starter.communicate(timeout=60)
    eventually(lambda: not embedded.is_running(home), within=30, what="the last one to stop the server")


def test_a_killed_server_starts_again_with_everything_that_was_committed(home: Path) -> None:
    embedded.start(home)
    with psycopg.connect(embedded.embedded_url(home)) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS one")
    os.kill(_postmaster_pid(home), signal.SIGKILL)
    eventually(lambda: not embedded.is_running(home), within=30, what="the server to be gone")
    eventually(lambda: embedded.start(home), within=30, what="the server to start again")
    with psycopg.connect(embedded.embedded_url(home)) as connection:
        assert connection.execute("SELECT one FROM kept").fetchone() == (1,)


def test_a_pid_file_that_names_another_program_does_not_stop_the_start(home: Path) -> None:
    embedded.start(home)
    pid_file = embedded_data.data_directory(home) / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    embedded.stop(home)
    account = embedded_data.account_for(home, embedded_data.binaries_for(home))
    stranger = subprocess.Popen(account.command(["sleep", "60"]), cwd="/")
    try:
        pid_file.write_text("\n".join([str(stranger.pid), *lines[1:]]) + "\n")
        if _AS_ROOT:
            os.chown(pid_file, account.uid, account.gid)
        assert embedded.start(home)
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_start_that_was_cut_short_is_done_anew(home: Path) -> None:
    half = home / "postgres" / "data.new"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    with embedded.running(home) as url, psycopg.connect(url) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_data_of_another_major_version_is_left_alone_and_named(home: Path) -> None:
    embedded.prepare(home)
    version = embedded_data.data_directory(home) / "PG_VERSION"
    version.write_text("12\n")
    with pytest.raises(EmbeddedPostgresError, match=r"written by PostgreSQL 12; this installation has .*18"):
        embedded.start(home)
    assert version.exists()


def test_a_server_that_cannot_start_says_its_own_last_words(home: Path) -> None:
    with pytest.raises(EmbeddedPostgresError, match="max_connections"):
        embedded.start(home, {"max_connections": "lots"})


def test_a_full_disk_is_a_sentence_with_the_remedy() -> None:
    told = embedded_data.with_remedy('FATAL:  could not write lock file "postmaster.pid": No space left on device')
    assert told.endswith("The disk is full: free some space and start again; nothing committed is lost.")


def test_a_home_that_is_a_file_is_refused_with_the_remedy(open_tmp: Path) -> None:
    (open_tmp / "home").write_text("")
    with pytest.raises(EmbeddedPostgresError, match="Set QUEUE_PIPELINE_HOME to a directory"):
        embedded.prepare(open_tmp / "home")


def test_a_long_path_gets_a_short_socket_that_every_process_computes_alike(open_tmp: Path) -> None:
    home = open_tmp / ("long" * 20) / "home"
    sockets = embedded.socket_directory(home)
    assert sockets.parent == Path("/tmp")
    assert embedded.socket_directory(open_tmp / "x" / ".." / ("long" * 20) / "home") == sockets
    try:
        with embedded.running(home) as url, psycopg.connect(url) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
    finally:
        subprocess.run(["rm", "-r", str(sockets)], check=True)


def test_a_socket_directory_that_somebody_else_made_is_refused(open_tmp: Path) -> None:
    home = open_tmp / ("long" * 20) / "home"
    trap = embedded.socket_directory(home)
    (open_tmp / "elsewhere").mkdir()
    trap.symlink_to(open_tmp / "elsewhere")
    try:
        with pytest.raises(EmbeddedPostgresError, match="not to us"):
            embedded.prepare(home)
    finally:
        trap.unlink()


def test_only_its_own_account_may_enter_the_data_and_the_socket(home: Path) -> None:
    with embedded.running(home):
        for place in (embedded_data.data_directory(home), embedded.socket_directory(home) / "postgres"):
            assert stat.S_IMODE(place.stat().st_mode) == 0o700


@pytest.mark.skipif(not _AS_ROOT, reason="only root has another account to run the server as")
def test_as_root_the_server_runs_as_somebody_else_and_no_mode_changes(home: Path, open_tmp: Path) -> None:
    binaries = embedded_data.binaries_for(home)
    watched = [open_tmp, *open_tmp.parents, binaries, *binaries.parents]
    before = [(path, path.stat().st_mode, path.stat().st_uid) for path in watched]
    with embedded.running(home):
        server = psutil.Process(_postmaster_pid(home))
        assert 0 not in {*server.uids(), *server.gids()}
        assert Path(f"/proc/{server.pid}/status").read_text().partition("\nGroups:")[2].splitlines()[0].split() == []
    assert [(path, path.stat().st_mode, path.stat().st_uid) for path in watched] == before
    assert home.stat().st_uid == 0


@pytest.mark.skipif(not _AS_ROOT, reason="only root can make a directory that the server's account cannot enter")
def test_a_home_behind_a_closed_directory_is_reached_with_the_right_to_search_alone() -> None:
    with tempfile.TemporaryDirectory() as closed:  # mode 700, root's
        home = Path(closed) / "home"
        with embedded.running(home) as url, psycopg.connect(url) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
            status = Path(f"/proc/{_postmaster_pid(home)}/status").read_text()
            may_read_and_search = 1 << 2
            assert int(status.partition("CapEff:\t")[2].splitlines()[0], 16) == may_read_and_search
        assert stat.S_IMODE(Path(closed).stat().st_mode) == 0o700


@pytest.mark.skipif(not _AS_ROOT, reason="only root can make a directory that the server's account cannot enter")
def test_where_that_right_cannot_be_granted_the_closed_directory_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_account, "_searching", lambda _uid, _gid: [])
    with tempfile.TemporaryDirectory() as closed, pytest.raises(EmbeddedPostgresError) as caught:
        embedded.prepare(Path(closed) / "home")
    assert f"cannot enter {closed}" in str(caught.value)
    assert "QUEUE_PIPELINE_HOME" in str(caught.value)


@pytest.mark.skipif(not _AS_ROOT, reason="only root can become the ordinary user that this is about")
def test_an_ordinary_user_runs_the_server_as_itself(open_tmp: Path) -> None:
    place = open_tmp / "own"
    place.mkdir()
    user = next(entry for entry in pwd.getpwall() if entry.pw_uid not in {0, 65534})
    os.chown(place, user.pw_uid, user.pw_gid)
    package = Path(embedded.__file__).parents[2]
    site = Path(psycopg.__file__).parents[1]
    script = (
        f"import sys, os; sys.path[:0] = [{str(package)!r}, {str(site)!r}]; from pathlib import Path\n"
        "from queue_pipeline.integrations import embedded_postgres as e\n"
        f"with e.running(Path({str(place / 'home')!r})) as url:\n"
        "    import psycopg\n"
        "    print(psycopg.connect(url).execute('SELECT 1').fetchone()[0])\n"
        "assert not e.is_running(Path(sys.argv[1]))\n"
    )
    # an interpreter that every account can run: this one may live below root's own home
    python = "/usr/bin/python3"
    if subprocess.run([python, "-c", "import sys; sys.exit(sys.version_info < (3, 11))"]).returncode:
        pytest.skip("no interpreter that an ordinary user can run")
    done = subprocess.run(
        [python, "-c", script, str(place / "home")],
        user=user.pw_uid, group=user.pw_gid, extra_groups=[], cwd="/", capture_output=True, text=True,
        env={"PATH": os.environ["PATH"]},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout == "1\n"
    assert {path.stat().st_uid for path in place.rglob("*")} == {user.pw_uid}


@pytest.mark.skipif(not _AS_ROOT, reason="only root gives up its rights")
def test_a_machine_without_setpriv_runs_the_server_as_somebody_else_too(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.which", lambda _name: None)
    with embedded.running(home):
        server = psutil.Process(_postmaster_pid(home))
        assert 0 not in {*server.uids(), *server.gids()}
