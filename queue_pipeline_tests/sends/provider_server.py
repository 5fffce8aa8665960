"""A provider on loopback that does what its script says, and keeps a journal of what it really delivered."""

from __future__ import annotations

import json
import socket
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

#: What the provider may do with a request; `ok` when the script has ended.
ANSWERS = ("ok", "429", "500", "drop after accept", "hang", "garbage", "drop before accept", "500 after accept", "422")


class Provider:
    """The provider's books: what it delivered, by key, in order, and how often it was asked."""

    def __init__(self, script: Sequence[str], *, honours_keys: bool) -> None:
        self.script = list(script)
        self.honours_keys = honours_keys
        self.delivered: list[dict[str, Any]] = []
        self.requests = 0
        self.lookups = 0
        self.hold_first = False
        self.released = threading.Event()
        self.arrived = threading.Event()
        self._lock = threading.Lock()

    def answer(self) -> str:
        """What the script says about the next request."""
        with self._lock:
            self.requests += 1
            return self.script.pop(0) if self.script else "ok"

    def deliver(self, key: str, content: dict[str, Any]) -> str:
        """Deliver for real, once per key if it honours keys; gives the provider's id."""
        with self._lock:
            if self.honours_keys:
                for earlier in self.delivered:
                    if earlier["key"] == key:
                        return str(earlier["id"])
            entry = {"id": f"m-{len(self.delivered) + 1}", "key": key, **content}
            self.delivered.append(entry)
            return str(entry["id"])

    def has(self, key: str) -> str | None:
        """The id of what was delivered for a key."""
        self.lookups += 1
        return next((entry["id"] for entry in self.delivered if entry["key"] == key), None)

    @property
    def copies(self) -> int:
        """How often the customer got the most repeated text."""
        return max(Counter(entry["text"] for entry in self.delivered).values(), default=0)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    provider: Provider

    def do_POST(self) -> None:
        content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        key = content["reference"]
        what = self.provider.answer()
        if what in ("ok", "garbage", "drop after accept", "500 after accept", "hang"):
            message_id = self.provider.deliver(key, content)
        if self.provider.hold_first and self.provider.requests == 1:
            self.provider.arrived.set()
            self.provider.released.wait(60)
        if what == "ok":
            self._say(201, json.dumps({"id": message_id}))
        elif what == "garbage":
            self._say(200, "<html>It works!</html>")
        elif what == "429":
            self._say(429, "{}", {"Retry-After": "0"})
        elif what in ("500", "500 after accept"):
            self._say(500, "{}")
        elif what == "422":
            self._say(422, '{"error": "no such recipient"}')
        elif what == "hang":
            self.provider.released.wait(60)
            self._cut()
        else:
            self._cut()

    def do_GET(self) -> None:
        found = self.provider.has(self.path.rpartition("/")[2])
        self._say(*((200, json.dumps({"id": found})) if found else (404, '{"error": "unknown key"}')))

    def _say(self, status: int, text: str, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(text)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text.encode())

    def _cut(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, *_: object) -> None:
        """Stay silent."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """A client that was killed is what these tests are about."""


@contextmanager
def serving(provider: Provider) -> Iterator[str]:
    """The provider's URL while the block runs."""
    handler = type("Handler", (_Handler,), {"provider": provider})
    server = _Server(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/messages"
    finally:
        provider.released.set()
        server.shutdown()
        server.server_close()
        thread.join(10)
