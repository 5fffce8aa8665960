"""A provider over HTTP: one POST per attempt, with an idempotency key and a lookup by it where it declares them.

`POST {url}` with JSON `{reference, to, channel, subject, text, in_reply_to, workspace}` and the header
`Idempotency-Key`; `reference` is that key too. The answer is 2xx with the provider's `id`. `GET {url}/by-key/{key}`
answers 200 with that `id`, or 404 with JSON.
"""

from __future__ import annotations

import asyncio
import email.utils
import logging
import threading
import time
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any

import httpx

from queue_pipeline.domain.outbound import Capabilities, LookupBy, SendOutcome
from queue_pipeline.engine.send_provider import LookupReply, Parcel, ProviderReply

#: The client logs whatever words a server puts beside its status, and those may repeat the request.
for _chatty in ("httpx", "httpcore"):
    logging.getLogger(_chatty).setLevel(logging.WARNING)

NAME = "http"
_CONNECT_SECONDS = 5.0
_ANSWER_BYTES_MAX = 262_144
#: The provider refused for good: the same request would be refused again.
_REJECTED = frozenset({400, 406, 410, 411, 413, 414, 415, 422, 431, 451})
#: It refused before doing anything, and may accept later: our credentials, our idea of its address, its quota.
_NOT_SENT = frozenset({401, 402, 403, 404, 405, 407, 429})
#: Credentials and addresses are mended by people; trying each few seconds would not help them.
_PATIENCE_SECONDS = dict.fromkeys(_NOT_SENT - {429}, 300.0)


#: Status, JSON (None when it is none) and headers.
Answer = tuple[int, Any, httpx.Headers]


class _TooLate(Exception):
    """The request had not begun when its time was over."""


class _Progress:
    """How far a request came: before its first byte was written, nothing can have been sent."""

    def __init__(self, deadline: float) -> None:
        self._deadline = deadline
        self.began_writing = False

    async def __call__(self, event: str, _: dict[str, Any]) -> None:
        if event.endswith(".send_request_headers.started"):
            if time.monotonic() >= self._deadline:
                raise _TooLate
            self.began_writing = True


class HttpProvider:
    """One account of one HTTP provider. Give a second one a `name` of its own."""

    def __init__(
        self,
        url: str,
        *,
        name: str = NAME,
        token: str | None = None,
        account: str = "default",
        idempotency_seconds: float = 86_400.0,
        lookup: bool = True,
        settle_seconds: float = 120.0,
    ) -> None:
        self.name = name
        self.account = account
        self.capabilities = Capabilities(
            idempotency_seconds=idempotency_seconds,
            lookup=LookupBy.KEY if lookup else LookupBy.NONE,
            settle_seconds=settle_seconds,
            echo=True,  # a provider that reports by webhook does so at /api/webhooks
        )
        self._url = url.rstrip("/")
        self._headers = {} if token is None else {"Authorization": f"Bearer {token}"}

    def send(self, parcel: Parcel, *, seconds: float) -> ProviderReply:
        """POST the message once; redirects are not followed, and nothing is tried again."""
        headers = {**self._headers}
        if self.capabilities.idempotency_seconds:
            headers["Idempotency-Key"] = parcel.idempotency_key
        content = {
            "reference": parcel.idempotency_key,
            "to": parcel.recipient,
            "channel": parcel.channel,
            "subject": parcel.subject,
            "text": parcel.body,
            "in_reply_to": parcel.in_reply_to,
            "workspace": parcel.workspace,
        }
        progress = _Progress(time.monotonic() + seconds)
        try:
            request = _request("POST", self._url, headers, content, seconds=seconds, progress=progress)
            status, answer, answered = _wait_for(request)
        except Exception as error:  # noqa: BLE001 - whatever it was, only what has begun to leave can be in doubt
            outcome = SendOutcome.AMBIGUOUS if progress.began_writing else SendOutcome.NOT_SENT
            return ProviderReply(outcome, error_class=type(error).__name__, error="no answer")
        return _understood(status, answer, answered)

    def lookup(self, idempotency_key: str, *, seconds: float) -> LookupReply:
        """GET the message by its key: 200 with an id means found, 404 with JSON means absent, all else no answer."""
        try:
            request = _request("GET", f"{self._url}/by-key/{idempotency_key}", self._headers, None, seconds=seconds)
            status, answer, _ = _wait_for(request)
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, OSError, ValueError) as error:
            return LookupReply(None, error=type(error).__name__)
        found_id = _id_in(answer)
        if status == 200 and found_id is not None:
            return LookupReply(True, found_id)
        # A proxy that does not find the provider answers 404 too, but not in the provider's words.
        if status == 404 and isinstance(answer, dict):
            return LookupReply(False)
        return LookupReply(None, error=f"HTTP {status}")


