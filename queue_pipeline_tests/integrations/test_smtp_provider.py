"""The mail adapter over real sockets: what arrives, what it makes of answers, and to whom it shows a password."""

from __future__ import annotations

import smtplib
import socket
import threading
import time
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import AuthResult

from queue_pipeline.domain.outbound import LookupBy, SendOutcome
from queue_pipeline.engine.send_provider import Parcel, ProviderReply
from queue_pipeline.integrations import smtp_provider
from queue_pipeline.integrations.smtp_provider import SmtpProvider
from queue_pipeline_tests.integrations.sockets import drips, listening, refused_port, says, self_signed, silent
from queue_pipeline_tests.sends.mail_server import serving_mail

PASSWORD = "planted/mail:password"
SENDER = "Team Würth <team@sender.example>"
KEY = "k" * 64
A, R, N, M = SendOutcome.ACCEPTED, SendOutcome.REJECTED, SendOutcome.NOT_SENT, SendOutcome.AMBIGUOUS


def parcel(**fields: Any) -> Parcel:
    base = {"subject": "Hello", "body": "How are you?", "recipient": "ada@customer.example"}
    return Parcel(KEY, "acme", "email", **{**base, **fields})


def sent(url: str, seconds: float = 5.0, **fields: Any) -> ProviderReply:
    given = parcel(**fields)
    reply = SmtpProvider(url, sender=SENDER).send(given, seconds=seconds)
    told = f"{reply.error} {reply.error_class}"
    assert not any(secret in told for secret in (PASSWORD, given.recipient, given.body, given.subject or PASSWORD))
    return reply


def arrived(**fields: Any) -> EmailMessage:
    """The mail as the server got it."""
    with serving_mail([]) as (books, url):
        assert sent(url, **fields) == ProviderReply(A, provider_message_id=f"<{KEY}@sender.example>")
    (entry,) = books.delivered
    mail = entry["mail"]
    assert isinstance(mail, EmailMessage)
    return mail


def text_of(mail: EmailMessage) -> str:
    return str(mail.get_content()).replace("\r\n", "\n")


def test_a_mail_carries_who_to_whom_what_and_the_key() -> None:
    mail = arrived(in_reply_to="<1@x.example>")
    assert (mail["To"], mail["Subject"], text_of(mail)) == ("ada@customer.example", "Hello", "How are you?\n")
    assert mail["From"] == SENDER
    assert mail["Message-ID"] == f"<{KEY}@sender.example>"
    assert mail["In-Reply-To"] == mail["References"] == "<1@x.example>"
    assert mail["Date"]


BODIES = {
    "letters of all kinds": "Grüße, 你好, 🚚",
    "lines that begin with a dot": ".\n..\n.end\nmiddle\n.\n",
    "a dot first and last": ".first\nlast\n.",
    "long lines": "x" * 5000 + "\n" + "ß" * 2000,
    "what looks like a header": "Bcc: all@customer.example\n\nFrom the start",
    "what looks like the end of a mail": "a\n.\nQUIT\nMAIL FROM:<x@y.example>",
    "lines that begin with From": "From here on\n>From there",
    "blanks at the ends of lines": "a  \n\tb\t\n",
}


@pytest.mark.parametrize("what", list(BODIES))
def test_every_text_arrives_as_it_was_written(what: str) -> None:
    mail = arrived(body=BODIES[what])
    assert text_of(mail).rstrip("\n") == BODIES[what].rstrip("\n")
    assert mail["Bcc"] is None


@pytest.mark.parametrize("subject", ["Angebot für Grüße 🚚", "x" * 300, "", "two\nlines"])
def test_every_subject_arrives_on_one_line(subject: str) -> None:
    assert arrived(subject=subject)["Subject"] == " ".join(subject.split())


@pytest.mark.parametrize(
    "fields",
    [
        {"recipient": "ada@customer.example\r\nBcc: all@customer.example"},
        {"recipient": "jürgen@customer.example"},
        {"in_reply_to": "1@x.example>\r\nBcc: all@customer.example"},
        {"body": "a lone surrogate \ud800"},
    ],
)
def test_what_is_no_valid_mail_is_rejected_before_anybody_is_called(fields: dict[str, Any]) -> None:
    assert sent(f"smtp://127.0.0.1:{refused_port()}", **fields).outcome is R


@pytest.mark.parametrize(
    ("answer", "outcome", "delivered"),
    [
        ("ok", A, 1), ("450", N, 0), ("451", N, 0), ("550", R, 0), ("554", R, 0), ("drop before accept", N, 0),
        ("drop after accept", M, 1), ("hang", M, 1),
    ],
)  # fmt: skip
def test_a_servers_answer_means_what_it_says(answer: str, outcome: SendOutcome, delivered: int) -> None:
    with serving_mail([answer]) as (books, url):
        assert sent(url, seconds=2.0).outcome is outcome
        assert books.requests == 1, "nothing is tried again"
    assert len(books.delivered) == delivered


