"""A mail server on loopback that does what its script says, and keeps what it really took."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from email import message_from_bytes
from email.policy import default
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope, Session

from queue_pipeline_tests.sends.provider_server import Provider


class _Handler:
    def __init__(self, provider: Provider) -> None:
        self._provider = provider

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, _: Session, envelope: Envelope, address: str, __: Any
    ) -> str:
        what = self._provider.script[0] if self._provider.script else "ok"
        if what in ("450", "550", "drop before accept"):
            self._provider.answer()
            await self._held()
            if what == "drop before accept":
                _abort(server)
            return f"{what} no such mailbox" if what != "drop before accept" else "421 going away"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, _: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        provider = self._provider
        what = provider.answer()
        if what in ("451", "554"):
            await self._held()
            return f"{what} not now"
        assert isinstance(envelope.content, bytes)
        message = message_from_bytes(envelope.content, policy=default)
        body = message.get_body()
        text = "" if body is None else body.get_content().strip()
        provider.deliver(str(message["Message-ID"]), {"text": text, "to": envelope.rcpt_tos[0], "mail": message})
        await self._held()
        if what == "hang":
            await asyncio.to_thread(provider.released.wait, 60)
        if what in ("hang", "drop after accept"):
            _abort(server)
        return "250 queued as 4711" if what != "garbage" else "200 ???"

    async def _held(self) -> None:
        if self._provider.hold_first and self._provider.requests == 1:
            self._provider.arrived.set()
            await asyncio.to_thread(self._provider.released.wait, 60)


def _abort(server: SMTP) -> None:
    assert isinstance(server.transport, asyncio.WriteTransport)
    server.transport.abort()


@contextmanager
def serving_mail(script: Sequence[str], *, host: str = "127.0.0.1", **options: Any) -> Iterator[tuple[Provider, str]]:
    """The books of the server, and its URL, while the block runs; `options` are those of aiosmtpd."""
    provider = Provider(script, honours_keys=False)
    loop = asyncio.new_event_loop()
    handler = _Handler(provider)
    started = loop.create_server(lambda: SMTP(handler, hostname="mail.test", loop=loop, **options), host, 0)
    server = loop.run_until_complete(started)
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield provider, f"smtp://{host}:{server.sockets[0].getsockname()[1]}"
    finally:
        provider.released.set()
        loop.call_soon_threadsafe(server.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
