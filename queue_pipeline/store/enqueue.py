"""Write jobs inside the application's own transaction, whatever library opened it.

The statements name the schema (the application's search_path is its own) and use the `%(name)s` style, which
psycopg, psycopg2, Django's cursors and SQLAlchemy's driver-level execution have in common.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import sqlalchemy as sa
import sqlalchemy.orm

from queue_pipeline.domain.errors import InvalidInput

#: Ids are drawn first, so that each row's answer can be told apart. A scheduled or deduplicated job wakes nobody.
INSERT_SQL = """
WITH new AS MATERIALIZED (
    SELECT n.*, nextval(pg_get_serial_sequence('queue_pipeline.job', 'job_id')) AS job_id
    FROM unnest(%(workspaces)s::text[], %(payloads)s::text[], %(keys)s::text[], %(run_ats)s::timestamptz[], %(priorities)s::int[])
         WITH ORDINALITY AS n(workspace, payload, dedupe_key, run_at, priority, place)
), inserted AS (
    INSERT INTO queue_pipeline.job (job_id, kind, workspace, state, priority, max_attempts, deadline_seconds, run_at, first_due_at,
                                    dedupe_key, dedupe_until, dedupe_held, payload)
    OVERRIDING SYSTEM VALUE
    SELECT job_id, %(kind)s, workspace,
           CASE WHEN run_at > statement_timestamp() THEN 'SCHEDULED' ELSE 'PENDING' END,
           priority, %(max_attempts)s, %(deadline_seconds)s,
           greatest(run_at, statement_timestamp()), greatest(run_at, statement_timestamp()),
           dedupe_key, CASE WHEN dedupe_key IS NULL THEN NULL
                            ELSE statement_timestamp() + %(dedupe_seconds)s::float8 * interval '1 second' END,
           dedupe_key IS NOT NULL, payload::jsonb
    FROM new ORDER BY place
    ON CONFLICT (workspace, kind, dedupe_key) WHERE dedupe_held DO NOTHING
    RETURNING job_id, workspace, state
), woken AS (
    INSERT INTO queue_pipeline.lane_wake (workspace) SELECT DISTINCT workspace FROM inserted WHERE state = 'PENDING'
), notified AS (
    SELECT pg_notify('queue_pipeline', 'due') FROM inserted WHERE state = 'PENDING' LIMIT 1
)
SELECT n.place, n.job_id, (SELECT count(*) FROM notified)
FROM new n JOIN inserted i ON i.job_id = n.job_id
"""

HOLDER_SQL = """
SELECT job_id, state, dedupe_until < clock_timestamp() AS expired
FROM queue_pipeline.job
WHERE workspace = %(workspace)s AND kind = %(kind)s AND dedupe_key = %(key)s AND dedupe_held
"""

LET_GO_SQL = """
UPDATE queue_pipeline.job SET dedupe_held = false WHERE job_id = %(job_id)s AND dedupe_until < clock_timestamp()
"""

REPLACE_SQL = """
WITH replaced AS (
    UPDATE queue_pipeline.job
    SET payload = %(payload)s::jsonb, priority = %(priority)s,
        run_at = greatest(%(run_at)s::timestamptz, statement_timestamp()),
        first_due_at = greatest(%(run_at)s::timestamptz, statement_timestamp()),
        state = CASE WHEN %(run_at)s::timestamptz > statement_timestamp() THEN 'SCHEDULED' ELSE 'PENDING' END, parked = false
    WHERE job_id = %(job_id)s AND state IN ('PENDING', 'SCHEDULED')
    RETURNING workspace, state
), woken AS (
    INSERT INTO queue_pipeline.lane_wake (workspace) SELECT workspace FROM replaced WHERE state = 'PENDING'
)
SELECT state, CASE WHEN state = 'PENDING' THEN pg_notify('queue_pipeline', 'due') END FROM replaced
"""


class Cursor(Protocol):
    """The part of a DB-API cursor that is used here."""

    def fetchall(self) -> Sequence[Any]:
        """All rows of the last statement."""


@dataclass(frozen=True)
class JobRow:
    """One job to be written; `payload` is JSON text."""

    workspace: str
    payload: str
    dedupe_key: str | None
    run_at: datetime | None
    priority: int


@dataclass(frozen=True)
class Holder:
    """The job that holds an idempotency key; `expired` when its dedupe window has passed."""

    job_id: int
    state: str
    expired: bool


def run(connection: Any, sql: str, values: dict[str, Any]) -> Sequence[Any]:
    """Run a statement on the caller's connection, within the caller's transaction, and return its rows.

    Takes a SQLAlchemy Connection or Session on a psycopg or psycopg2 engine, a psycopg or psycopg2 connection, or
    a Django connection. Raises InvalidInput for anything else.
    """
    if isinstance(connection, (sqlalchemy.orm.Session, sqlalchemy.orm.scoped_session)):
        connection = connection.connection()
    if isinstance(connection, sa.Connection):
        if connection.dialect.driver not in ("psycopg", "psycopg2"):
            raise InvalidInput("conn", connection.dialect.driver, "Use a SQLAlchemy engine with psycopg or psycopg2.")
        result = connection.exec_driver_sql(sql, values)
        return result.fetchall() if result.returns_rows else []
    if not callable(getattr(connection, "cursor", None)):
        raise InvalidInput(
            "conn",
            type(connection).__name__,
            "Pass a SQLAlchemy Connection or Session, a psycopg connection, or a Django connection.",
        )
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        found = cursor.fetchall() if cursor.description else []
    # The application may have asked its driver for rows that are mappings.
    return [tuple(row.values()) if isinstance(row, Mapping) else row for row in found]


def insert_jobs(
    connection: Any,
    *,
    kind: str,
    rows: Sequence[JobRow],
    max_attempts: int,
    deadline_seconds: int,
    dedupe_seconds: float | None,
) -> dict[int, int]:
    """Write jobs of one kind; returns job ids by place (from 0). A place is missing when its key is held."""
    values = {
        "kind": kind,
        "workspaces": [row.workspace for row in rows],
        "payloads": [row.payload for row in rows],
        "keys": [row.dedupe_key for row in rows],
        "run_ats": [row.run_at for row in rows],
        "priorities": [row.priority for row in rows],
        "max_attempts": max_attempts,
        "deadline_seconds": deadline_seconds,
        "dedupe_seconds": dedupe_seconds,
    }
    return {row[0] - 1: row[1] for row in run(connection, INSERT_SQL, values)}


def holder_of(connection: Any, *, kind: str, workspace: str, key: str) -> Holder | None:
    """The job that holds an idempotency key now."""
    rows = run(connection, HOLDER_SQL, {"kind": kind, "workspace": workspace, "key": key})
    return Holder(rows[0][0], rows[0][1], bool(rows[0][2])) if rows else None


def let_go(connection: Any, job_id: int) -> None:
    """Free the key of a job whose dedupe window has passed."""
    run(connection, LET_GO_SQL, {"job_id": job_id})


def replace(connection: Any, job_id: int, row: JobRow) -> bool:
    """Give a job that has not started a new payload, priority and time; False when it has started."""
    values = {"job_id": job_id, "payload": row.payload, "priority": row.priority, "run_at": row.run_at}
    return bool(run(connection, REPLACE_SQL, values))
