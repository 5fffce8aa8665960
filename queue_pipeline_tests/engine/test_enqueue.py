"""A job exists when the caller's transaction commits, whatever library opened it, and never otherwise."""

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import psycopg.rows
import psycopg2
import psycopg2.extras
import pydantic
import pytest
import sqlalchemy as sa
import sqlalchemy.orm

from queue_pipeline import (
    Dedupe,
    DedupePolicy,
    DuplicateJob,
    Enqueued,
    InvalidInput,
    InvalidPayload,
    NewJob,
    UnknownKind,
    enqueue,
    enqueue_many,
)  # fmt: skip
from queue_pipeline.store.session import Database
from queue_pipeline_tests.engine.kitchen import Kitchen
from queue_pipeline_tests.waiting import eventually

Open = Callable[[str], contextlib.AbstractContextManager[tuple[Any, Callable[[], None], Callable[[], None]]]]


@contextlib.contextmanager
def plain_psycopg(url: str, **options: Any) -> Iterator[Any]:
    with psycopg.connect(url, **options) as connection:
        yield connection, connection.commit, connection.rollback


@contextlib.contextmanager
def psycopg_with_dict_rows(url: str) -> Iterator[Any]:
    with plain_psycopg(url, row_factory=psycopg.rows.dict_row) as opened:
        yield opened


@contextlib.contextmanager
def psycopg_with_named_rows(url: str) -> Iterator[Any]:
    with plain_psycopg(url, row_factory=psycopg.rows.namedtuple_row) as opened:
        yield opened


@contextlib.contextmanager
def plain_psycopg2(url: str, **options: Any) -> Iterator[Any]:
    connection = psycopg2.connect(url, **options)
    try:
        yield connection, connection.commit, connection.rollback
    finally:
        connection.close()


@contextlib.contextmanager
def psycopg2_with_dict_rows(url: str) -> Iterator[Any]:
    with plain_psycopg2(url, cursor_factory=psycopg2.extras.RealDictCursor) as opened:
        yield opened


@contextlib.contextmanager
def sqlalchemy_connection(url: str, driver: str = "psycopg") -> Iterator[Any]:
    connect = psycopg.connect if driver == "psycopg" else psycopg2.connect
    engine = sa.create_engine(f"postgresql+{driver}://", creator=lambda: connect(url))
    with engine.connect() as connection:
        yield connection, connection.commit, connection.rollback
    engine.dispose()


@contextlib.contextmanager
def sqlalchemy_on_psycopg2(url: str) -> Iterator[Any]:
    with sqlalchemy_connection(url, "psycopg2") as opened:
        yield opened


@contextlib.contextmanager
def orm_session(url: str) -> Iterator[Any]:
    engine = sa.create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(url))
    with sqlalchemy.orm.Session(engine) as session:
        yield session, session.commit, session.rollback
    engine.dispose()


@contextlib.contextmanager
def scoped_session(url: str) -> Iterator[Any]:
    engine = sa.create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(url))
    session = sqlalchemy.orm.scoped_session(sqlalchemy.orm.sessionmaker(engine))
    try:
        yield session, session.commit, session.rollback
    finally:
        session.remove()
        engine.dispose()


@contextlib.contextmanager
def django_connection(url: str) -> Iterator[Any]:
    from django.db.backends.postgresql.base import DatabaseWrapper

    parts = psycopg.conninfo.conninfo_to_dict(url)
    wrapper = DatabaseWrapper(
        {
            "ENGINE": "django.db.backends.postgresql", "NAME": parts["dbname"], "HOST": parts.get("host", ""),
            "USER": parts.get("user", ""), "PASSWORD": parts.get("password", ""), "PORT": str(parts.get("port", "")),
            "OPTIONS": {}, "TIME_ZONE": None, "CONN_MAX_AGE": 0, "CONN_HEALTH_CHECKS": False, "AUTOCOMMIT": True,
            "ATOMIC_REQUESTS": False, "DISABLE_SERVER_SIDE_CURSORS": False,
        }
    )  # fmt: skip
    wrapper.set_autocommit(False)
    try:
        yield wrapper, wrapper.commit, wrapper.rollback
    finally:
        wrapper.rollback()
        wrapper.close()


@pytest.fixture(scope="module", autouse=True)
def _django() -> None:
    import django
    from django.conf import settings

    if not settings.configured:
        settings.configure(DATABASES={}, USE_TZ=True)
        django.setup()