NOBODY = {
    "says nothing": silent,
    "hangs up": says(b"", request=False),
    "greets badly": says(b"554 no service\r\n", request=False),
    "speaks HTTP": says(b"HTTP/1.1 400 Bad Request\r\n\r\n", request=False),
    "greets for ever": drips(b"220-", request=False),
    "greets with one endless line": says(b"220 " + b"x" * 100_000, request=False),
}


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
@pytest.mark.parametrize("what", list(NOBODY))
def test_before_the_text_has_begun_to_leave_nothing_was_sent_and_it_ends_in_time(what: str, scheme: str) -> None:
    with listening(NOBODY[what]) as port:
        began = time.monotonic()
        assert sent(f"{scheme}://127.0.0.1:{port}", seconds=1.0).outcome is N
        assert time.monotonic() - began < 10, "the bound holds however slowly the server talks"


def test_a_server_that_drips_is_cut_off_even_when_the_connection_came_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name server may take longer than the whole send: then there is a connection only after the time is over."""
    real = smtplib.SMTP._get_socket  # type: ignore[attr-defined]

    def slowly(*arguments: Any) -> Any:
        threading.Event().wait(0.6)
        return real(*arguments)

    monkeypatch.setattr(smtplib.SMTP, "_get_socket", slowly)
    with listening(drips(b"220-", request=False)) as port:
        began = time.monotonic()
        assert sent(f"smtp://127.0.0.1:{port}", seconds=0.2).outcome is N
        assert time.monotonic() - began < 10


@pytest.mark.parametrize("url", ["smtp://127.0.0.1:{port}", "smtps://127.0.0.1:{port}", "smtp://nowhere.invalid:25"])
def test_a_server_that_is_not_there_was_sent_nothing(url: str) -> None:
    assert sent(url.format(port=refused_port()), seconds=3.0).outcome is N


def test_a_sender_that_stood_still_hands_over_no_text(monkeypatch: pytest.MonkeyPatch) -> None:
    class Clock:
        late = False

        @classmethod
        def monotonic(cls) -> float:
            return time.monotonic() + (1e6 if cls.late else 0.0)

    real = smtplib.SMTP.docmd

    def stands_still(self: Any, cmd: str, args: str = "") -> Any:
        answer = real(self, cmd, args)
        Clock.late = cmd == "DATA"
        return answer

    monkeypatch.setattr(smtp_provider, "time", Clock)
    monkeypatch.setattr(smtplib.SMTP, "docmd", stands_still)
    with serving_mail([]) as (books, url):
        assert sent(url).outcome is N
    assert (Clock.late, books.delivered) == (True, [])


class Doorkeeper:
    """Lets in who knows the password; remembers what it was shown."""

    def __init__(self) -> None:
        self.shown: list[bytes] = []

    def __call__(self, *arguments: Any) -> AuthResult:
        data = arguments[-1]
        self.shown.append(bytes(data.password))
        return AuthResult(success=data.password == PASSWORD.encode(), handled=False)


def with_login(url: str, password: str) -> str:
    return url.replace("://", f"://team%40sender.example:{password}@")


@pytest.mark.filterwarnings("ignore:Requiring AUTH", "ignore:Session.login_data")
@pytest.mark.parametrize(("password", "outcome"), [("planted%2Fmail%3Apassword", A), ("wrong", N)])
def test_a_login_is_made_and_a_wrong_one_is_tried_again_only_later(password: str, outcome: SendOutcome) -> None:
    door = Doorkeeper()
    with serving_mail([], authenticator=door, auth_require_tls=False, auth_required=True) as (books, url):
        reply = sent(with_login(url, password))
    assert (reply.outcome, len(books.delivered)) == (outcome, int(outcome is A))
    assert reply.retry_after_seconds == (None if outcome is A else 300.0)


def test_a_password_is_not_shown_in_clear_beyond_this_machine() -> None:
    """127.0.0.2 is not one of the names of this machine, and stands for any other."""
    door = Doorkeeper()
    with serving_mail([], host="127.0.0.2", authenticator=door, auth_require_tls=False) as (books, url):
        assert sent(with_login(url, PASSWORD.replace("/", "%2F"))).outcome is N
    assert (door.shown, books.delivered) == ([], [])


@pytest.mark.parametrize("implicit", [False, True])
def test_a_server_whose_certificate_nobody_vouches_for_is_shown_nothing(tmp_path: Path, implicit: bool) -> None:
    context, door = self_signed(tmp_path), Doorkeeper()
    if not implicit:
        with serving_mail([], tls_context=context, authenticator=door) as (books, url):
            assert sent(with_login(url, "secret")).outcome is N
        assert (door.shown, books.delivered) == ([], [])
        return

    def talk(caller: socket.socket, _: threading.Event) -> None:
        with context.wrap_socket(caller, server_side=True) as secured:
            secured.sendall(b"220 mail.test\r\n")

    with listening(talk) as port:
        assert sent(with_login(f"smtps://127.0.0.1:{port}", "secret")).outcome is N


def test_mail_servers_can_neither_be_asked_nor_recognise_a_key() -> None:
    provider = SmtpProvider("smtp://127.0.0.1:25", sender=SENDER)
    assert provider.capabilities.idempotency_seconds == 0
    assert provider.capabilities.lookup is LookupBy.NONE
    assert provider.lookup(KEY, seconds=1).found is None
    assert provider.account == "team@sender.example"
