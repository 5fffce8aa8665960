"""Who may call: the holder of the secret, or with no secret configured a program on this very machine."""

from __future__ import annotations

import hmac
import ipaddress
import socket
from urllib.parse import urlsplit

from pydantic import SecretStr
from starlette.exceptions import HTTPException
from starlette.requests import Request

from queue_pipeline.domain.errors import Misconfigured

#: A proxy on this machine makes every stranger look local; one of these headers gives it away.
FORWARDING_HEADERS = ("forwarded", "x-forwarded-for", "x-real-ip", "via")


def is_loopback(host: str) -> bool:
    """Whether every address that this name or number stands for is this machine's own."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        pass
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return False
    return bool(found) and all(ipaddress.ip_address(str(address[4][0])).is_loopback for address in found)


def require_a_secret_beyond_loopback(host: str, secret: SecretStr | None) -> None:
    """Raise Misconfigured when strangers could reach an ingress that has no secret."""
    if secret is None and not is_loopback(host):
        raise Misconfigured(
            f"QUEUE_PIPELINE_HTTP_HOST={host} is reachable from other machines and CRON_SECRET is not set, so anybody "
            "could start work. Set CRON_SECRET, or listen on 127.0.0.1."
        )


class CallerCheck:
    """Lets a request pass, or raises HTTPException 401 or 403 that names the remedy."""

    def __init__(self, secret: SecretStr | None) -> None:
        self._secret = None if secret is None else secret.get_secret_value().encode()

    def __call__(self, request: Request) -> None:
        """Check one request."""
        if self._secret is None:
            require_local(request, "CRON_SECRET")
            return
        given = _given_secrets(request)
        if not given:
            raise HTTPException(
                401,
                "Send the header `Authorization: Bearer <CRON_SECRET>` or `x-cron-secret: <CRON_SECRET>`.",
                {"WWW-Authenticate": "Bearer"},
            )
        # Every value is compared, in constant time, so that an answer tells nothing about the secret.
        matches = [hmac.compare_digest(value, self._secret) for value in given]
        if not any(matches):
            raise HTTPException(
                403, "The secret is wrong. Use the value of CRON_SECRET that the ingress was started with."
            )


def _given_secrets(request: Request) -> list[bytes]:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    bearer = token.strip() if scheme.lower() == "bearer" else ""
    return [value.encode() for value in (bearer, request.headers.get("x-cron-secret", "")) if value]


def require_local(request: Request, setting: str) -> None:
    """No secret: the peer is this machine, no proxy stands between, and no foreign web page makes the request.

    Raises HTTPException 403 that names the `setting` to configure.
    """
    remedy = f"No {setting} is configured, so only programs on this machine may call. Set {setting}."
    peer = request.client.host if request.client else ""
    if not is_loopback(peer) or any(name in request.headers for name in FORWARDING_HEADERS):
        raise HTTPException(403, remedy)
    origin = urlsplit(request.headers.get("origin", "")).hostname
    # A browser that was led here by a name of its own (DNS rebinding) shows that name as Host.
    host = urlsplit(f"//{request.headers.get('host', '')}").hostname
    if request.headers.get("sec-fetch-site", "none") not in ("none", "same-origin") or not _names_this_machine(host):
        raise HTTPException(403, f"A web page may not make this call. {remedy}")
    if "origin" in request.headers and not _names_this_machine(origin):
        raise HTTPException(403, f"A web page may not make this call. {remedy}")


def _names_this_machine(host: str | None) -> bool:
    if host is None:
        return False
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
