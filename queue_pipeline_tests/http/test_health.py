from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import httpx
import pytest

from queue_pipeline.domain.limits import Limits
from queue_pipeline.engine.recovery import sweep
from queue_pipeline.http.app import create_app
from queue_pipeline.settings import Settings
from queue_pipeline.store.session import Database
from queue_pipeline_tests.http.conftest import free_port, served
from queue_pipeline_tests.waiting import eventually


@pytest.fixture
def away(settings: Settings) -> Iterator[httpx.Client]:
    database = Database(f"postgresql://postgres@127.0.0.1:{free_port()}/nobody")
    with served(create_app(settings, database)) as client:
        yield client


def test_a_watched_queue_is_healthy(settings: Settings, db: Database) -> None:
    sweep(db, by="test")
    with served(create_app(settings, db)) as client:
        answer = client.get("/healthz")
    assert answer.status_code == 200
    assert (answer.json()["status"], answer.json()["reasons"], answer.json()["verdict"]) == ("ok", [], "pass")
    assert answer.json()["last_sweep_age_seconds"] < 60


def test_sweepers_get_time_to_start_and_then_silence_is_unhealthy(settings: Settings, db: Database) -> None:
    with served(create_app(settings, db, limits=replace(Limits(), sweep_silence_seconds=1.0))) as client:
        assert client.get("/healthz").status_code == 200
        eventually(lambda: client.get("/healthz").status_code == 503, within=30, what="the dead man's switch to fall")
        answer = client.get("/healthz")
    assert answer.json()["status"] == "unhealthy"
    assert "Nobody has ever swept" in answer.json()["reasons"][0]


def test_a_sweep_long_ago_is_silence(settings: Settings, db: Database) -> None:
    sweep(db, by="test")
    with db.begin() as tx:
        tx.exec_driver_sql("UPDATE sweep_mark SET swept_at = swept_at - interval '1 hour'")
    with served(create_app(settings, db, limits=replace(Limits(), sweep_silence_seconds=0.1))) as client:
        eventually(lambda: client.get("/healthz").status_code == 503, within=30, what="the dead man's switch to fall")
        answer = client.get("/healthz")
    assert "Nobody has swept for 360" in answer.json()["reasons"][0]


def test_a_database_that_is_away_is_unhealthy_and_not_ready(away: httpx.Client) -> None:
    health, ready = away.get("/healthz"), away.get("/readyz")
    assert (health.status_code, ready.status_code) == (503, 503)
    assert "PostgreSQL is not answering" in health.json()["reasons"][0]
    assert "PostgreSQL is not answering" in ready.json()["reasons"][0]


def test_ready_means_the_schema_is_ours(settings: Settings, db: Database, blank_database_url: str) -> None:
    with served(create_app(settings, db)) as client:
        assert (client.get("/readyz").status_code, client.get("/readyz").json()["status"]) == (200, "ready")
    blank = Database(blank_database_url)
    with served(create_app(settings, blank)) as client:
        answer = client.get("/readyz")
    assert answer.status_code == 503
    assert "queue-pipeline migrate" in answer.json()["reasons"][0]
