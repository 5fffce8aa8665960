"""The HTTP adapter over real sockets: what it says, what it makes of answers, and that it is done in time."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from queue_pipeline.domain.outbound import LookupBy, SendOutcome
from queue_pipeline.engine.send_provider import LookupReply, Parcel, ProviderReply
from queue_pipeline.integrations import http_provider
from queue_pipeline.integrations.http_provider import HttpProvider
from queue_pipeline_tests.integrations.sockets import drips, listening, refused_port, says, self_signed, silent

PARCEL = Parcel("k" * 64, "acme", "email", "ada@customer.example", "Grüße 🚚", "Zeile 1\n.\n🚚", "<1@x.example>")
TOKEN = "planted-provider-token"
A, R, N, M = SendOutcome.ACCEPTED, SendOutcome.REJECTED, SendOutcome.NOT_SENT, SendOutcome.AMBIGUOUS


class Web:
    """A server that answers as it was told, and keeps the requests."""

    def __init__(self) -> None:
        self.status, self.body, self.headers = 201, '{"id": "m-1"}', dict[str, str]()
        self.requests: list[tuple[str, str, dict[str, str], Any]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                content = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                headers = {name.lower(): value for name, value in self.headers.items()}
                outer.requests.append((self.command, self.path, headers, json.loads(content or "null")))
                self.send_response_only(outer.status)
                for name, value in {**outer.headers, "Content-Length": str(len(outer.body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(outer.body.encode())

            do_POST = do_GET = answer  # noqa: N815 - the names that the base gives them

            def log_message(self, *_: object) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/messages"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()


@pytest.fixture
def web() -> Iterator[Web]:
    web = Web()
    yield web
    web.server.shutdown()
    web.server.server_close()


def sent(url: str, seconds: float = 5.0, **options: Any) -> ProviderReply:
    reply = HttpProvider(url, token=TOKEN, **options).send(PARCEL, seconds=seconds)
    told = f"{reply.error} {reply.error_class}"
    assert not any(secret in told for secret in (TOKEN, PARCEL.recipient, PARCEL.body, PARCEL.subject))
    return reply


def test_a_message_is_posted_once_with_its_key_and_all_that_the_customer_sees(web: Web) -> None:
    assert sent(web.url) == ProviderReply(A, provider_message_id="m-1", http_status=201)
    ((method, path, headers, content),) = web.requests
    assert (method, path, headers["authorization"]) == ("POST", "/messages", f"Bearer {TOKEN}")
    assert headers["idempotency-key"] == content["reference"] == PARCEL.idempotency_key
    assert (content["to"], content["subject"], content["text"]) == (PARCEL.recipient, PARCEL.subject, PARCEL.body)
    assert (content["channel"], content["in_reply_to"], content["workspace"]) == ("email", "<1@x.example>", "acme")


def test_a_provider_that_knows_no_keys_is_sent_none_and_what_is_declared_is_what_is_promised(web: Web) -> None:
    provider = HttpProvider(web.url, idempotency_seconds=0, lookup=False)
    assert provider.send(PARCEL, seconds=5).outcome is A
    assert "idempotency-key" not in web.requests[0][2]
    assert "authorization" not in web.requests[0][2]
    assert (provider.capabilities.idempotency_seconds, provider.capabilities.lookup) == (0, LookupBy.NONE)


STATUSES = {
    A: [200, 201, 202],
    R: [400, 406, 410, 411, 413, 414, 415, 422, 431, 451],
    N: [401, 402, 403, 404, 405, 407, 429],
    M: [203 + 97, 301, 307, 408, 409, 418, 425, 500, 501, 502, 503, 504, 520, 599],
}


@pytest.mark.parametrize(("status", "outcome"), [(s, o) for o, many in STATUSES.items() for s in many])
def test_a_status_means_no_more_than_it_says(web: Web, status: int, outcome: SendOutcome) -> None:
    web.status = status
    web.headers = {"Location": web.url} if 300 <= status < 400 else {}
    reply = sent(web.url)
    assert (reply.outcome, reply.http_status) == (outcome, status)
    assert len(web.requests) == 1, "redirects are not followed, and nothing is tried again"


@pytest.mark.parametrize(
    "body",
    ["", "{}", "<html>", "[]", '"m-1"', '{"id": null}', '{"id": true}', '{"id": ""}', '{"id": ["m"]}', '{"id": "a\\nb"}',
     json.dumps({"id": "x" * 501}), '{"id": 1.5}', "{" * 100_000],
)  # fmt: skip
def test_an_acceptance_without_a_usable_id_is_in_doubt(web: Web, body: str) -> None:
    web.body = body
    assert sent(web.url).outcome is M


@pytest.mark.parametrize(("body", "found"), [('{"id": 4711}', "4711"), ('{"id": " m-1 ", "more": {}}', "m-1")])
def test_an_id_may_be_a_number_or_a_text(web: Web, body: str, found: str) -> None:
    web.body = body
    assert sent(web.url).provider_message_id == found


NOW = "Tue, 24 Nov 2026 10:00:00 GMT"


@pytest.mark.parametrize(
    ("status", "headers", "seconds"),
    [
        (429, {"Retry-After": "120"}, 120.0),
        (429, {"Retry-After": "Tue, 24 Nov 2026 10:05:00 GMT", "Date": NOW}, 300.0),
        (429, {"Retry-After": "Tue, 24 Nov 2026 09:00:00 GMT", "Date": NOW}, None),
        (429, {"Retry-After": "soon"}, None),
        (429, {"Retry-After": "-5"}, None),
        (429, {"Retry-After": "²"}, None),
        (429, {}, None),
        (401, {}, 300.0),
        (503, {"Retry-After": "30"}, 30.0),
    ],
)
def test_the_providers_wish_for_patience_is_understood(
    web: Web, status: int, headers: dict[str, str], seconds: float | None
) -> None:
    web.status, web.headers = status, {name: value.encode().decode("latin-1") for name, value in headers.items()}
    assert sent(web.url).retry_after_seconds == seconds


def test_what_has_not_begun_to_leave_was_not_sent(tmp_path: Path) -> None:
    assert sent(f"http://127.0.0.1:{refused_port()}/").outcome is N
    assert sent("http://nowhere.invalid/", seconds=3).outcome is N
    assert sent("gopher://127.0.0.1/").outcome is N
    assert sent("http://127.0.0.1:99999/").outcome is N
    with listening(silent) as port:  # the handshake never ends
        assert sent(f"https://127.0.0.1:{port}/", seconds=0.5).outcome is N
    with listening(says(b"HTTP/1.1 200 OK\r\n\r\n")) as port:  # it speaks no TLS
        assert sent(f"https://127.0.0.1:{port}/").outcome is N
    context = self_signed(tmp_path)

    def talk(caller: socket.socket, _: threading.Event) -> None:
        with context.wrap_socket(caller, server_side=True) as secured:
            secured.recv(1)

    with listening(talk) as port:
        assert sent(f"https://127.0.0.1:{port}/").outcome is N


def reset(caller: socket.socket, _: threading.Event) -> None:
    caller.recv(10)
    caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


HEAD = b"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\n"
DOUBTFUL = {
    "no answer": silent,
    "hung up": says(b""),
    "reset": reset,
    "no HTTP": says(b"220 mail.example ESMTP\r\n"),
    "an answer cut short": says(HEAD + b'Content-Length: 100\r\n\r\n{"id": "m-1"'),
    "headers that never end": drips(b"HTTP/1.1 201 Created\r\nX-Slow:"),
    "a body that never ends": drips(HEAD + b'Content-Length: 100000\r\n\r\n{"id": "m-1"'),
    "a body without bounds": says(HEAD + b"\r\n" + b"[" * 3_000_000),
}


@pytest.mark.parametrize("what", list(DOUBTFUL))
def test_whatever_goes_wrong_once_it_has_begun_to_leave_is_doubt_and_ends_in_time(what: str) -> None:
    with listening(DOUBTFUL[what]) as port:
        began = time.monotonic()
        assert sent(f"http://127.0.0.1:{port}/", seconds=1.0).outcome is M
        assert time.monotonic() - began < 10, "the bound holds however the answer is dealt out"


def test_a_sender_that_stood_still_writes_nothing(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection looks at the clock right before its first byte: after it was opened, however long that took."""

    class Clock:
        readings = iter([0.0])

        @classmethod
        def monotonic(cls) -> float:
            return next(cls.readings, 1e9)

    monkeypatch.setattr(http_provider, "time", Clock)
    reply = sent(web.url)
    assert (reply.outcome, web.requests) == (N, [])


