"""Machines made of Linux namespaces: each has a network and a name of its own, and a cable that can be cut.

The addresses exist only inside the namespaces of one test; the machine's own network is neither used nor changed.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from queue_pipeline.integrations import embedded_postgres
from queue_pipeline.integrations.embedded_data import data_directory
from queue_pipeline_tests.docs.markdown import REPOSITORY
from queue_pipeline_tests.faults import host_handlers
from queue_pipeline_tests.waiting import eventually

_SUBNET = "10.77.0"
_NOBODY = "02:00:00:00:00:fe"


@cache
def why_not() -> str | None:
    """Why this machine cannot make namespaces; None if it can."""
    if os.geteuid() != 0:
        return "making network namespaces needs root"
    missing = [program for program in ("ip", "unshare") if shutil.which(program) is None]
    if missing:
        return f"this machine has no {' and no '.join(missing)} (Debian: iproute2, util-linux)"
    name = f"qp{os.getpid()}-try"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True)
    if made.returncode != 0:
        return f"this machine does not let us make a network namespace: {made.stderr.strip()}"
    try:
        bridge = ["ip", "-n", name, "link", "add", "bridge", "type", "bridge"]
        made = subprocess.run(bridge, capture_output=True, text=True)
        return f"this machine does not let us make a bridge: {made.stderr.strip()}" if made.returncode else None
    finally:
        _ip("netns", "del", name)


@dataclass(frozen=True)
class Host:
    """One machine: its name, its address, and the namespace that it lives in."""

    name: str
    address: str
    namespace: str
    switch: str

    def command(self, argv: Sequence[str]) -> list[str]:
        """The command line that runs `argv` on this host; the process that it starts becomes `argv`."""
        rename = ["unshare", "--uts", "sh", "-c", 'hostname "$0" && exec "$@"', self.name]
        return ["ip", "netns", "exec", self.namespace, *rename, *argv]

    def cut(self) -> None:
        """Pull the cable: nothing comes or goes, and no socket learns of it."""
        _ip("-n", self.switch, "link", "set", f"to-{self.name}", "down")

    def heal(self) -> None:
        """Put the cable back."""
        _ip("-n", self.switch, "link", "set", f"to-{self.name}", "up")

    def stop_answering(self, other: Host) -> None:
        """A cut in one direction: what this host sends to the other is lost, what the other sends still arrives."""
        _ip(
            "-n",
            self.namespace,
            "neigh",
            "replace",
            other.address,
            "lladdr",
            _NOBODY,
            "nud",
            "permanent",
            "dev",
            "eth0",
        )

    def answer_again(self, other: Host) -> None:
        """The end of `stop_answering`."""
        _ip("-n", self.namespace, "neigh", "del", other.address, "dev", "eth0")


@contextmanager
def network(*names: str) -> Iterator[list[Host]]:
    """Hosts on one switch; at the end their processes are killed and everything is removed."""
    switch = f"qp{os.getpid()}-switch"
    with ExitStack() as stack:
        _make_namespace(stack, switch)
        _ip("-n", switch, "link", "add", "bridge", "type", "bridge")
        _ip("-n", switch, "link", "set", "bridge", "up")
        hosts = []
        for number, name in enumerate(names, start=1):
            host = Host(name, f"{_SUBNET}.{number}", f"qp{os.getpid()}-{name}", switch)
            _make_namespace(stack, host.namespace)
            _ip("-n", switch, "link", "add", f"to-{name}", "type", "veth", "peer", "eth0", "netns", host.namespace)
            _ip("-n", switch, "link", "set", f"to-{name}", "master", "bridge", "up")
            _ip("-n", host.namespace, "address", "add", f"{host.address}/24", "dev", "eth0")
            _ip("-n", host.namespace, "link", "set", "eth0", "up")
            hosts.append(host)
        yield hosts


@contextmanager
def server_on(host: Host, home: Path) -> Iterator[str]:
    """A PostgreSQL on the host that its network may use; gives its URL as the other hosts write it."""
    embedded_postgres.prepare(home, {"listen_addresses": host.address})
    with (data_directory(home) / "pg_hba.conf").open("a", encoding="ascii") as rules:
        rules.write(f"host all all {_SUBNET}.0/24 trust\n")
    log = home / "server.log"
    with log.open("wb") as out:
        server = subprocess.Popen(host.command(embedded_postgres.server_command(home)), stdout=out, stderr=out, cwd="/")
    try:
        embedded_postgres.wait_until_ready(home)
        yield f"postgresql://postgres@{host.address}:5432/{embedded_postgres.DATABASE}"
    finally:
        server.send_signal(signal.SIGQUIT)
        server.wait(timeout=30)


@contextmanager
def program_on(
    host: Host, url: str, place: Path, *words: str, environment: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """`python -m ...` on the host, with its home, its journal and its words below `place`; killed at the end."""
    with (place / f"{host.name}.log").open("a", encoding="utf-8") as said:
        process = subprocess.Popen(
            host.command([sys.executable, "-m", *words]),
            env={
                **os.environ,
                "QUEUE_PIPELINE_DATABASE_URL": url,
                "QUEUE_PIPELINE_HOME": str(place / host.name),
                "QUEUE_PIPELINE_HANDLERS": host_handlers.__name__,
                host_handlers.JOURNAL: str(place / f"{host.name}.journal"),
                **(environment or {}),
            },
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
        )
        try:
            yield process
        finally:
            process.kill()
            process.communicate()


def _make_namespace(stack: ExitStack, name: str) -> None:
    _ip("netns", "add", name)
    stack.callback(_remove_namespace, name)
    _ip("-n", name, "link", "set", "lo", "up")


def _remove_namespace(name: str) -> None:
    """A process that is left would keep the namespace alive without its name."""
    for pid in _ip("netns", "pids", name).split():
        with suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)
    eventually(lambda: not _ip("netns", "pids", name).split(), within=30, what=f"{name} to be empty")
    _ip("netns", "del", name)


def _ip(*words: str) -> str:
    return subprocess.run(["ip", *words], check=True, capture_output=True, text=True).stdout
