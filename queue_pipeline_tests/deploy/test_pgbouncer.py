"""What may go through a transaction pooler: the application's enqueue. What may not says so, and why it may not is shown."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from queue_pipeline import enqueue
from queue_pipeline.domain.errors import DatabaseUnavailable, Misconfigured
from queue_pipeline.store import function_run
from queue_pipeline.store.notify import listen, wait_for_notifications
from queue_pipeline.store.session import Database
from queue_pipeline_tests.deploy.pooler import PROGRAM, pooler
from queue_pipeline_tests.faults import fault_handlers  # noqa: F401 - registers the kinds

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="PgBouncer is not installed (Debian: pgbouncer)")

PRESENT = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = %s"


def test_a_pooler_as_it_comes_refuses_our_sessions_and_the_refusal_is_told(database_url: str, open_tmp: Path) -> None:
    with pooler(database_url, open_tmp) as url:
        database = Database(url)
        with pytest.raises(DatabaseUnavailable, match="unsupported startup parameter"):
            database.direct()
        with pytest.raises(DatabaseUnavailable, match="unsupported startup parameter"), database.begin():
            pass
        database.dispose()


def test_a_pooler_that_ignores_our_options_is_noticed_and_the_remedy_is_named(
    database_url: str, open_tmp: Path
) -> None:
    with pooler(database_url, open_tmp, ignored="extra_float_digits, options") as url:
        database = Database(url)
        with pytest.raises(Misconfigured, match="QUEUE_PIPELINE_DATABASE_URL name PostgreSQL itself"):
            database.direct()
        with pytest.raises(Misconfigured, match="pooler is in between"), database.begin():
            pass
        database.dispose()


def test_an_application_enqueues_through_the_pooler_and_drains_hear_of_it(
    database_url: str, db: Database, open_tmp: Path
) -> None:
    drain = db.direct()
    listen(drain)
    with pooler(database_url, open_tmp) as url, psycopg.connect(url, prepare_threshold=None) as application:
        done = enqueue(application, "fault.work", workspace="acme", payload={"seconds": 0.0})
        assert list(wait_for_notifications(drain, 0.2)) == [], "not before the commit"
        application.commit()
        assert next(wait_for_notifications(drain, 10.0)).startswith("due")
    with db.begin() as tx:
        assert tx.exec_driver_sql("SELECT job_id, state FROM job").all() == [(done.job_id, "PENDING")]
    drain.close()


def test_a_presence_lock_taken_through_the_pooler_outlives_the_process_that_took_it(
    database_url: str, db: Database, open_tmp: Path
) -> None:
    with db.direct() as watcher, pooler(database_url, open_tmp) as url:
        with psycopg.connect(url, autocommit=True, prepare_threshold=None) as dead:
            assert function_run.take_presence_lock(dead, 1)
        assert watcher.execute(PRESENT, (function_run.PRESENCE_CLASS,)).fetchone() == (1,), (
            "nobody would notice its death"
        )
