"""The ingress: webhooks, cron, health and metrics over HTTP. Every refusal is JSON that names the remedy."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio.to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from queue_pipeline.domain.errors import Misconfigured, Transient
from queue_pipeline.domain.lane import shard_names
from queue_pipeline.domain.limits import Limits
from queue_pipeline.engine import capacity, health
from queue_pipeline.http import background, cron, webhooks
from queue_pipeline.http.health import Healthz, Readyz
from queue_pipeline.http.inline_drain import InlineDrains
from queue_pipeline.http.metrics import Metrics
from queue_pipeline.http.reading import HealthReader
from queue_pipeline.settings import Settings
from queue_pipeline.store import migrate
from queue_pipeline.store.session import Database
from queue_pipeline.wiring import capacity_policy, teller

log = logging.getLogger(__name__)

_REMEDIES = {
    404: f"There is nothing here. Try {webhooks.PATH}, {cron.PATH}, /healthz, /readyz or /metrics.",
    405: "The method is not allowed here. See the Allow header.",
}


def create_app(
    settings: Settings, database: Database, drains: InlineDrains | None = None, limits: Limits | None = None
) -> Starlette:
    """The application on this database. It connects when asked, so it starts while the database is away."""
    limits = limits or Limits()
    shards = shard_names(settings.shards)
    drains = drains or InlineDrains()
    reader = HealthReader(lambda: health.measure(database, limits=limits, shards=shards))
    telling = teller(settings, database)
    loops = [background.alerts(telling), background.sends(database, limits)]
    policy = capacity_policy(settings)
    metrics = Metrics(reader, lambda: drains.running, lambda: capacity.status(database, policy, limits=limits))

    calls = cron.Cron(settings, limits, database, drains, metrics=metrics, telling=telling)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        for loop in loops:
            loop.start()
        yield
        for loop in loops:
            await anyio.to_thread.run_sync(loop.close)
        await anyio.to_thread.run_sync(drains.close)
        database.dispose()

    return Starlette(
        routes=[
            Route(cron.PATH, calls.answer, methods=list(cron.METHODS)),
            Route(webhooks.PATH, webhooks.Webhooks(settings, limits, database, metrics).answer, methods=["POST"]),
            Route("/healthz", Healthz(reader, limits).answer),
            Route("/readyz", Readyz(lambda: migrate.check(database)).answer),
            Route("/metrics", metrics.answer),
        ],
        exception_handlers={
            HTTPException: _refused,
            Transient: _away,
            Misconfigured: _misconfigured,
            Exception: _our_mistake,
        },
        lifespan=lifespan,
    )


def _answer(status: int, error: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"error": error}, status, headers)


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    plain = error.detail in ("Not Found", "Method Not Allowed")
    text = _REMEDIES.get(error.status_code, error.detail) if plain else error.detail
    return _answer(error.status_code, text, dict(error.headers or {}))


async def _away(_: Request, error: Exception) -> Response:
    return _answer(503, f"{error} Nothing is lost; call again.", {"Retry-After": "5"})


async def _misconfigured(_: Request, error: Exception) -> Response:
    return _answer(503, str(error), {"Retry-After": "60"})


async def _our_mistake(_: Request, __: Exception) -> Response:
    # Starlette raises it again after this answer, and the server logs it with its traceback.
    return _answer(500, "An unexpected error; the ingress's log has its traceback.")
