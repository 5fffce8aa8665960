"""A session brings its settings along, or is refused."""

from __future__ import annotations

import psycopg
import pytest

from queue_pipeline.domain.errors import Misconfigured
from queue_pipeline.domain.limits import Limits, check_relations
from queue_pipeline.store import session
from queue_pipeline.store.session import Database


def test_a_session_without_our_options_is_refused_with_the_remedy(database_url: str) -> None:
    with (
        psycopg.connect(database_url, autocommit=True) as bare,
        pytest.raises(Misconfigured, match="let QUEUE_PIPELINE_DATABASE_URL name PostgreSQL itself"),
    ):
        session._require_our_options(bare)


def test_a_direct_session_is_in_autocommit_and_a_pooled_one_is_not(db: Database) -> None:
    with db.direct() as direct:
        assert direct.autocommit
        session._require_our_options(direct)
    with db.begin() as tx:
        driver = tx.connection.driver_connection
        assert driver is not None
        assert not driver.autocommit


def test_sessions_of_a_vanished_host_end_only_after_its_lease() -> None:
    assert check_relations(Limits()) == []
    assert check_relations(Limits(vanished_client_seconds=30)) == [
        "a vanished host must lose its lease before PostgreSQL ends its sessions"
    ]