LIBRARIES: list[Open] = [
    plain_psycopg, psycopg_with_dict_rows, psycopg_with_named_rows, plain_psycopg2, psycopg2_with_dict_rows,
    sqlalchemy_connection, sqlalchemy_on_psycopg2, orm_session, scoped_session, django_connection,
]  # fmt: skip


@pytest.fixture
def noop(kitchen: Kitchen) -> Kitchen:
    kitchen.handle("noop", lambda ctx, payload: None)
    return kitchen


@pytest.mark.parametrize("open_with", LIBRARIES, ids=lambda library: library.__name__)
def test_a_job_exists_when_the_caller_commits_and_only_then(noop: Kitchen, db: Database, open_with: Open) -> None:
    with open_with(db.url) as (conn, commit, rollback):
        enqueue(conn, "noop", workspace="acme", payload={"n": "rolled back"}, handlers=noop.registry)
        rollback()
        assert noop.states() == {}

        one = enqueue(conn, "noop", workspace="acme", payload={"n": 1}, dedupe_key="k", handlers=noop.registry)
        again = enqueue(conn, "noop", workspace="acme", payload={"n": 2}, dedupe_key="k", handlers=noop.registry)
        many = enqueue_many(conn, "noop", [NewJob("globex", n) for n in range(3)], handlers=noop.registry)
        assert noop.states() == {}
        commit()
    assert again == Enqueued(one.job_id, deduplicated=True)
    assert len({e.job_id for e in [one, *many]}) == 4
    assert noop.states() == {"PENDING": 4}
    noop.drain()
    assert noop.states() == {"SUCCEEDED": 4}


def test_a_commit_wakes_a_lingering_drain(noop: Kitchen, db: Database) -> None:
    started: list[float] = []
    noop.start()
    warm = noop.put("noop")
    noop.until(warm[0], "SUCCEEDED")
    with psycopg.connect(db.url) as connection:
        for _ in range(5):
            job = enqueue(connection, "noop", workspace="acme", payload=None, handlers=noop.registry)
            connection.commit()
            noop.until(job.job_id, "SUCCEEDED")
            row = noop.row(
                "SELECT extract(epoch FROM started_at - due_at)::float8 AS s FROM job_attempt WHERE job_id = :j",
                j=job.job_id,
            )
            started.append(row["s"])
    assert min(started) < 0.25, started  # far below the half second at which a drain looks by itself


def test_many_jobs_are_answered_in_their_order(noop: Kitchen) -> None:
    with noop.db.begin() as tx:
        enqueue(tx, "noop", workspace="acme", payload=None, dedupe_key="7", handlers=noop.registry)
        jobs = [NewJob("acme", {"n": n}, dedupe_key=str(n)) for n in range(2500)]
        answers = enqueue_many(tx, "noop", jobs, handlers=noop.registry)
    assert [n for n, answer in enumerate(answers) if answer.deduplicated] == [7]
    stored = {row.job_id: row.n for row in noop.rows("SELECT job_id, payload->>'n' AS n FROM job WHERE payload ? 'n'")}
    assert [stored.get(answer.job_id) for answer in answers] == [None if n == 7 else str(n) for n in range(2500)]


def test_a_key_twice_in_one_batch_is_one_job(noop: Kitchen) -> None:
    with noop.db.begin() as tx:
        answers = enqueue_many(
            tx, "noop", [NewJob("acme", n, dedupe_key="k") for n in range(3)], handlers=noop.registry
        )
    assert [answer.deduplicated for answer in answers] == [False, True, True]
    assert len({answer.job_id for answer in answers}) == 1


def test_no_jobs_are_no_statement(noop: Kitchen) -> None:
    assert enqueue_many(object(), "noop", [], handlers=noop.registry) == []


# ------------------------------------------------------------------------------------------ what is refused


class Order(pydantic.BaseModel):
    number: int
    note: str = ""


BAD: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"workspace": ""}, InvalidInput, "workspace"),
    ({"workspace": "x" * 201}, InvalidInput, "workspace"),
    ({"workspace": "a\x00"}, InvalidInput, "workspace"),
    ({"workspace": None}, InvalidInput, "workspace"),
    ({"priority": 101}, InvalidInput, "priority"),
    ({"priority": 1.5}, InvalidInput, "priority"),
    ({"run_at": datetime(2030, 1, 1)}, InvalidInput, "aware datetime"),  # noqa: DTZ001
    ({"run_at": "tomorrow"}, InvalidInput, "aware datetime"),
    ({"dedupe_key": ""}, InvalidInput, "dedupe_key"),
    ({"dedupe_key": "x" * 501}, InvalidInput, "dedupe_key"),
    ({"dedupe_key": "a\x00"}, InvalidInput, "dedupe_key"),
    ({"workspace": "\ud800"}, InvalidInput, "workspace"),
    ({"dedupe_key": "\ud800"}, InvalidInput, "dedupe_key"),
    ({"payload": {"number": "seven"}}, InvalidPayload, "number"),
    ({"payload": {"number": 1, "note": "a\x00b"}}, InvalidPayload, "NUL"),
    ({"payload": {"number": 1, "note": "\ud800"}}, InvalidPayload, "surrogate"),
    ({"payload": {"number": 1, "note": "x" * 300_000}}, InvalidPayload, "262144"),
]


