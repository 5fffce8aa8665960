"""A mail server as a provider. Its Message-ID derives from the idempotency key; it can neither be asked nor told."""

from __future__ import annotations

import smtplib
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formataddr, formatdate, parseaddr
from urllib.parse import unquote, urlsplit

from queue_pipeline.domain.outbound import Capabilities, SendOutcome
from queue_pipeline.engine.send_provider import LookupReply, Parcel, ProviderReply

NAME = "smtp"
_CONNECT_SECONDS = 5.0
_CUT_AGAIN_SECONDS = 0.1
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
#: Seven bits and CRLF, so that no server on the way has a reason to change the text.
_MAIL = SMTP.clone(cte_type="7bit")


class SmtpProvider:
    """One account of one mail server, `smtp://user:password@host:port` (STARTTLS when offered) or `smtps://…`."""

    #: Mail has no idempotency key that servers honour, and no lookup: doubt is a person's to end.
    capabilities = Capabilities()

    def __init__(self, url: str, *, sender: str, name: str = NAME) -> None:
        self.name = name
        parts = urlsplit(url)
        self._implicit_tls = parts.scheme == "smtps"
        self._host = parts.hostname or ""
        self._port = parts.port or (465 if self._implicit_tls else 587)
        self._login = (unquote(parts.username), unquote(parts.password or "")) if parts.username else None
        self._sender = sender
        self.account = parseaddr(sender)[1] or sender

    def send(self, parcel: Parcel, *, seconds: float) -> ProviderReply:
        """Hand the mail over once. Doubt begins when the text has begun to leave, and ends with the server's answer."""
        if not parcel.recipient.isascii():
            return ProviderReply(SendOutcome.REJECTED, error_class="address", error="mail addresses are ASCII")
        try:
            message = self._message(parcel)
        except ValueError as error:
            return ProviderReply(SendOutcome.REJECTED, error_class=type(error).__name__, error="it is no valid mail")
        handing = _Handing(time.monotonic() + seconds)
        try:
            with self._connected(handing.until) as server:
                code, answer = handing.over(server, message, self.account, parcel.recipient)
        except _Refused as refused:
            return _understood(refused.code, refused.answer)
        except (smtplib.SMTPException, OSError, ValueError) as error:
            return _failed(error, handing)
        if handing.answered and 200 <= code < 300:
            return ProviderReply(SendOutcome.ACCEPTED, provider_message_id=message["Message-ID"], http_status=None)
        return _understood(code, answer)

    def lookup(self, idempotency_key: str, *, seconds: float) -> LookupReply:
        """Mail servers cannot be asked."""
        return LookupReply(None, error="a mail server cannot be asked")

    def _message(self, parcel: Parcel) -> EmailMessage:
        message = EmailMessage(policy=_MAIL)
        message["From"] = formataddr(parseaddr(self._sender))
        message["To"] = parcel.recipient
        message["Subject"] = " ".join(parcel.subject.split())
        message["Date"] = formatdate()
        domain = self.account.rpartition("@")[2] or "localhost"
        message["Message-ID"] = f"<{parcel.idempotency_key}@{domain}>"
        if parcel.in_reply_to:
            reference = parcel.in_reply_to.strip().strip("<>")
            message["In-Reply-To"] = message["References"] = f"<{reference}>"
        message.set_content(parcel.body)
        return message

    @contextmanager
    def _connected(self, until: float) -> Iterator[smtplib.SMTP]:
        """A connection that is cut at the instant `until` of the monotonic clock, however slowly the server talks."""
        context = ssl.create_default_context()
        connect = max(0.1, min(_CONNECT_SECONDS, until - time.monotonic()))
        server = self._unconnected(connect, context)
        over = threading.Event()
        cut = threading.Timer(max(0.0, until - time.monotonic()), _cut, [server, over])
        cut.daemon = True
        cut.start()
        try:
            code, _ = server.connect(self._host, self._port)
            if code != 220:
                raise smtplib.SMTPConnectError(code, "no greeting")
            assert server.sock is not None
            server.sock.settimeout(max(0.1, until - time.monotonic()))
            server.ehlo_or_helo_if_needed()
            if not self._implicit_tls and server.has_extn("starttls"):
                server.starttls(context=context)
                server.ehlo()
            if self._login is not None:
                self._authenticate(server, *self._login)
            yield server
        finally:
            over.set()
            cut.cancel()
            with suppress(smtplib.SMTPException, OSError):
                server.close()

    def _unconnected(self, timeout: float, context: ssl.SSLContext) -> smtplib.SMTP:
        name = socket.gethostname() or "localhost"  # not the full name: to find that, smtplib would ask name servers
        server = (
            smtplib.SMTP_SSL(timeout=timeout, context=context, local_hostname=name)
            if self._implicit_tls
            else smtplib.SMTP(timeout=timeout, local_hostname=name)
        )
        # What a constructor that connects would note: the name to check the certificate against.
        server._host = self._host  # type: ignore[attr-defined]
        return server

    def _authenticate(self, server: smtplib.SMTP, user: str, password: str) -> None:
        if not isinstance(server.sock, ssl.SSLSocket) and self._host not in _LOOPBACK:
            raise smtplib.SMTPNotSupportedError("the server offers no TLS, and a password is not sent in clear")
        server.login(user, password)


