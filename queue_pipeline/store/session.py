"""Connections to PostgreSQL: a small pool for short transactions, and dedicated connections for a drain."""

import re
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import sqlalchemy as sa

from queue_pipeline.domain.errors import DatabaseUnavailable, Misconfigured
from queue_pipeline.domain.limits import Limits
from queue_pipeline.domain.slo import nearest_rank

SCHEMA = "queue_pipeline"

#: The type that the engine names when it passes a transaction along.
Tx = sa.Connection
#: A dedicated connection, in autocommit mode unless a transaction block is open on it.
Direct = psycopg.Connection[Any]

#: SQLSTATE classes in which the server, not the statement, is at fault: connection (08), operator
#: intervention such as shutdown (57P), insufficient resources such as a full disk (53), a session that was ended
#: because its process stood still in a transaction (25P03).
_OUTAGE = re.compile(r"^(08|57P|53|25P03)")
#: A process that is stopped in the middle of a transaction would keep its locks from recovery for ever.
_IDLE_IN_TRANSACTION_SECONDS = 10
#: A host that vanished closes nothing, and Linux would wait two hours for it: PostgreSQL asks and then ends its
#: sessions, or they would fill its connections and hold whatever they had locked.
_SERVER_KEEPALIVES = (
    " -c tcp_keepalives_idle=10 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=5"
    f" -c tcp_user_timeout={Limits().vanished_client_seconds * 1000}"
)
#: The wait for a pooled connection is told of the last minute, and from so many waits on.
_WAITS_SECONDS = 60.0
_WAITS_MIN = 20
_WAITS_KEPT = 2000


def is_outage(error: BaseException) -> bool:
    """Whether the error says that PostgreSQL is away for now, as opposed to refusing a statement."""
    if isinstance(error, sa.exc.DBAPIError):
        return error.connection_invalidated or (error.orig is not None and is_outage(error.orig))
    if isinstance(error, DatabaseUnavailable):
        return True
    if not isinstance(error, psycopg.Error):
        return False
    if error.sqlstate is None:
        return isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError))
    return bool(_OUTAGE.match(error.sqlstate))


class Database:
    """One PostgreSQL database, reached through a libpq URL (`postgresql://…`).

    `begin` gives short transactions from a pool; `direct` gives a connection of one's own. Every session has
    `search_path = queue_pipeline`, so statements need no prefix.
    """

    def __init__(
        self,
        url: str,
        *,
        pool_size: int = 5,
        statement_timeout_seconds: float = 30.0,
        application: str = "queue_pipeline",
    ) -> None:
        self.url = url
        self._application = application
        self._waits: deque[tuple[float, float]] = deque(maxlen=_WAITS_KEPT)
        self._waits_lock = threading.Lock()
        self._options = (
            f"-c search_path={SCHEMA},public -c statement_timeout={int(statement_timeout_seconds * 1000)}"
            f" -c idle_in_transaction_session_timeout={_IDLE_IN_TRANSACTION_SECONDS * 1000}"
            f"{_SERVER_KEEPALIVES}"
        )
        self._engine = sa.create_engine(
            "postgresql+psycopg://",
            creator=self._connect,
            pool_size=pool_size,
            max_overflow=pool_size,
            pool_pre_ping=True,
            pool_timeout=10,
            hide_parameters=True,  # an error's text may be logged, and the values are people's
        )

    def _connect(self) -> Direct:
        connection = psycopg.connect(
            self.url,
            autocommit=True,
            options=self._options,
            application_name=self._application,
            connect_timeout=5,
            keepalives_idle=10,
            keepalives_interval=5,
            keepalives_count=3,
            tcp_user_timeout=20_000,
        )
        try:
            _require_our_options(connection)
        except BaseException:
            connection.close()
            raise
        connection.autocommit = False
        return connection

    @contextmanager
    def begin(self) -> Iterator[Tx]:
        """A transaction, committed at the end of the block and rolled back on an exception.

        Raises DatabaseUnavailable when the server is away; the block may then simply be run again later
        if what it did is idempotent.
        """
        try:
            asked = time.monotonic()
            with self._engine.begin() as connection:
                with self._waits_lock:
                    self._waits.append((asked, time.monotonic() - asked))
                yield connection
        except (sa.exc.DBAPIError, psycopg.Error) as error:
            if is_outage(error):
                raise DatabaseUnavailable(f"PostgreSQL is not answering: {first_line(error)}") from error
            raise
        except sa.exc.TimeoutError as error:
            raise DatabaseUnavailable("No database connection became free within 10 s.") from error

    def direct(self) -> Direct:
        """A dedicated connection in autocommit mode; the caller closes it. Raises DatabaseUnavailable."""
        try:
            connection = self._connect()
        except psycopg.Error as error:
            raise DatabaseUnavailable(f"PostgreSQL is not answering: {first_line(error)}") from error
        connection.autocommit = True
        return connection

    def connect_wait_p95(self) -> float | None:
        """Seconds that transactions of the last minute waited for their connection (p95); None when there were few."""
        since = time.monotonic() - _WAITS_SECONDS
        with self._waits_lock:
            waits = [waited for asked, waited in self._waits if asked >= since]
        return nearest_rank(waits, 95) if len(waits) >= _WAITS_MIN else None

    def dispose(self) -> None:
        """Close the pooled connections."""
        self._engine.dispose()


def _require_our_options(connection: Direct) -> None:
    """Raise Misconfigured when what is between us and PostgreSQL kept the session's options to itself.

    Only a pooler told to ignore them does that, and one that hands sessions around besides would lose presence locks,
    notifications and prepared statements in the middle of a drain.
    """
    row = connection.execute("SELECT current_setting('idle_in_transaction_session_timeout')").fetchone()
    if row is None or row[0] != f"{_IDLE_IN_TRANSACTION_SECONDS}s":
        raise Misconfigured(
            "PostgreSQL did not get the options of this session, so a connection pooler is in between (PgBouncer with "
            "ignore_startup_parameters, or the like). Drains hold locks and listen on their sessions: let "
            "QUEUE_PIPELINE_DATABASE_URL name PostgreSQL itself. The application may enqueue through the pooler."
        )


@contextmanager
def outages_translated() -> Iterator[None]:
    """Inside the block, a psycopg error that means an outage is raised as DatabaseUnavailable."""
    try:
        yield
    except psycopg.Error as error:
        if is_outage(error):
            raise DatabaseUnavailable(f"PostgreSQL is not answering: {first_line(error)}") from error
        raise


def first_line(error: BaseException) -> str:
    """The first line of an error's text; SQLAlchemy's wrapping and the statement are left out."""
    inner = error.orig if isinstance(error, sa.exc.DBAPIError) and error.orig is not None else error
    lines = str(inner).strip().splitlines()
    return lines[0] if lines else type(inner).__name__