@pytest.mark.parametrize(("change", "error", "words"), BAD)
def test_a_bad_request_is_refused_before_anything_is_written(
    noop: Kitchen, change: dict[str, Any], error: type[Exception], words: str
) -> None:
    noop.handle("order", lambda ctx, order: None, payload=Order)
    good: dict[str, Any] = {"workspace": "acme", "payload": {"number": 1}}
    with noop.db.begin() as tx:
        with pytest.raises(error, match=words):
            enqueue(tx, "order", **{**good, **change}, handlers=noop.registry)
        jobs = [NewJob(**good), NewJob(**good), NewJob(**{**good, **change})]
        with pytest.raises(error, match="job 2 of the batch"):
            enqueue_many(tx, "order", jobs, handlers=noop.registry)
    assert noop.states() == {}


def test_an_unknown_kind_is_refused_with_the_known_ones(noop: Kitchen) -> None:
    with noop.db.begin() as tx, pytest.raises(UnknownKind, match="Registered kinds: noop"):
        enqueue(tx, "nope", workspace="acme", payload={}, handlers=noop.registry)


@pytest.mark.parametrize("conn", [None, "postgresql://", 7, sa.create_engine("sqlite://")], ids=repr)
def test_what_is_no_connection_is_refused_with_what_is_one(noop: Kitchen, conn: Any) -> None:
    with pytest.raises(InvalidInput, match="SQLAlchemy Connection or Session"):
        enqueue(conn, "noop", workspace="acme", payload={}, handlers=noop.registry)


# ------------------------------------------------------------------------------------------ idempotency keys


def again(kitchen: Kitchen, payload: Any = "second", **fields: Any) -> Enqueued:
    with kitchen.db.begin() as tx:
        return enqueue(
            tx, "noop", workspace="acme", payload=payload, dedupe_key="k", handlers=kitchen.registry, **fields
        )


def test_by_default_a_key_is_free_again_when_its_job_has_finished(noop: Kitchen) -> None:
    first = again(noop)
    assert again(noop) == Enqueued(first.job_id, True)
    noop.drain()
    assert not again(noop).deduplicated


def test_a_key_that_is_held_forever_outlives_its_job(noop: Kitchen) -> None:
    first = again(noop, dedupe=Dedupe("forever"))
    noop.drain()
    assert again(noop, dedupe=Dedupe("forever")) == Enqueued(first.job_id, True)


def test_a_key_is_held_for_its_seconds_whether_or_not_the_job_has_finished(noop: Kitchen) -> None:
    first = again(noop, dedupe=Dedupe(3600))
    noop.drain()
    assert again(noop, dedupe=Dedupe(3600)) == Enqueued(first.job_id, True)
    noop.rows("UPDATE job SET dedupe_until = now() - interval '1 second'")
    second = again(noop, dedupe=Dedupe(3600))
    assert not second.deduplicated
    noop.rows("UPDATE job SET dedupe_until = now() - interval '1 second'")  # the second has not even started
    assert not again(noop, dedupe=Dedupe(3600)).deduplicated


def test_a_key_is_per_workspace_and_kind(noop: Kitchen) -> None:
    noop.handle("other", lambda ctx, payload: None)
    with noop.db.begin() as tx:
        answers = [
            enqueue(tx, kind, workspace=workspace, payload=None, dedupe_key="k", handlers=noop.registry)
            for kind in ("noop", "other")
            for workspace in ("acme", "globex")
        ]
    assert not any(answer.deduplicated for answer in answers)


def test_reject_raises_naming_the_job_that_holds_the_key(noop: Kitchen) -> None:
    first = again(noop)
    with pytest.raises(DuplicateJob, match=f"Job {first.job_id} holds it"):
        again(noop, dedupe=Dedupe(policy=DedupePolicy.REJECT))


