"""Read mail that anybody may have written: text as faithful as it can be, or a reason why there is none.

The standard library's parser accepts every sequence of bytes; what it returns may still be absurd. Here headers
are decoded, odd charsets fall back instead of failing, and characters that PostgreSQL cannot store become U+FFFD.
"""

import email.errors
import email.header
import email.message
import email.policy
import email.utils
import re
from dataclasses import dataclass
from datetime import UTC, datetime

from queue_pipeline.integrations.html_text import text_of_html

#: Text beyond this is refused rather than cut: half a message may say the opposite of the whole.
TEXT_MAX = 200_000
MESSAGE_MAX = 32 * 1024 * 1024
SUBJECT_MAX = 998
_PARTS_MAX = 1000
_NO_PROSE = frozenset({"text/calendar", "text/css", "text/rfc822-headers", "text/vcard", "text/x-vcard"})
_ADDRESS = re.compile(r"[^\s<>,;:\"@\x00-\x1f\x7f]+@[^\s<>,;:\"@\x00-\x1f\x7f]+")
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_SPACES = re.compile(r"[ \t]*\r?\n[ \t]*|\s+")


class Unreadable(Exception):
    """The message cannot be taken over faithfully; the text says why."""


@dataclass(frozen=True)
class Mail:
    """One message. Absent or nonsensical headers are None; `automatic` is set for mailing lists, bounces and robots."""

    message_id: str | None
    from_address: str | None
    from_name: str | None
    subject: str
    body: str
    sent_at: datetime | None
    automatic: bool


def read_mail(raw: bytes) -> Mail:
    """The message in these bytes. Raises Unreadable with the reason, and nothing else."""
    if len(raw) > MESSAGE_MAX:
        raise Unreadable(f"the message has {len(raw)} bytes; at most {MESSAGE_MAX} are read")
    if not raw.strip():
        raise Unreadable("the message is empty")
    try:
        message = email.message_from_bytes(raw, policy=email.policy.compat32)
        mail = _read(message)
    except Unreadable:
        raise
    except Exception as error:  # the parser promises to raise nothing, and has been seen to break that promise
        raise Unreadable(f"the parser gave up ({type(error).__name__}: {str(error)[:200]})") from error
    if mail.from_address is None and not mail.subject and not mail.body.strip() and mail.message_id is None:
        raise Unreadable("there is neither a sender, a subject, a Message-ID nor any text")
    return mail


def _read(message: email.message.Message) -> Mail:
    if not message.keys():
        raise Unreadable("it is not mail: there is no header line")
    name, address = _sender(message)
    body = storable(_text_of(message)).strip()
    if len(body) > TEXT_MAX:
        raise Unreadable(f"the text has {len(body)} characters; at most {TEXT_MAX} are taken")
    return Mail(
        message_id=(_header(message, "Message-ID") or "").strip()[:SUBJECT_MAX] or None,
        from_address=address,
        from_name=name,
        subject=(_header(message, "Subject") or "")[:SUBJECT_MAX],
        body=body,
        sent_at=_date(message),
        automatic=_is_automatic(message),
    )


def _raw(message: email.message.Message, name: str) -> str | None:
    """A header's first value as it was sent; raw 8-bit bytes are read as UTF-8 or else Latin-1."""
    values = (str(value) for key, value in message.raw_items() if key.lower() == name.lower())
    value = next(values, None)
    return None if value is None else _recovered(value)


def _header(message: email.message.Message, name: str) -> str | None:
    """A header's first value, decoded and on one line."""
    value = _raw(message, name)
    return None if value is None else _one_line(value)


def _one_line(value: str) -> str:
    """RFC 2047's encoded words as text; left as they are when their charset is unknown or they are broken."""
    try:
        text = str(email.header.make_header(email.header.decode_header(value)))
    except (ValueError, LookupError, UnicodeError, email.errors.MessageError):
        text = value
    return _SPACES.sub(" ", storable(text)).strip()


def _recovered(text: str) -> str:
    """The text with raw bytes, which the parser carries as surrogates, decoded."""
    try:
        raw = text.encode("ascii", "surrogateescape")
    except UnicodeEncodeError:
        return text
    return _decoded(raw, None)


def _sender(message: email.message.Message) -> tuple[str | None, str | None]:
    """Name and address of the first of From, Reply-To and Sender that has an address."""
    name = None
    for header in ("From", "Reply-To", "Sender"):
        raw = _raw(message, header)
        if raw is None:
            continue
        found_name, address = email.utils.parseaddr(_SPACES.sub(" ", raw))
        name = name or _one_line(found_name)[:300] or None
        if _ADDRESS.fullmatch(address) and len(address) <= 320 and address.isprintable():
            return name, address.lower()
    return name, None


def _date(message: email.message.Message) -> datetime | None:
    raw = _raw(message, "Date")
    if raw is None:
        return None
    try:
        sent = email.utils.parsedate_to_datetime(raw)
        sent = sent if sent.tzinfo else sent.replace(tzinfo=UTC)
        return sent.astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _is_automatic(message: email.message.Message) -> bool:
    submitted = (_header(message, "Auto-Submitted") or "no").lower()
    precedence = (_header(message, "Precedence") or "").lower()
    return (
        not submitted.startswith("no")
        or precedence in {"bulk", "junk", "list", "auto_reply"}
        or "List-Id" in message
        or "List-Unsubscribe" in message
        or message.get_content_type() == "multipart/report"
        or _raw(message, "Return-Path") == "<>"
    )


def _text_of(message: email.message.Message) -> str:
    """The parts of plain text; where there are none, the HTML parts as text. Attachments are left out."""
    plain: list[str] = []
    marked_up: list[str] = []
    for number, part in enumerate(_parts(message)):
        if number >= _PARTS_MAX:
            raise Unreadable(f"the message has more than {_PARTS_MAX} parts")
        if part.get_content_disposition() == "attachment":
            continue
        kind = part.get_content_type()
        if kind == "text/html":
            marked_up.append(text_of_html(_part_text(part)))
        elif part.get_content_maintype() == "text" and kind not in _NO_PROSE:
            plain.append(_part_text(part))
    return "\n\n".join(plain) if any(text.strip() for text in plain) else "\n\n".join(marked_up)


def _parts(message: email.message.Message) -> list[email.message.Message]:
    """All leaf parts. A broken multipart, whose payload is text, is a leaf itself."""
    leaves, waiting = [], [message]
    while waiting:
        part = waiting.pop()
        payload = part.get_payload()
        if part.is_multipart() and isinstance(payload, list):
            waiting.extend(reversed([inner for inner in payload if isinstance(inner, email.message.Message)]))
        else:
            leaves.append(part)
        if len(leaves) + len(waiting) > 10 * _PARTS_MAX:
            raise Unreadable(f"the message has more than {_PARTS_MAX} parts")
    return leaves


def _part_text(part: email.message.Message) -> str:
    payload = part.get_payload(decode=True)
    if not isinstance(payload, bytes):
        return str(part.get_payload() or "")
    try:
        charset = part.get_content_charset()
    except (LookupError, UnicodeError):
        charset = None
    return _decoded(payload, charset)


def _decoded(raw: bytes, charset: str | None) -> str:
    """The bytes in the declared charset if that works, else UTF-8, else Latin-1 (which always does)."""
    for candidate in (charset, "utf-8"):
        if candidate:
            try:
                return raw.decode(candidate)
            except (LookupError, UnicodeError, ValueError):
                continue
    return raw.decode("latin-1")


def storable(text: str) -> str:
    """The text without NUL and lone surrogates, each replaced by U+FFFD."""
    return _UNSTORABLE.sub("\ufffd", text)
