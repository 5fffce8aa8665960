"""Connections to PostgreSQL: a small pool for short transactions, and dedicated connections for a drain."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import sqlalchemy as sa

from queue_pipeline.domain.errors import DatabaseUnavailable

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
        self._options = (
            f"-c search_path={SCHEMA},public -c statement_timeout={int(statement_timeout_seconds * 1000)}"
            f" -c idle_in_transaction_session_timeout={_IDLE_IN_TRANSACTION_SECONDS * 1000}"
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
        return psycopg.connect(
            self.url,
            options=self._options,
            application_name=self._application,
            connect_timeout=5,
            keepalives_idle=10,
            keepalives_interval=5,
            keepalives_count=3,
            tcp_user_timeout=20_000,
        )

    @contextmanager
    def begin(self) -> Iterator[Tx]:
        """A transaction, committed at the end of the block and rolled back on an exception.

        Raises DatabaseUnavailable when the server is away; the block may then simply be run again later
        if what it did is idempotent.
        """
        try:
            with self._engine.begin() as connection:
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

    def dispose(self) -> None:
        """Close the pooled connections."""
        self._engine.dispose()


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