class _Refused(Exception):
    """The server refused the sender, the recipient or the text."""

    def __init__(self, code: int, answer: bytes) -> None:
        self.code, self.answer = code, answer
        super().__init__(code)


class _Handing:
    """One hand-over, and how far it came. It must not begin after `until`, an instant of the monotonic clock."""

    def __init__(self, until: float) -> None:
        self.until = until
        self.began = False
        self.answered = False

    def over(self, server: smtplib.SMTP, message: EmailMessage, sender: str, recipient: str) -> tuple[int, bytes]:
        for code, answer in (server.mail(sender), server.rcpt(recipient)):
            if code >= 400:
                raise _Refused(code, answer)
        code, answer = server.docmd("DATA")
        if code != 354:
            raise _Refused(code, answer)
        if time.monotonic() >= self.until:  # this process stood still; by now somebody may have drawn conclusions
            raise TimeoutError
        self.began = True
        code, answer = self._text(server, message)
        self.answered = True
        return code, answer

    @staticmethod
    def _text(server: smtplib.SMTP, message: EmailMessage) -> tuple[int, bytes]:
        lines = message.as_bytes()
        stuffed = lines.replace(b"\r\n.", b"\r\n..")
        if stuffed.startswith(b"."):
            stuffed = b"." + stuffed
        server.send(stuffed + (b"" if stuffed.endswith(b"\r\n") else b"\r\n") + b".\r\n")
        return server.getreply()


def _cut(server: smtplib.SMTP, over: threading.Event) -> None:
    """Cut until it is over: while a name is looked up or TLS is agreed on, there is no socket to cut yet."""
    while not over.wait(_CUT_AGAIN_SECONDS):
        with suppress(OSError):
            if server.sock is not None:
                server.sock.shutdown(socket.SHUT_RDWR)


def _understood(code: int, answer: bytes) -> ProviderReply:
    """4xx: not now. 5xx: never. What the server says is its own words about the mail, so only its code is kept."""
    del answer
    outcome = SendOutcome.REJECTED if 500 <= code < 600 else SendOutcome.NOT_SENT if 400 <= code < 500 else None
    return ProviderReply(outcome or SendOutcome.AMBIGUOUS, error_class=f"SMTP {code}", error="the server refuses it")


def _failed(error: Exception, handing: _Handing) -> ProviderReply:
    if handing.began:
        return ProviderReply(SendOutcome.AMBIGUOUS, error_class=type(error).__name__, error="no answer to the text")
    patience = 300.0 if isinstance(error, smtplib.SMTPAuthenticationError) else None
    return ProviderReply(
        SendOutcome.NOT_SENT,
        error_class=type(error).__name__,
        error="no text was handed over",
        retry_after_seconds=patience,
    )
