"""Distinctive secrets and people, a provider that throws what it is given back at us, and where to look for any of it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import cycle

import psycopg
from psycopg import sql

SECRETS: Mapping[str, str] = {
    "CRON_SECRET": "planted-cron-secret-4711",
    "QUEUE_PIPELINE_WEBHOOK_SECRET_GENERIC": "planted-webhook-secret-4712",
    "QUEUE_PIPELINE_SEND_HTTP_TOKEN": "planted-provider-token-4713",
    "SLACK_BOT_TOKEN": "xoxb-planted-slack-token-4714",
    "OPENAI_API_KEY": "sk-planted-model-key-4715",
    "QUEUE_PIPELINE_UI_PASSWORD": "planted-ui-password-4716",
}
MAIL_PASSWORD = "planted-mail-password-4717"
#: What strangers wrote, and what the model answered.
PEOPLE: Mapping[str, str] = {
    "address": "xaverine.quillfeather",
    "first name": "Xaverine",
    "last name": "Quillfeather",
    "text": "zeppelin-shaped crates",
    "subject": "Ref Blunderbuss",
    "phone": "5550199",
    "drafted text": "Marzipan pallets",
}
#: Columns in which the queue keeps what people wrote, because sending, answering or showing it to them is its purpose.
MAY_HOLD: Mapping[str, Mapping[str, str]] = {
    "job": {"payload": "the message to be worked on; pruned with its job"},
    "job_step": {"result": "what an attempt worked out, so that the next one does not ask the model again"},
    "inbound_event": {"lead_address": "whose message a later one of the same lead overtakes"},
    "inbound_conflict": {"payload": "a delivery that contradicts an accepted one, for a person to compare"},
    "lead": {"address": "who the lead is", "name": "how to greet them", "phone": "where to call them"},
    "draft": {"subject": "for the reviewer", "body": "for the reviewer"},
    "outbound_message": {"recipient": "where it goes", "subject": "what is sent", "body": "what is sent"},
    "provider_message": {"recipient": "who answered whom", "body": "the embedded outbox is this column"},
}


class Echoing:
    """A provider whose errors repeat the request, its headers and its credentials, as careless ones do."""

    def __init__(self) -> None:
        self.asked = 0
        answers = cycle((500, 201, 422, 200, 429, 0))
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                outer.asked += 1
                asked = self.rfile.read(int(self.headers["Content-Length"])).decode()
                status = next(answers)
                if not status:
                    self.close_connection = True
                    return
                said = {"id": f"m-{outer.asked}"} if status == 201 else {"error": asked, "headers": str(self.headers)}
                self.answer(status, said)

            def do_GET(self) -> None:
                self.answer(500, {"error": str(self.headers), "path": self.path})

            def answer(self, status: int, said: Mapping[str, str]) -> None:
                body = json.dumps(said).encode()
                self.send_response(status, json.dumps(said)[:200].replace("\n", " "))
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/messages"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def echoing() -> Iterator[Echoing]:
    """One that runs while the block does."""
    provider = Echoing()
    try:
        yield provider
    finally:
        provider.close()


def tables(url: str, schema: str) -> dict[str, list[dict[str, object]]]:
    """Every row of every table of a schema, column by column, as text."""
    found: dict[str, list[dict[str, object]]] = {}
    with psycopg.connect(url, autocommit=True) as connection:
        names = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s", (schema,)).fetchall()
        for (name,) in names:
            asked = sql.SQL("SELECT to_jsonb(t) FROM {} t").format(sql.Identifier(schema, name))
            found[name] = [row[0] for row in connection.execute(asked).fetchall()]
    return found


def surfaces_of(url: str) -> dict[str, str]:
    """What both schemas hold, without the columns that may hold people's words."""
    surfaces = {}
    for schema in ("queue_pipeline", "dagster"):
        for name, rows in tables(url, schema).items():
            allowed = MAY_HOLD.get(name, {}) if schema == "queue_pipeline" else {}
            kept = [{column: value for column, value in row.items() if column not in allowed} for row in rows]
            surfaces[f"{schema}.{name}"] = json.dumps(kept, ensure_ascii=False)
    return surfaces


def leaks(surfaces: Mapping[str, str]) -> list[str]:
    """Where anything planted can be read, and what it is."""
    planted = {**SECRETS, "the password of mail": MAIL_PASSWORD, **PEOPLE}
    return [
        f"{what} in {where}"
        for where, text in surfaces.items()
        for what, value in planted.items()
        if value.casefold() in text.casefold()
    ]
