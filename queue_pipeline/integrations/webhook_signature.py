"""Who signed this body, and when: HMAC-SHA256 over `<timestamp>.<body>`, compared in constant time."""

import hashlib
import hmac
import re
from collections.abc import Sequence
from datetime import datetime

TIMESTAMP_HEADER = "X-Queue-Pipeline-Timestamp"
SIGNATURE_HEADER = "X-Queue-Pipeline-Signature"
VERSION = "v1"
#: How far a signature's time may be from the database's clock, either way, in seconds.
WINDOW_SECONDS = 300
_TIMESTAMP = re.compile(r"[0-9]{1,12}")
_SIGNATURES_MAX = 10
EXPECTED = (
    f"Send {TIMESTAMP_HEADER}: <Unix seconds> and {SIGNATURE_HEADER}: {VERSION}=<hexadecimal HMAC-SHA256 of "
    "`<timestamp>.<body>`>, made with the secret and over the body's very bytes."
)


class NotSigned(Exception):
    """The signature is missing, wrong or too old; the text says what is expected."""


def signed_at(timestamps: Sequence[str], signatures: Sequence[str], body: bytes, secret: str) -> int:
    """When the body was signed, in Unix seconds. Raises NotSigned.

    Several signatures may be given, parted by commas or in several headers, so that a sender can change its secret:
    one that is right suffices.
    """
    given = [part.strip() for header in signatures for part in header.split(",") if part.strip()]
    if not timestamps or not given:
        raise NotSigned(f"The signature is missing. {EXPECTED}")
    if len(timestamps) != 1 or not _TIMESTAMP.fullmatch(timestamps[0]):
        raise NotSigned(f"The timestamp is not one number of Unix seconds. {EXPECTED}")
    if len(given) > _SIGNATURES_MAX:
        raise NotSigned(f"More than {_SIGNATURES_MAX} signatures. {EXPECTED}")
    right = signature(timestamps[0], body, secret).encode()
    matches = [hmac.compare_digest(each.encode("utf-8", "replace"), right) for each in given]
    if not any(matches):
        raise NotSigned(f"No signature is right for this body and timestamp. {EXPECTED}")
    return int(timestamps[0])


def signature(timestamp: str, body: bytes, secret: str) -> str:
    """One signature as it stands in the header."""
    digest = hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    return f"{VERSION}={digest}"


def require_recent(signed: int, now: datetime) -> None:
    """Raise NotSigned when a signature's time is too far from `now`: it may be a copy of an earlier delivery."""
    age = now.timestamp() - signed
    if abs(age) > WINDOW_SECONDS:
        away = f"{age:.0f} s old" if age > 0 else f"{-age:.0f} s in the future"
        raise NotSigned(
            f"The timestamp is {away}; at most {WINDOW_SECONDS} s either way are accepted. Sign each delivery anew, "
            "and set the sender's clock."
        )
