"""Peers on loopback that speak no protocol, or the wrong one, or do so very slowly."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest


@contextmanager
def listening(talk: Callable[[socket.socket, threading.Event], None], host: str = "127.0.0.1") -> Iterator[int]:
    """The port of a peer that talks like this to each caller; the event is set when the block ends."""
    over = threading.Event()
    listener = socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET)

    def serve(caller: socket.socket) -> None:
        with caller, suppress(OSError):
            talk(caller, over)

    def accept() -> None:
        with suppress(OSError):
            while True:
                caller, _ = listener.accept()
                threading.Thread(target=serve, args=(caller,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        over.set()
        listener.close()


def silent(_: socket.socket, over: threading.Event) -> None:
    """Accept the connection, and say nothing."""
    over.wait(60)


def says(answer: bytes, *, request: bool = True) -> Callable[[socket.socket, threading.Event], None]:
    """Read something first if there is a `request`, give this answer, and hang up."""

    def talk(caller: socket.socket, _: threading.Event) -> None:
        if request:
            caller.recv(65_536)
        caller.sendall(answer)

    return talk


def drips(head: bytes, *, request: bool = True) -> Callable[[socket.socket, threading.Event], None]:
    """This, and then one blank every 50 ms for ever: no single read takes long."""

    def talk(caller: socket.socket, over: threading.Event) -> None:
        if request:
            caller.recv(65_536)
        caller.sendall(head)
        while not over.wait(0.05):
            caller.sendall(b" ")

    return talk


def refused_port() -> int:
    """A port at which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def self_signed(place: Path) -> ssl.SSLContext:
    """The context of a server whose certificate nobody vouches for."""
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl to make a certificate with")
    key, certificate = place / "key.pem", place / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
    subprocess.run([*command, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context
