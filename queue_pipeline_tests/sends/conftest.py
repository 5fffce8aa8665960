from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from queue_pipeline.store.session import Database
from queue_pipeline_tests.sends.ledger import Ledger, a_ledger


@pytest.fixture
def ledger(db: Database) -> Iterator[Ledger]:
    """A ledger, and claims to send under."""
    with a_ledger(db) as ledger:
        yield ledger


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """Threads for whoever has to wait."""
    with ThreadPoolExecutor(4) as threads:
        yield threads
