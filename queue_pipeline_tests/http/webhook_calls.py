"""Deliver webhooks as providers do: recorded bodies, signatures, and a look at what they left behind."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import httpx
import sqlalchemy as sa

from queue_pipeline.integrations.webhook_signature import SIGNATURE_HEADER, TIMESTAMP_HEADER, signature
from queue_pipeline.store.session import Database

PAYLOADS = Path(__file__).parent / "payloads"
SECRET = "a-webhook-secret-for-tests"


def sample(name: str) -> bytes:
    """A recorded body, such as `generic/normal`."""
    return (PAYLOADS / f"{name}.json").read_bytes()


def fields_of(name: str) -> dict[str, Any]:
    """A recorded body, to be changed."""
    found: dict[str, Any] = json.loads(sample(name))
    return found


def url(provider: str) -> str:
    """Where a provider delivers for the workspace `acme`."""
    return f"/api/webhooks/{provider}" + ("" if provider == "generic" else "?workspace=acme")


def deliver(client: httpx.Client, name: str) -> httpx.Response:
    """Deliver a recorded body."""
    return client.post(url(name.partition("/")[0]), content=sample(name))


def signed(body: bytes, *, secret: str = SECRET, at: int | None = None) -> dict[str, str]:
    """The headers of a body that is signed now, or at another time."""
    timestamp = str(int(time.time()) if at is None else at)  # noqa: TID251 - the sender's clock
    return {TIMESTAMP_HEADER: timestamp, SIGNATURE_HEADER: signature(timestamp, body, secret)}


def rows(db: Database, sql: str) -> list[Any]:
    """What a statement gives."""
    with db.begin() as tx:
        return list(tx.execute(sa.text(sql)).all())


def count(db: Database, table: str) -> int:
    """How many rows a table has."""
    return int(rows(db, f"SELECT count(*) FROM {table}")[0][0])


def payload_of(db: Database, job_id: int) -> dict[str, Any]:
    """What the job of a lead will be given."""
    with db.begin() as tx:
        row = tx.execute(sa.text("SELECT payload, workspace, kind FROM job WHERE job_id = :job_id"), {"job_id": job_id})
        found = row.one()
    assert (found.workspace, found.kind) == ("acme", "lead.inbound")
    payload: dict[str, Any] = found.payload
    return payload
