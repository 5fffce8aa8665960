from collections.abc import Iterator, Sequence
from pathlib import Path

import psycopg
import pytest

from queue_pipeline.store.session import SCHEMA, Direct
from queue_pipeline_tests.databases import scratch_database

_HERE = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    """A module's tests stay on one xdist worker, for most modules fill a database once that all their tests read."""
    for item in items:
        if item.path.parent == _HERE:
            item.add_marker(pytest.mark.xdist_group(item.path.stem))


@pytest.fixture(scope="module")
def module_database(server_url: str, template_database: str) -> Iterator[str]:
    """One migrated database for all tests of a module, which leave no trace in it."""
    with scratch_database(server_url, template_database) as url:
        yield url


@pytest.fixture
def connection(module_database: str) -> Iterator[Direct]:
    """A connection in a transaction that is rolled back when the test ends."""
    options = f"-c search_path={SCHEMA},public"
    with (
        psycopg.connect(module_database, options=options, autocommit=True) as direct,
        direct.transaction(force_rollback=True),
    ):
        yield direct
