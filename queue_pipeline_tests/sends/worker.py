"""A real drain in a process of its own that stands still at a chosen moment of a send, to be killed there.

The moments are the commits of the three transactions of a send: that which reserves the message, that which begins
the attempt, and that which writes down how it ended.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any

from queue_pipeline import JobContext
from queue_pipeline.domain.drain import DrainOptions
from queue_pipeline.domain.limits import Limits
from queue_pipeline.engine.drain import drain
from queue_pipeline.engine.handlers import HandlerSpec, Registry
from queue_pipeline.engine.send_provider import SendProvider, send_providers
from queue_pipeline.integrations.http_provider import HttpProvider
from queue_pipeline.integrations.smtp_provider import SmtpProvider
from queue_pipeline.store import outbound
from queue_pipeline.store.session import Database, Tx

#: Before and after the commit of each transaction of a send.
POINTS = (
    "before reserve", "after reserve", "before begin", "after begin", "before finish", "after finish",
)  # fmt: skip
KIND = "test.send"
#: Everything that a test would otherwise have to wait for, shortened.
LIMITS = Limits(
    presence_grace_seconds=0.2,
    send_deadline_seconds=3.0,
    send_margin_seconds=0.5,
    send_backoff_base_seconds=0.1,
    termination_grace_seconds=0.3,
    sweep_every_seconds=0.3,
)
SETTLE_SECONDS = 0.5
#: For those that can neither be asked nor recognise a key, only a person can tell.
SPECS = ("key", "lookup", "nothing", "smtp")


def make_provider(spec: str, name: str, url: str) -> SendProvider:
    """An adapter with the capabilities that `spec` names."""
    if spec == "smtp":
        return SmtpProvider(url, sender="Team <team@sender.example>", name=name)
    seconds = 86_400.0 if spec == "key" else 0.0
    return HttpProvider(
        url, name=name, idempotency_seconds=seconds, lookup=spec == "lookup", settle_seconds=SETTLE_SECONDS
    )


def work(
    url: str,
    shard: str,
    spec: str,
    provider_name: str,
    provider_url: str,
    point: str | None,
    told: Connection,
    frozen: bool = False,
) -> None:
    """Drain the shard until it is stopped; stand still at `point` the first time it is reached.

    `frozen` stops the whole process there, which goes on after SIGCONT; otherwise one thread stands still for ever.
    """
    send_providers.register(make_provider(spec, provider_name, provider_url))
    database = _StandsStill(url, point, told, frozen=frozen)

    def handle(ctx: JobContext, payload: Any) -> None:
        ctx.send(
            channel="email",
            to=payload["to"],
            subject="Hello",
            body=payload["text"],
            purpose="reply",
            provider=provider_name,
        )

    registry = Registry()
    registry.add(HandlerSpec(KIND, handle, None, 30, 5, 10.0, 0.0, False))
    options = DrainOptions(shard, linger_seconds=60, budget_seconds=60, shards=100, hand_over=False)
    drain(database, registry, options, limits=LIMITS, stop=threading.Event())


class _StandsStill(Database):
    """A database whose transactions of a send can be held before or after their commit."""

    def __init__(self, url: str, point: str | None, told: Connection, *, frozen: bool) -> None:
        super().__init__(url)
        self._frozen = frozen
        self._point = point
        self._told = told
        self._in_hand = threading.local()
        for name in ("reserve", "begin", "finish"):
            setattr(outbound, name, self._noted(name, getattr(outbound, name)))

    def _noted(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            self._in_hand.name = name
            return function(*args, **kwargs)

        return call

    @contextmanager
    def begin(self) -> Iterator[Tx]:
        """A transaction that stands still where it was told to."""
        self._in_hand.name = None
        with super().begin() as tx:
            yield tx
            name = self._in_hand.name
            self._reached(f"before {name}")
        self._reached(f"after {name}")

    def _reached(self, point: str) -> None:
        if point == self._point:
            self._point = None
            self._told.send(point)
            if self._frozen:
                os.kill(os.getpid(), signal.SIGSTOP)
            else:
                threading.Event().wait()
