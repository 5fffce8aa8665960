"""One real PostgreSQL per test session, one fresh copy of the migrated schema per test.

The server is the embedded one, unless QUEUE_PIPELINE_DATABASE_URL names another on which databases may be created.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex

import psycopg
import pytest

from queue_pipeline.domain.limits import Limits
from queue_pipeline.engine import flags
from queue_pipeline.engine.send_provider import OUTBOX, send_providers
from queue_pipeline.integrations import embedded_postgres
from queue_pipeline.settings import Settings, environment_name
from queue_pipeline.store import migrate
from queue_pipeline.store.session import Database
from queue_pipeline_tests import databases
from queue_pipeline_tests.engine.planted import Planted, planting_unguarded
from queue_pipeline_tests.waiting import eventually

#: Whatever the developer's shell or `.env` says, tests start from the defaults; so do the processes they start.
_SERVER = os.environ.get("QUEUE_PIPELINE_DATABASE_URL")
for _field in Settings.model_fields:
    os.environ.pop(environment_name(_field), None)
os.environ["QUEUE_PIPELINE_ENV_FILE"] = os.devnull
os.environ["MPLBACKEND"] = "Agg"
if _SERVER:
    os.environ["QP_TEST_SERVER_URL"] = _SERVER  # handed to the xdist workers, which start without it
else:
    _SERVER = os.environ.get("QP_TEST_SERVER_URL")

_PREFIX = "qp-tests-"
_NO_LONGER_STARTING_SECONDS = 600.0
_FLAG_DEFAULTS = dict(flags._defaults)


@pytest.hookimpl(tryfirst=True)
def pytest_report_teststatus(report: pytest.TestReport | pytest.CollectReport) -> tuple[str, str, str] | None:
    """A failure is named at once: a run that is cut off later has still told of it."""
    if not report.failed:
        return None
    category = "failed" if report.when == "call" else "error"
    return category, f"\n{category.upper()} {report.nodeid}\n", category.upper()


@pytest.fixture(autouse=True)
def _sending_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Providers and defaults of flags belong to the process; what one test sets, the next does not find."""
    monkeypatch.setattr(send_providers, "_providers", {})
    monkeypatch.setattr(send_providers, "_default", OUTBOX)
    monkeypatch.setattr(flags, "_defaults", dict(_FLAG_DEFAULTS))


@pytest.fixture(scope="session")
def shared_dir(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A directory that all xdist workers of this session see."""
    base = tmp_path_factory.getbasetemp()
    return base if worker_id == "master" else base.parent


@pytest.fixture(scope="session")
def server_url(shared_dir: Path) -> Iterator[str]:
    """URL of a server on which tests may create databases; its own database is empty."""
    if _SERVER:
        yield _SERVER
        return
    home = _shared_home(shared_dir)
    # A machine that loses power loses the tests too; a killed server process loses nothing even so.
    with embedded_postgres.running(home, {"fsync": "off", "max_connections": "300"}) as url:
        # After a start every lost presence lock is excused for a while; tests of recovery are about later times.
        grace = Limits().database_restart_grace_seconds + 0.5
        eventually(lambda: _age_of_server(url) > grace, within=grace + 5, what="the server to be old enough")
        yield url
    if not embedded_postgres.is_running(home):
        shutil.rmtree(home.parent, ignore_errors=True)


@pytest.fixture(scope="session")
def template_database(server_url: str, shared_dir: Path) -> Iterator[str]:
    """Name of a migrated database to copy from; made by the first worker, dropped by each session's last."""
    with _locked(shared_dir / "template.lock"):
        marker = shared_dir / "template-name"
        if not marker.exists() or not databases.exists(server_url, marker.read_text()):
            name = f"qp_template_{token_hex(6)}"
            databases.create(server_url, name)
            migrate.upgrade(databases.url_of(server_url, name))
            marker.write_text(name)
    with (shared_dir / "template.users").open("ab") as users:
        fcntl.flock(users, fcntl.LOCK_SH)
        yield marker.read_text()
        try:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        with _locked(shared_dir / "template.lock"):
            databases.drop(server_url, marker.read_text())


@pytest.fixture
def database_url(server_url: str, template_database: str) -> Iterator[str]:
    """A fresh migrated database; dropped afterwards, whoever is still connected."""
    with databases.scratch_database(server_url, template_database) as url:
        yield url


@pytest.fixture
def blank_database_url(server_url: str) -> Iterator[str]:
    """A fresh database without any schema of ours, for migrations."""
    with databases.scratch_database(server_url, None) as url:
        yield url


@pytest.fixture
def db(database_url: str) -> Iterator[Database]:
    """The store's door to a fresh migrated database."""
    database = Database(database_url)
    yield database
    database.dispose()


@pytest.fixture
def planted(db: Database) -> Iterator[Planted]:
    """Where duplicates can be planted, because nothing guards against them any more."""
    with planting_unguarded(db) as planted:
        yield planted


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    """Default settings on a fresh database and an empty home."""
    return Settings(database_url=database_url, home=tmp_path / "home")


@pytest.fixture
def open_tmp() -> Iterator[Path]:
    """A directory that every account may enter, as an embedded server of its own needs (pytest's is private)."""
    place = Path(tempfile.mkdtemp(prefix="qp-"))
    place.chmod(0o755)
    yield place
    shutil.rmtree(place, ignore_errors=True)


def _age_of_server(url: str) -> float:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT extract(epoch FROM clock_timestamp() - pg_postmaster_start_time())").fetchone()
        return float(row[0]) if row else 0.0


def _shared_home(shared_dir: Path) -> Path:
    with _locked(shared_dir / "home.lock"):
        marker = shared_dir / "home-path"
        if not marker.exists() or not Path(marker.read_text()).is_dir():
            memory = _memory()
            _forget_ended_runs(memory or Path(tempfile.gettempdir()))
            place = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=memory))
            place.chmod(0o755)
            home = place / "home"
            home.mkdir()
            marker.write_text(str(home))
        return Path(marker.read_text())


def _memory() -> Path | None:
    """Where files live in memory and there is room for them: a test's copy of the schema is made twenty times faster."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK) or shutil.disk_usage(memory).free < 4 << 30:
        return None
    return memory


def _forget_ended_runs(where: Path) -> None:
    """A run that was killed leaves its server's files, which fill the memory."""
    for place in where.glob(f"{_PREFIX}*"):
        with suppress(OSError):  # another session may be at it too
            old = time.time() - place.stat().st_mtime > _NO_LONGER_STARTING_SECONDS
            if old and not embedded_postgres.is_running(place / "home"):
                shutil.rmtree(place)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
