"""Serve the ingress with uvicorn until a signal: bounded connections, quiet logs, nothing trusted of a proxy."""

from __future__ import annotations

import socket

import uvicorn

from queue_pipeline import wiring
from queue_pipeline.domain.errors import Misconfigured
from queue_pipeline.http.app import create_app
from queue_pipeline.http.bounds import STATEMENT_SECONDS
from queue_pipeline.http.caller import require_a_secret_beyond_loopback
from queue_pipeline.settings import Settings
from queue_pipeline.store.session import Database


def bind(settings: Settings) -> socket.socket:
    """The listening socket. Raises Misconfigured when nobody may listen there, or not without a secret."""
    host, port = settings.http_host, settings.http_port
    require_a_secret_beyond_loopback(host, settings.cron_secret)
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server(address[:2], family=family, backlog=128)
    except OSError as error:
        raise Misconfigured(
            f"The ingress cannot listen on {host}:{port} ({error.strerror}). Stop what listens there, or set "
            "QUEUE_PIPELINE_HTTP_PORT or QUEUE_PIPELINE_HTTP_HOST."
        ) from error


def serve(settings: Settings, listening: socket.socket) -> None:
    """Answer requests on this socket until SIGTERM or SIGINT; requests in progress get ten seconds to end."""
    wiring.bind_sending(settings)
    database = Database(
        wiring.database_url(settings),
        pool_size=8,  # requests, alerts, and the four workers of a reconciliation
        statement_timeout_seconds=STATEMENT_SECONDS,
        application="queue_pipeline ingress",
    )
    config = uvicorn.Config(
        create_app(settings, database),
        log_level="warning",
        access_log=False,
        proxy_headers=False,  # else anyone could claim to be a loopback peer
        server_header=False,
        http="h11",
        ws="none",
        lifespan="on",
        limit_concurrency=200,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=10,
        h11_max_incomplete_event_size=16_384,
    )
    uvicorn.Server(config).run(sockets=[listening])
