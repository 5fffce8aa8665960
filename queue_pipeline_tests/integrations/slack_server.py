"""A Slack on loopback: real HTTP, answers by script, and a journal of what it accepted."""

from __future__ import annotations

import json
import socket
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

CHANNEL = "C0ALERTS"
NAME = "engineering"
TOKEN = "xoxb-planted-secret-token"

#: Answers that come although the message was accepted.
ACCEPTS = frozenset({"ok", "drop", "500_after", "garbage", "fatal_error", "hang"})
ERRORS = frozenset({
    "fatal_error", "internal_error", "invalid_auth", "channel_not_found", "not_in_channel", "missing_scope",
    "msg_too_long", "message_not_found", "ratelimited",
})  # fmt: skip


class SlackServer:
    """Start and stop it at will; the journal outlives a stop. `script[method]` holds the next answers, then "ok"."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.calls: list[tuple[str, str]] = []
        self.bodies: list[dict[str, Any]] = []
        self.script: dict[str, deque[str]] = {}
        self.always: dict[str, str] = {}
        self.retry_after = "1"
        self.released = threading.Event()
        self.accepted = threading.Event()
        self._lock = threading.Lock()
        self._stamp = 1_790_000_000
        self._server: ThreadingHTTPServer | None = None
        self._port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/api/"

    def start(self) -> None:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                outer._answer(self)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name that the base gives it
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), Handler)
        self._server.daemon_threads = True
        self._port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        self.released.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def next_answers(self, method: str, *answers: str) -> None:
        self.script.setdefault(method, deque()).extend(answers)

    def roots(self, kind: str | None = None) -> list[dict[str, Any]]:
        """Alerts outside threads."""
        found = [m for m in self.messages if m.get("thread_ts") is None and _event(m) == "queue_pipeline_alert"]
        return [m for m in found if kind is None or f":{kind}:" in _payload(m)["dedup_key"]]

    def replies(self) -> list[dict[str, Any]]:
        return [m for m in self.messages if m.get("thread_ts") is not None]

    def notices(self) -> list[str]:
        """Every line of every message of notifications."""
        found = [m for m in self.messages if _event(m) == "queue_pipeline_notices"]
        return [line for message in found for line in message["text"].split("\n")]

    def generations(self, kind: str) -> list[int]:
        return [_payload(m)["generation"] for m in self.roots(kind)]

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        method = request.path.rpartition("/")[2]
        body = _body(request)
        with self._lock:
            planned = self.script.get(method)
            answer = planned.popleft() if planned else self.always.get(method, self.always.get("*", "ok"))
            self.calls.append((method, answer))
            self.bodies.append(body)
            wants = answer in ACCEPTS
            done = self._do(method, body) if wants else {}
        if wants and method == "chat.postMessage":
            self.accepted.set()
        self._respond(request, answer, done)

    def _respond(self, request: BaseHTTPRequestHandler, answer: str, done: Mapping[str, Any]) -> None:
        if answer in {"hang", "hang_before"}:
            self.released.wait(60)
        if answer in ("drop", "drop_before", "hang", "hang_before"):
            with suppress(OSError):
                request.connection.shutdown(socket.SHUT_RDWR)
            request.close_connection = True
            return
        if answer == "429":
            self._write(request, 429, {"ok": False, "error": "ratelimited"}, {"Retry-After": self.retry_after})
        elif answer in ("500", "500_after"):
            self._write(request, 500, None)
        elif answer == "garbage":
            self._write(request, 200, None)
        elif answer in ERRORS:
            self._write(request, 200, {"ok": False, "error": answer})
        else:
            self._write(request, 200, {"ok": True, **done})

    def _write(
        self, request: BaseHTTPRequestHandler, status: int, data: Any, headers: Mapping[str, str] | None = None
    ) -> None:
        content = b"<html>not json" if data is None else json.dumps(data).encode()
        with suppress(OSError):
            request.send_response(status)
            request.send_header("Content-Type", "application/json; charset=utf-8")
            request.send_header("Content-Length", str(len(content)))
            for name, value in (headers or {}).items():
                request.send_header(name, value)
            request.end_headers()
            request.wfile.write(content)

    def _do(self, method: str, body: dict[str, Any]) -> dict[str, Any]:
        if method == "chat.postMessage":
            self._stamp += 1
            message = {**body, "ts": f"{self._stamp}.000100", "edits": 0}
            self.messages.append(message)
            return {"channel": CHANNEL, "ts": message["ts"], "message": {"text": body.get("text")}}
        if method == "chat.update":
            (message,) = [m for m in self.messages if m["ts"] == body["ts"]]
            message.update({**{k: v for k, v in body.items() if k != "channel"}, "edits": message["edits"] + 1})
            return {"channel": CHANNEL, "ts": body["ts"]}
        if method == "conversations.history":
            return {"messages": [_shown(m) for m in reversed(self.messages) if m.get("thread_ts") is None]}
        if method == "conversations.replies":
            return {"messages": [_shown(m) for m in self.messages if body["ts"] in (m["ts"], m.get("thread_ts"))]}
        if method == "conversations.list":
            return {"channels": [{"id": CHANNEL, "name": NAME}]}
        return {}


@contextmanager
def slack_server() -> Iterator[SlackServer]:
    """A running one; stopped at the end of the block."""
    server = SlackServer()
    server.start()
    try:
        yield server
    finally:
        server.stop()


def _body(request: BaseHTTPRequestHandler) -> dict[str, Any]:
    raw = request.rfile.read(int(request.headers.get("Content-Length", "0"))).decode()
    if "json" in request.headers.get("Content-Type", ""):
        found = json.loads(raw)
        assert isinstance(found, dict)
        return found
    return {name: values[0] for name, values in parse_qs(raw).items()}


def _shown(message: Mapping[str, Any]) -> dict[str, Any]:
    return {name: message[name] for name in ("ts", "text", "metadata") if name in message}


def _event(message: Mapping[str, Any]) -> str:
    return str((message.get("metadata") or {}).get("event_type"))


def _payload(message: Mapping[str, Any]) -> Mapping[str, Any]:
    payload = message["metadata"]["event_payload"]
    assert isinstance(payload, dict)
    return payload
