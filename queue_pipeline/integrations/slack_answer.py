"""What an error of Slack's client means for the message: it did not arrive, it was declined, or nobody knows."""

from __future__ import annotations

import errno
import re
import socket
import ssl
from collections.abc import Mapping
from typing import Any
from urllib.error import URLError

from slack_sdk.errors import SlackApiError, SlackClientError

from queue_pipeline.domain.posting import Ambiguous, NotPosted, NotSent, Refused

#: Slack's own words for "I may or may not have done it".
_AMBIGUOUS_CODES = frozenset(
    {"fatal_error", "internal_error", "service_unavailable", "request_timeout", "team_added_to_org", "server_error"}
)
_LIMITED_CODES = frozenset({"ratelimited", "rate_limited", "message_limit_exceeded"})
_CODE = re.compile(r"[a-z][a-z0-9_]{2,60}")
_UNREACHABLE = frozenset({errno.ECONNREFUSED, errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL})

_REMEDIES: Mapping[str, str] = {
    "invalid_auth": "Set SLACK_BOT_TOKEN to a valid bot token.",
    "not_authed": "Set SLACK_BOT_TOKEN.",
    "account_inactive": "The bot was removed; install it again and set SLACK_BOT_TOKEN.",
    "token_revoked": "Install the app again and set SLACK_BOT_TOKEN.",
    "token_expired": "Renew SLACK_BOT_TOKEN.",
    "channel_not_found": "Set SLACK_CHANNEL to the channel's id and invite the bot.",
    "not_in_channel": "Invite the bot into the channel.",
    "is_archived": "The channel is archived; set SLACK_CHANNEL to another.",
    "missing_scope": "Grant the app chat:write and channels:history.",
}


def failure_of(method: str, error: Exception) -> NotPosted:
    """The error as one that says whether the message may be posted again. Its text holds no token and no message."""
    if isinstance(error, SlackApiError):
        return _of_answer(method, error.response)
    if isinstance(error, SlackClientError):
        return Refused(f"{method} cannot be called: {type(error).__name__}. Check SLACK_API_URL.")
    reason = error.reason if isinstance(error, URLError) else None
    if isinstance(reason, (socket.gaierror, ssl.SSLError)):
        return NotSent(f"Slack is not reachable: {type(reason).__name__}.")
    if isinstance(reason, OSError) and reason.errno in _UNREACHABLE:
        return NotSent(f"Slack is not reachable: {errno.errorcode[reason.errno or 0]}.")
    return Ambiguous(f"The answer to {method} was lost: {type(reason or error).__name__}.")


def rate_limit_of(headers: Mapping[str, Any]) -> float | None:
    """The seconds of a Retry-After header, whatever its case; None when it is missing or no number."""
    for name, value in headers.items():
        if name.lower() == "retry-after":
            text = value[0] if isinstance(value, list) and value else value
            return float(text) if isinstance(text, str) and text.strip().isdigit() else None
    return None


def _of_answer(method: str, response: Any) -> NotPosted:
    status = int(getattr(response, "status_code", 0) or 0)
    data = getattr(response, "data", None)
    code = data.get("error") if isinstance(data, dict) else None
    known = code if isinstance(code, str) and _CODE.fullmatch(code) else None
    if status == 429 or known in _LIMITED_CODES:
        return NotSent("Slack asks to come back later.", retry_after=rate_limit_of(response.headers or {}) or 1.0)
    if status >= 500 or known in _AMBIGUOUS_CODES:
        return Ambiguous(f"Slack answered {method} with {known or status}.")
    if known is not None:
        return Refused(f"Slack refused {method}: {known}. {_REMEDIES.get(known, '')}".strip())
    if 400 <= status < 500:
        return Refused(f"Slack's address answered {method} with HTTP {status}. Check SLACK_API_URL.")
    return Ambiguous(f"Slack's answer to {method} is not readable.")
