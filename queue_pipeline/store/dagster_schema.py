"""The schema in which Dagster keeps its own tables, beside ours or in a database of its own."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from queue_pipeline.domain.errors import DatabaseUnavailable
from queue_pipeline.store.session import first_line, is_outage

DAGSTER_SCHEMA = "dagster"
_CREATION_LOCK = 7_316_404
#: Dagster creates its tables storage by storage; this one is in the last.
_LAST_TABLE = f"{DAGSTER_SCHEMA}.instigators"

#: Dagster deletes a run's events with the run, and leaves its asset checks for ever. The latest of each check stays, because
#: the UI shows it.
_FORGET_CHECKS_SQL = f"""
WITH old AS MATERIALIZED (
    SELECT e.id FROM {DAGSTER_SCHEMA}.asset_check_executions e
    WHERE e.id > %(after)s AND NOT EXISTS (SELECT FROM {DAGSTER_SCHEMA}.runs r WHERE r.run_id = e.run_id)
      AND EXISTS (SELECT FROM {DAGSTER_SCHEMA}.asset_check_executions n
                  WHERE n.asset_key = e.asset_key AND n.check_name = e.check_name AND n.id > e.id)
    ORDER BY e.id LIMIT %(limit)s
), gone AS (
    DELETE FROM {DAGSTER_SCHEMA}.asset_check_executions WHERE id IN (SELECT id FROM old) RETURNING id
)
SELECT count(*), max(id) FROM gone
"""


@contextmanager
def dagster_schema(url: str) -> Iterator[None]:
    """Inside the block the schema `dagster` exists; while its tables are missing, one process at a time is inside.

    Processes that start together would otherwise create the same tables at once, and Dagster retries noisily.
    `url` is a libpq or SQLAlchemy URL. Raises DatabaseUnavailable.
    """
    with _connected(url) as connection:
        row = connection.execute("SELECT to_regclass(%s) IS NULL", (_LAST_TABLE,)).fetchone()
        if row is not None and row[0]:
            connection.execute("SELECT pg_advisory_lock(%s)", (_CREATION_LOCK,))
            connection.execute(f"CREATE SCHEMA IF NOT EXISTS {DAGSTER_SCHEMA}")
        yield


def forget_checks(url: str, *, batch: int = 1000) -> int:
    """Delete asset check executions whose Dagster run is gone, in short transactions; returns how many.

    `url` is a libpq or SQLAlchemy URL of Dagster's storage. Raises DatabaseUnavailable.
    """
    total, after, gone = 0, 0, batch
    with _connected(url) as connection:
        row = connection.execute("SELECT to_regclass(%s)", (f"{DAGSTER_SCHEMA}.asset_check_executions",)).fetchone()
        while row is not None and row[0] is not None and gone == batch:
            gone, last = connection.execute(_FORGET_CHECKS_SQL, {"after": after, "limit": batch}).fetchone() or (0, 0)
            total, after = total + gone, last or after
    return total


@contextmanager
def _connected(url: str) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
    scheme, colon, rest = url.partition(":")
    try:
        connection = psycopg.connect(f"{scheme.partition('+')[0]}{colon}{rest}", connect_timeout=5, autocommit=True)
    except psycopg.Error as error:
        if is_outage(error):
            raise DatabaseUnavailable(f"PostgreSQL is not answering: {first_line(error)}") from error
        raise
    with connection:
        yield connection
