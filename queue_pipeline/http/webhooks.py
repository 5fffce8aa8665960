"""`POST /api/webhooks/{provider}`: what lead providers report becomes a job, evidence of a send, or a said reason."""

from __future__ import annotations

import base64
import binascii
import hmac
import logging
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from queue_pipeline import wiring
from queue_pipeline.domain.errors import InvalidInput
from queue_pipeline.domain.limits import Limits
from queue_pipeline.engine.dagster_run import database_time
from queue_pipeline.engine.evidence import observe
from queue_pipeline.engine.handlers import load_handlers
from queue_pipeline.engine.inbound import Acceptance, Accepted, Delivery, accept
from queue_pipeline.http.bounds import Threads, bounded_body
from queue_pipeline.http.caller import require_local
from queue_pipeline.http.json_body import json_object
from queue_pipeline.http.metrics import Metrics
from queue_pipeline.integrations.webhook_mapping import Ignored
from queue_pipeline.integrations.webhook_providers import PROVIDERS, WebhookProvider
from queue_pipeline.integrations.webhook_signature import (
    EXPECTED,
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
    NotSigned,
    require_recent,
    signed_at,
)
from queue_pipeline.settings import Settings, environment_name
from queue_pipeline.store import migrate
from queue_pipeline.store.session import Database

log = logging.getLogger(__name__)

PATH = "/api/webhooks/{provider}"
#: As many as the database's pool serves beside the other endpoints; a burst waits for its turn.
_THREADS = 4


@dataclass(frozen=True)
class _Answer:
    status: int
    outcome: str
    content: dict[str, Any]


@dataclass(frozen=True)
class _Request:
    """One delivery as it was sent; `timestamps` and `signatures` are empty unless the provider signs."""

    provider: WebhookProvider
    workspace: str | None
    body: bytes
    timestamps: list[str]
    signatures: list[str]


class Webhooks:
    """The endpoint. Nothing of a body, an address or a secret is ever logged."""

    def __init__(self, settings: Settings, limits: Limits, database: Database, metrics: Metrics) -> None:
        load_handlers(wiring.SHIPPED_HANDLERS)  # a lead's payload is checked against its handler's model
        self._secrets: dict[str, SecretStr | None] = {
            name: getattr(settings, provider.setting) for name, provider in PROVIDERS.items()
        }
        self._depth_max = limits.payload_max_depth
        self._database = database
        self._metrics = metrics
        self._threads = Threads(_THREADS)
        self._schema_checked = False

    async def answer(self, request: Request) -> Response:
        """Check who calls, read the body, and say what became of it."""
        provider = _provider(request.path_params["provider"])
        try:
            answer = await self._answered(provider, request)
        except HTTPException as error:
            self._metrics.count_webhook(provider.name, "unauthorized" if error.status_code in (401, 403) else "refused")
            if error.status_code in (400, 413, 415, 422):
                # The sender reads why; here it must show that something of theirs did not become a lead.
                log.warning("A webhook of %s was refused with status %s.", provider.name, error.status_code)
            raise
        self._metrics.count_webhook(provider.name, answer.outcome)
        return JSONResponse(answer.content, answer.status)

    async def _answered(self, provider: WebhookProvider, request: Request) -> _Answer:
        self._check_caller(provider, request)
        if request.headers.get("content-encoding", "identity") != "identity":
            raise HTTPException(415, "The body is compressed. Send it as it is, without Content-Encoding.")
        delivered = _Request(
            provider=provider,
            workspace=request.query_params.get("workspace"),
            body=await bounded_body(request, provider.body_bytes_max),
            timestamps=request.headers.getlist(TIMESTAMP_HEADER),
            signatures=request.headers.getlist(SIGNATURE_HEADER),
        )
        return await self._threads.run(lambda: self._taken(delivered))

    def _check_caller(self, provider: WebhookProvider, request: Request) -> None:
        """What can be checked before the body is read. Raises HTTPException 401 or 403."""
        secret = self._secrets[provider.name]
        if secret is None:
            require_local(request, environment_name(provider.setting))
        elif provider.signed:
            if SIGNATURE_HEADER not in request.headers or TIMESTAMP_HEADER not in request.headers:
                raise _unauthorized(f"The signature is missing. {EXPECTED}")
        else:
            _require_secret(provider, request, secret.get_secret_value().encode())

    def _taken(self, delivered: _Request) -> _Answer:
        self._check_schema()
        self._check_signature(delivered)
        body = json_object(delivered.body, depth_max=self._depth_max)
        try:
            event = delivered.provider.read(body, delivered.workspace)
            if isinstance(event, Ignored):
                return _Answer(200, "ignored", {"ignored": event.why})
            if isinstance(event, Delivery):
                return _told(accept(self._database, [event])[0])
            return _Answer(200, "observed", {"observed": observe(self._database, event, via="webhook")})
        except InvalidInput as error:
            raise HTTPException(422, str(error)) from None

    def _check_schema(self) -> None:
        if not self._schema_checked:
            migrate.check(self._database)
            self._schema_checked = True

    def _check_signature(self, delivered: _Request) -> None:
        secret = self._secrets[delivered.provider.name]
        if not delivered.provider.signed or secret is None:
            return
        try:
            signed = signed_at(delivered.timestamps, delivered.signatures, delivered.body, secret.get_secret_value())
            require_recent(signed, database_time(self._database))
        except NotSigned as error:
            raise _unauthorized(str(error)) from None


