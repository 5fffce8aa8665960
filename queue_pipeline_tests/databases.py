"""Databases that tests make for themselves on the server that they are given."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from secrets import token_hex
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql


@contextmanager
def scratch_database(server_url: str, template: str | None) -> Iterator[str]:
    """URL of a copy of the template, or of an empty database; dropped afterwards, whoever is still connected."""
    name = f"qp_test_{token_hex(6)}"
    create(server_url, name, template)
    try:
        yield url_of(server_url, name)
    finally:
        drop(server_url, name)


def url_of(server_url: str, database: str) -> str:
    """URL of another database on the same server."""
    parts = urlsplit(server_url)
    # urlunsplit drops the empty authority of postgresql:///name, which libpq needs
    return (
        urlunsplit(parts._replace(path=f"/{database}")) if parts.netloc else f"postgresql:///{database}?{parts.query}"
    )


def create(server_url: str, name: str, template: str | None = None) -> None:
    """Make a database, empty or as a copy of one to which nobody is connected."""
    # Files are copied as they are: by way of the WAL, the default, a copy of the schema costs six times as much.
    copy = " TEMPLATE {} STRATEGY FILE_COPY"
    source = sql.SQL(copy).format(sql.Identifier(template)) if template else sql.SQL("")
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)) + source)


def drop(server_url: str, name: str) -> None:
    """Drop a database, whoever is connected; nothing happens when there is none."""
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def exists(server_url: str, name: str) -> bool:
    """Whether the server has this database."""
    with psycopg.connect(server_url, autocommit=True) as connection:
        return connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone() is not None
