"""An OpenAI-compatible endpoint on loopback that answers as it is told, and keeps what it was asked."""

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

#: What the server does with one request.
Answer = Callable[["_Handler"], None]


class ModelServer:
    """Answers with the scripted answers in turn, then with the last one for ever."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.let_go = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        self._server.model = self  # type: ignore[attr-defined]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """The base URL for OPENAI_BASE_URL."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def close(self) -> None:
        """Let hanging requests go and stop."""
        self.let_go.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        model: ModelServer = self.server.model  # type: ignore[attr-defined]
        body = self.rfile.read(int(self.headers["Content-Length"]))
        model.asked.append(json.loads(body))
        model.keys.append(self.headers["Authorization"])
        answer = model.answers[min(len(model.asked), len(model.answers)) - 1]
        answer(self)

    def log_message(self, *_: Any) -> None:
        return

    def give(self, status: int, payload: bytes, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(payload)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(payload)


def says(content: str | None, **message: Any) -> Answer:
    """The model's message has this content."""
    completion = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_900_000_000,
        "model": "small",
        "choices": [
            {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": content, **message}}
        ],
        "usage": {"prompt_tokens": 321, "completion_tokens": 45, "total_tokens": 366},
    }
    return lambda handler: handler.give(200, json.dumps(completion).encode())


def replies(body: str, subject: str = "Re: Hello") -> Answer:
    """The model answers in the agreed form."""
    return says(json.dumps({"subject": subject, "body": body}))


def fails(status: int, **headers: str) -> Answer:
    """The endpoint answers with an error."""
    return lambda handler: handler.give(status, b'{"error": {"message": "no", "type": "x"}}', **headers)


def talks_nonsense(handler: _Handler) -> None:
    """The endpoint answers 200 with something that is no completion."""
    handler.give(200, b"<html>welcome</html>")


def drops(handler: _Handler) -> None:
    """The endpoint takes the request and closes the connection."""
    handler.close_connection = True
    handler.connection.close()


def hangs(handler: _Handler) -> None:
    """The endpoint takes the request and says nothing."""
    handler.server.model.let_go.wait(60)  # type: ignore[attr-defined]
    handler.close_connection = True


def trickles(handler: _Handler) -> None:
    """The endpoint sends a byte now and then, so that no single read is too slow."""
    handler.send_response(200)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", "100000")
    handler.end_headers()
    model: ModelServer = handler.server.model  # type: ignore[attr-defined]
    while not model.let_go.wait(0.05):
        try:
            handler.wfile.write(b" ")
            handler.wfile.flush()
        except OSError:
            break
    handler.close_connection = True