def _wait_for(request: Coroutine[Any, Any, Answer]) -> Answer:
    """Run a request to its end. `async def` handlers send from inside a running loop, so it has a thread of its own."""
    ended: Future[Answer] = Future()

    def run() -> None:
        loop = asyncio.new_event_loop()
        try:
            ended.set_result(loop.run_until_complete(request))
        except BaseException as error:  # noqa: BLE001 - handed to the caller
            ended.set_exception(error)
        finally:
            loop.close()  # unlike asyncio.run it does not wait for a name server that does not answer

    threading.Thread(target=run, name="send", daemon=True).start()
    return ended.result()


async def _request(
    method: str,
    url: str,
    headers: dict[str, str],
    content: dict[str, Any] | None,
    *,
    seconds: float,
    progress: _Progress | None = None,
) -> Answer:
    """Status, JSON (None when it is none) and headers of one request, within `seconds` altogether."""
    timeout = httpx.Timeout(seconds, connect=min(_CONNECT_SECONDS, seconds))
    extensions = {} if progress is None else {"trace": progress}
    async with asyncio.timeout(seconds), httpx.AsyncClient(timeout=timeout, trust_env=False) as client:
        async with client.stream(method, url, headers=headers, json=content, extensions=extensions) as response:
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > _ANSWER_BYTES_MAX:
                    break
        answer = httpx.Response(response.status_code, content=bytes(body))
        try:
            return response.status_code, answer.json(), response.headers
        except ValueError:
            return response.status_code, None, response.headers


def _understood(status: int, answer: Any, headers: httpx.Headers) -> ProviderReply:
    if 200 <= status < 300:
        message_id = _id_in(answer)
        if message_id is not None:
            return ProviderReply(SendOutcome.ACCEPTED, provider_message_id=message_id, http_status=status)
        return ProviderReply(SendOutcome.AMBIGUOUS, http_status=status, error="the answer has no id")
    if status in _REJECTED:
        return ProviderReply(SendOutcome.REJECTED, http_status=status, error="the provider refuses the message")
    if status in _NOT_SENT:
        patience = _retry_after(headers) or _PATIENCE_SECONDS.get(status)
        return ProviderReply(
            SendOutcome.NOT_SENT, http_status=status, error="refused for now", retry_after_seconds=patience
        )
    return ProviderReply(
        SendOutcome.AMBIGUOUS,
        http_status=status,
        error="some of it may have been done",
        retry_after_seconds=_retry_after(headers),
    )


def _id_in(answer: Any) -> str | None:
    """The provider's id in its answer, if it is usable as one."""
    found = answer.get("id") if isinstance(answer, dict) else None
    if isinstance(found, bool) or not isinstance(found, (str, int)):
        return None
    text = str(found).strip()
    return text if text and len(text) <= 500 and text.isprintable() else None


def _retry_after(headers: httpx.Headers) -> float | None:
    """Seconds that the provider asks us to wait, given as a number or as a date."""
    given = headers.get("retry-after", "").strip()
    if given.isascii() and given.isdigit():
        return float(given)
    try:
        until = email.utils.parsedate_to_datetime(given)
        asked_at = email.utils.parsedate_to_datetime(headers.get("date", ""))
        return max(0.0, (until - asked_at).total_seconds())
    except (ValueError, TypeError):
        return None