def test_replace_gives_a_waiting_job_the_new_payload_priority_and_time(noop: Kitchen) -> None:
    first = again(noop, "first")
    later = datetime.now(UTC) + timedelta(hours=1)  # noqa: TID251
    replaced = again(noop, "second", dedupe=Dedupe(policy=DedupePolicy.REPLACE), run_at=later, priority=-5)
    assert replaced == Enqueued(first.job_id, True)
    job = noop.job(first.job_id)
    assert (job["payload"], job["priority"], job["run_at"], job["state"]) == ("second", -5, later, "SCHEDULED")
    again(noop, "third", dedupe=Dedupe(policy=DedupePolicy.REPLACE))
    assert (noop.job(first.job_id)["payload"], noop.state(first.job_id)) == ("third", "PENDING")
    noop.drain()
    assert noop.states() == {"SUCCEEDED": 1}


def test_replace_leaves_a_running_job_as_it_is(noop: Kitchen) -> None:
    noop.handle("slow", lambda ctx, payload: noop.opened.wait(20) and None)
    with noop.db.begin() as tx:
        first = enqueue(tx, "slow", workspace="acme", payload=1, dedupe_key="k", handlers=noop.registry)
    noop.start()
    noop.until(first.job_id, "RUNNING")
    with noop.db.begin() as tx:
        policy = Dedupe(policy=DedupePolicy.REPLACE)
        second = enqueue(tx, "slow", workspace="acme", payload=2, dedupe_key="k", dedupe=policy, handlers=noop.registry)
    assert second == Enqueued(first.job_id, True)
    assert noop.job(first.job_id)["payload"] == 1


@pytest.mark.parametrize("first_ends", ["commit", "rollback"])
def test_two_transactions_with_one_key_make_one_job(noop: Kitchen, db: Database, first_ends: str) -> None:
    with psycopg.connect(db.url) as one, psycopg.connect(db.url) as other, ThreadPoolExecutor(1) as pool:
        first = enqueue(one, "noop", workspace="acme", payload=1, dedupe_key="k", handlers=noop.registry)
        waiting = pool.submit(
            lambda: enqueue(other, "noop", workspace="acme", payload=2, dedupe_key="k", handlers=noop.registry)
        )
        pid = other.info.backend_pid
        eventually(
            lambda: noop.rows("SELECT 1 FROM pg_stat_activity WHERE pid = :p AND wait_event_type = 'Lock'", p=pid),
            within=30, what="the second transaction to wait for the first",
        )  # fmt: skip
        getattr(one, first_ends)()
        second = waiting.result(10)
        other.commit()
    assert second.deduplicated == (first_ends == "commit")
    assert (second.job_id == first.job_id) == (first_ends == "commit")
    assert noop.states() == {"PENDING": 1}


# ------------------------------------------------------------------------------------------ time and priority


def test_a_scheduled_job_waits_for_its_time_and_then_runs(noop: Kitchen) -> None:
    (job_id,) = noop.put("noop", run_at=datetime.now(UTC) + timedelta(hours=1))  # noqa: TID251
    noop.drain()
    assert noop.state(job_id) == "SCHEDULED"
    noop.rows("UPDATE job SET run_at = now() - interval '1 second'")
    noop.drain()
    assert noop.state(job_id) == "SUCCEEDED"


def test_a_lingering_drain_promotes_a_job_whose_time_comes(noop: Kitchen) -> None:
    noop.start()
    (job_id,) = noop.put("noop", run_at=datetime.now(UTC) + timedelta(seconds=1))  # noqa: TID251
    noop.until(job_id, "SUCCEEDED")
    attempt = noop.attempt(job_id)
    assert attempt["claimed_at"] >= attempt["due_at"]


def test_a_job_for_a_time_that_has_passed_is_due_now_and_its_age_begins_now(noop: Kitchen) -> None:
    (job_id,) = noop.put("noop", run_at=datetime(2001, 1, 1, tzinfo=UTC))
    job = noop.job(job_id)
    assert job["state"] == "PENDING"
    assert job["first_due_at"] == job["run_at"] >= job["created_at"]


def test_within_a_workspace_a_smaller_priority_runs_first_then_the_longer_due(noop: Kitchen) -> None:
    order: list[str] = []
    noop.handle("note", lambda ctx, name: order.append(name))
    for name, priority in [("b1", 0), ("c", 7), ("b2", 0), ("a", -3)]:
        noop.put("note", payload=name, priority=priority)
    noop.drain(concurrency=1)
    assert order == ["a", "b1", "b2", "c"]