def test_a_send_without_any_time_left_was_not_sent(web: Web) -> None:
    assert sent(web.url, seconds=0.0).outcome is N
    assert web.requests == []


def test_proxies_of_the_environment_are_not_asked(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{refused_port()}")
    assert sent(web.url).outcome is A


def test_an_async_handler_may_send_from_inside_its_loop(web: Web) -> None:
    async def handler() -> ProviderReply:
        return sent(web.url)

    assert asyncio.run(handler()).outcome is A


def test_a_provider_at_an_address_of_the_newer_kind_is_reached() -> None:
    try:
        with listening(says(HEAD + b'Content-Length: 12\r\n\r\n{"id":"m-1"}'), host="::1") as port:
            assert sent(f"http://[::1]:{port}/").outcome is A
    except OSError:
        pytest.skip("this machine has no IPv6")


@pytest.mark.parametrize(
    ("status", "body", "reply"),
    [
        (200, '{"id": "m-1"}', LookupReply(True, "m-1")),
        (404, '{"error": "unknown key"}', LookupReply(False)),
        (404, "<html>nginx</html>", LookupReply(None, error="HTTP 404")),
        (404, "[]", LookupReply(None, error="HTTP 404")),
        (200, "{}", LookupReply(None, error="HTTP 200")),
        (301, '{"id": "m-1"}', LookupReply(None, error="HTTP 301")),
        (401, "{}", LookupReply(None, error="HTTP 401")),
        (410, "{}", LookupReply(None, error="HTTP 410")),
        (500, '{"id": "m-1"}', LookupReply(None, error="HTTP 500")),
    ],
)
def test_only_a_clear_answer_of_the_provider_says_found_or_absent(
    web: Web, status: int, body: str, reply: LookupReply
) -> None:
    web.status, web.body = status, body
    assert HttpProvider(web.url, token=TOKEN).lookup("k1", seconds=5) == reply
    assert web.requests[0][:2] == ("GET", "/messages/by-key/k1")


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "http://nowhere.invalid/", "http://[::bad/", "nonsense"])
def test_a_provider_that_cannot_be_asked_says_nothing(url: str) -> None:
    assert HttpProvider(url).lookup("k1", seconds=3).found is None


def test_a_lookup_ends_in_time() -> None:
    with listening(drips(b"HTTP/1.1 200 OK\r\nX-Slow:")) as port:
        assert HttpProvider(f"http://127.0.0.1:{port}/").lookup("k1", seconds=0.5).found is None
