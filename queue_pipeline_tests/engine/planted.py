"""Sends as they would be if nothing guarded them: any row may be planted, any duplicate is possible."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from hashlib import sha256
from itertools import count
from typing import Any

from psycopg import sql

from queue_pipeline.domain.outbound import normalised_sha256
from queue_pipeline.store.session import Database, Direct

GUARDED = (
    "outbound_message",
    "send_attempt",
    "provider_message",
    "inbound_event",
    "inbound_conflict",
    "draft",
    "lead",
)
TEXT = "Good morning, may I offer you Tuesday at ten?"

UNIQUE_SQL = """
SELECT conrelid::regclass::text, conname FROM pg_constraint
WHERE contype IN ('u', 'p') AND conrelid = ANY(%s::text[]::regclass[]) AND connamespace = 'queue_pipeline'::regnamespace
"""
INDEXES_SQL = """
SELECT indexrelid::regclass::text FROM pg_index WHERE indisunique AND indrelid = ANY(%s::text[]::regclass[])
"""
TRIGGERS_SQL = """
SELECT tgrelid::regclass::text, tgname FROM pg_trigger WHERE NOT tgisinternal AND tgrelid = ANY(%s::text[]::regclass[])
"""


def unguard(connection: Direct) -> None:
    """Drop every unique constraint, unique index and trigger that keeps duplicates out of the ledger and the evidence."""
    tables = [list(GUARDED)]
    for table, constraint in connection.execute(UNIQUE_SQL, tables).fetchall():
        connection.execute(_sql("ALTER TABLE {} DROP CONSTRAINT {} CASCADE", table, constraint))
    for (index,) in connection.execute(INDEXES_SQL, tables).fetchall():
        connection.execute(_sql("DROP INDEX {}", index))
    for table, trigger in connection.execute(TRIGGERS_SQL, tables).fetchall():
        connection.execute(_sql("DROP TRIGGER {} ON {}", trigger, table))


def _sql(text: str, *names: str) -> sql.Composed:
    return sql.SQL(text).format(*(sql.Identifier(name) for name in names))


class Planted:
    """Plants rows around an instant, `at`, an hour before now unless told otherwise."""

    def __init__(self, connection: Direct) -> None:
        self.connection = connection
        self._numbers = count(1)
        row = connection.execute("SELECT now() - interval '1 hour'").fetchone()
        assert row is not None
        self.at: datetime = row[0]

    def message(self, state: str = "SENT", *, at: datetime | None = None, tries: int = 1, **changes: Any) -> int:
        """One message of the ledger with its attempts; gives its id."""
        number, at = next(self._numbers), at or self.at
        values: dict[str, Any] = {
            "workspace": "acme", "job_id": number, "channel": "email", "purpose": "reply", "recipient": "ada@example.com",
            "body": f"{TEXT} ({number})", "part_index": 0, "idempotency_key": sha256(str(number).encode()).hexdigest(),
            "payload_sha256": "0" * 64, "state": state, "provider": "http", "account": "main", "epoch": tries, "attempt": tries,
            "trigger_key": f"job:{number}", "created_at": at, "first_sending_at": at,
            "sent_at": at if state == "SENT" else None, "not_before": at, "in_doubt": state == "UNKNOWN",
            "unknown_since": at if state == "UNKNOWN" else None, "reason": None if state in ("SENT", "READY") else "planted",
            **changes,
        }  # fmt: skip
        values.setdefault("body_norm_sha256", normalised_sha256(values["body"]))
        message_id = int(self._insert("outbound_message", values, "outbound_message_id"))
        for attempt in range(1, tries + 1):
            self._insert(
                "send_attempt",
                {
                    "outbound_message_id": message_id, "attempt": attempt, "epoch": attempt, "sender": f"drain {attempt}",
                    "function_run_id": 70 + attempt, "dagster_run_id": f"dagster-run-{attempt}", "started_at": at,
                    "deadline_at": at + timedelta(seconds=20), "request_sha256": "0" * 64,
                    "idempotency_key": values["idempotency_key"], "finished_at": at,
                    "outcome": "accepted" if attempt == tries else "ambiguous",
                },
                "attempt",
            )  # fmt: skip
        return message_id

    def evidence(self, of: int | None = None, *, at: datetime | None = None, text: str = TEXT, **changes: Any) -> str:
        """One message at a provider, linked to a message of the ledger or to none; gives its id there."""
        identity = f"pm-{next(self._numbers)}"
        values: dict[str, Any] = {
            "provider": "http", "account": "main", "kind": "message", "provider_message_id": identity,
            "outbound_message_id": of, "direction": "outbound", "author": "automation", "workspace": "acme",
            "channel": "email", "recipient": f"{identity}@example.com", "observed_via": "webhook",
            "first_seen_at": at or self.at, "sent_at": at or self.at, "body_norm_sha256": normalised_sha256(text),
            "body_length": len(text), **changes,
        }  # fmt: skip
        self._insert("provider_message", values, "provider_message_id")
        return str(values["provider_message_id"])

    def sent(self, **changes: Any) -> int:
        """A message that was sent once, as it should be."""
        message_id = self.message(**changes)
        self.evidence(message_id, text=f"{TEXT} {message_id}")
        return message_id

    def key_of(self, message_id: int) -> str:
        """The idempotency key of a message."""
        row = self.connection.execute(
            "SELECT idempotency_key FROM outbound_message WHERE outbound_message_id = %s", [message_id]
        ).fetchone()
        assert row is not None
        return str(row[0])

    def delivery(self, *, at: datetime | None = None, **changes: Any) -> int:
        """One accepted delivery; gives its id."""
        number = next(self._numbers)
        values = {
            "workspace": "acme", "provider": "gohighlevel", "account": "default", "provider_event_id": f"event-{number}",
            "dedupe_key": f"event-{number}", "payload_sha256": f"{number:064x}", "job_id": number,
            "accepted_at": at or self.at, **changes,
        }  # fmt: skip
        return int(self._insert("inbound_event", values, "inbound_event_id"))

    def conflict(self, delivery: int, *, at: datetime | None = None) -> None:
        """The same delivery again, with another body."""
        values = {"inbound_event_id": delivery, "payload_sha256": "f" * 64, "payload": "{}", "seen_at": at or self.at}
        self._insert("inbound_conflict", values, "inbound_event_id")

    def draft(self) -> int:
        """A draft; gives its id."""
        values = {"workspace": "acme", "job_id": next(self._numbers), "channel": "email", "subject": "", "body": TEXT,
                  "drafter": "template"}  # fmt: skip
        return int(self._insert("draft", values, "draft_id"))

    def lead(self) -> int:
        """A lead; gives its id."""
        return int(
            self._insert("lead", {"workspace": "acme", "address": f"{next(self._numbers)}@example.com"}, "lead_id")
        )

    def _insert(self, table: str, values: dict[str, Any], returning: str) -> Any:
        columns = sql.SQL(", ").join(map(sql.Identifier, values))
        marks = sql.SQL(", ").join(sql.Placeholder() * len(values))
        statement = sql.SQL("INSERT INTO {} ({}) VALUES ({}) RETURNING {}").format(
            sql.Identifier(table), columns, marks, sql.Identifier(returning)
        )
        row = self.connection.execute(statement, list(values.values())).fetchone()
        assert row is not None
        return row[0]


@contextmanager
def planting(db: Database) -> Iterator[Planted]:
    """Plants into a database that keeps its guards."""
    with db.direct() as connection:
        yield Planted(connection)


@contextmanager
def planting_unguarded(db: Database) -> Iterator[Planted]:
    """Plants into a database whose guards are taken away."""
    with planting(db) as planted:
        unguard(planted.connection)
        yield planted
