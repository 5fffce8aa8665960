"""A real PgBouncer in transaction mode in front of a test's database."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict

from queue_pipeline_tests.http.conftest import free_port
from queue_pipeline_tests.waiting import eventually

#: Debian puts it where only root's PATH looks.
PROGRAM = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")

_CONFIGURATION = """
[databases]
pooled = host={host} port={port} dbname={dbname} user={user}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen}
unix_socket_dir =
auth_type = any
pool_mode = transaction
ignore_startup_parameters = {ignored}
"""


@contextmanager
def pooler(database_url: str, place: Path, *, ignored: str = "extra_float_digits") -> Iterator[str]:
    """Inside the block a PgBouncer pools the transactions of that database; gives the URL for its clients."""
    assert PROGRAM is not None
    server = conninfo_to_dict(database_url)
    host, listen = str(server.get("host") or "127.0.0.1"), free_port()
    words = {"host": host, "port": server.get("port", 5432), "dbname": server["dbname"], "user": server["user"]}
    configuration = place / "pgbouncer.ini"
    configuration.write_text(_CONFIGURATION.format(**words, listen=listen, ignored=ignored), encoding="ascii")
    configuration.chmod(0o644)
    with (place / "pgbouncer.log").open("wb") as log:
        process = subprocess.Popen([*_account(host), PROGRAM, str(configuration)], stdout=log, stderr=log)
    url = f"postgresql://{server['user']}@127.0.0.1:{listen}/pooled"
    try:
        eventually(lambda: _answers(url), within=20, what="PgBouncer to answer")
        yield url
    finally:
        process.terminate()
        process.wait(timeout=20)


def _account(host: str) -> list[str]:
    """PgBouncer refuses to run as root; whoever owns the server's socket may also use it."""
    if os.geteuid() != 0:
        return []
    owner = Path(host).stat().st_uid if host.startswith("/") else 65534
    return ["setpriv", f"--reuid={owner}", f"--regid={owner}", "--clear-groups"]


def _answers(url: str) -> bool:
    with psycopg.connect(url, autocommit=True, prepare_threshold=None) as connection:
        return connection.execute("SELECT true").fetchone() == (True,)