def without_secret(settings: Settings) -> str:
    """A sentence that names the providers whose webhooks only this machine may deliver; empty when there is none."""
    names = [name for name, provider in PROVIDERS.items() if getattr(settings, provider.setting) is None]
    if not names:
        return ""
    return (
        f"Webhooks of {', '.join(names)} have no secret, so only programs on this machine may deliver them; set "
        f"{environment_name(PROVIDERS[names[0]].setting)} and so on for those that you use."
    )


def _provider(name: str) -> WebhookProvider:
    found = PROVIDERS.get(name)
    if found is None:
        raise HTTPException(404, f"There is no provider {name[:80]!r}. Use one of {', '.join(sorted(PROVIDERS))}.")
    return found


def _require_secret(provider: WebhookProvider, request: Request, secret: bytes) -> None:
    given = [value for header in provider.secret_headers for value in request.headers.getlist(header)]
    given += [_credentials(value) for value in request.headers.getlist("authorization")]
    # Every value is compared, in constant time, so that an answer tells nothing about the secret.
    matches = [hmac.compare_digest(value.encode("utf-8", "replace"), secret) for value in given]
    if not any(matches):
        problem = "The secret is wrong." if given else "The secret is missing."
        raise _unauthorized(
            f"{problem} Send it in the header {' or '.join(provider.secret_headers)}, as `Authorization: Bearer "
            "<secret>` or as the password of Basic credentials; here it is the value of "
            f"{environment_name(provider.setting)}."
        )


def _credentials(header: str) -> str:
    """The secret in an Authorization header: a bearer token, or a Basic password under any user name."""
    scheme, _, value = header.partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if scheme.lower() != "basic":
        return ""
    try:
        return base64.b64decode(value.strip(), validate=True).decode().partition(":")[2]
    except (binascii.Error, UnicodeDecodeError):
        return ""


def _unauthorized(text: str) -> HTTPException:
    return HTTPException(401, text, {"WWW-Authenticate": "Webhook-Secret"})


def _told(accepted: Accepted) -> _Answer:
    known = {"job_id": accepted.job_id, "inbound_event_id": accepted.inbound_event_id}
    if accepted.acceptance is Acceptance.REFUSED:
        raise HTTPException(422, accepted.reason)
    if accepted.acceptance is Acceptance.CONFLICTING:
        return _Answer(200, "conflicting", {"conflicting": True, **known, "why": accepted.reason})
    if accepted.acceptance is Acceptance.DUPLICATE:
        return _Answer(200, "duplicate", {"duplicate": True, **known})
    return _Answer(202, "accepted", {"accepted": True, **known})
