"""Stage a race: let one session stand still, and know when another one waits for it."""

from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import psycopg

from queue_pipeline.store.session import Database
from queue_pipeline_tests.waiting import eventually

WAITING_SQL = """
SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
"""


def until_somebody_waits(db: Database, future: Future[Any], sessions: int = 1) -> None:
    """Wait until so many sessions of this database wait for a lock; an early end of `future` is an error."""
    with psycopg.connect(db.url, autocommit=True) as watcher:

        def waits() -> bool:
            if future.done():
                raise AssertionError(f"it did not wait: {future.exception() or future.result()!r}")
            row = watcher.execute(WAITING_SQL).fetchone()
            return row is not None and row[0] >= sessions

        eventually(waits, within=30, what=f"{sessions} sessions to wait for a lock")


def until_it_waits_or_ends(db: Database, future: Future[Any]) -> None:
    """Wait until the work is done or some session waits for a lock."""
    with psycopg.connect(db.url, autocommit=True) as watcher:

        def settled() -> bool:
            row = watcher.execute(WAITING_SQL).fetchone()
            return future.done() or (row is not None and row[0] >= 1)

        eventually(settled, within=30, what="the session to end or to wait for a lock")


__all__ = ["ThreadPoolExecutor", "until_it_waits_or_ends", "until_somebody_waits"]
