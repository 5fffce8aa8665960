from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse

from queue_pipeline.domain.capacity import CapacityPolicy
from queue_pipeline.domain.health import HealthSnapshot
from queue_pipeline.domain.limits import Limits
from queue_pipeline.engine import capacity, flags, health
from queue_pipeline.engine.recovery import sweep
from queue_pipeline.http.app import create_app
from queue_pipeline.http.reading import HealthReader
from queue_pipeline.settings import Settings
from queue_pipeline.store.session import Database
from queue_pipeline_tests.http.conftest import CRON, enqueue_jobs, free_port, served


def _samples(client: httpx.Client) -> dict[tuple[str, tuple[str, ...]], float]:
    answer = client.get("/metrics")
    assert answer.status_code == 200
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in parse(answer.text)
        for sample in family.samples
    }


def test_the_queue_is_told_in_numbers(settings: Settings, db: Database) -> None:
    sweep(db, by="test")
    enqueue_jobs(db, 3)
    with served(create_app(settings, db)) as client:
        samples = _samples(client)
    assert samples["queue_pipeline_database_up", ()] == 1
    assert samples["queue_pipeline_jobs", ("pending",)] == 3
    assert samples["queue_pipeline_verdict", ("pass",)] == 1
    assert samples["queue_pipeline_last_sweep_age_seconds", ()] < 60
    assert sum(value for (name, _), value in samples.items() if name == "queue_pipeline_shard_pending_due") == 3
    assert all(name.startswith("queue_pipeline_") for name, _ in samples)


def test_no_label_names_a_workspace(settings: Settings, db: Database) -> None:
    enqueue_jobs(db, 1, workspace="a-customer-of-ours")
    with served(create_app(settings, db)) as client:
        assert "a-customer-of-ours" not in client.get("/metrics").text


def test_cron_turns_are_counted_by_mode(settings: Settings, db: Database) -> None:
    with served(create_app(settings, db)) as client:
        client.post(CRON)
        client.post(CRON)
        samples = _samples(client)
    assert samples["queue_pipeline_cron_turns_total", ("nothing-due",)] == 2


def test_openmetrics_is_spoken_on_request(settings: Settings, db: Database) -> None:
    with served(create_app(settings, db)) as client:
        answer = client.get("/metrics", headers={"accept": "application/openmetrics-text; version=1.0.0"})
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert list(parse_openmetrics(answer.text))  # type: ignore[no-untyped-call]


def test_with_the_database_away_only_that_is_told(settings: Settings) -> None:
    away = Database(f"postgresql://postgres@127.0.0.1:{free_port()}/nobody")
    with served(create_app(settings, away)) as client:
        samples = _samples(client)
    assert samples["queue_pipeline_database_up", ()] == 0
    assert ("queue_pipeline_jobs", ("pending",)) not in samples


def test_many_scrapes_at_once_cost_one_measurement(db: Database) -> None:
    measured_before = health.measure(db, limits=Limits(), shards=["shard-00"])
    measured: list[int] = []
    everyone_came = threading.Barrier(9)
    another_measures = threading.Event()

    def measure() -> HealthSnapshot:
        measured.append(1)
        if len(measured) > 1:
            another_measures.set()
        another_measures.wait(timeout=0.5)  # leaves the door open for a second one, if there is a door
        return measured_before

    reader = HealthReader(measure)

    def scrape() -> None:
        everyone_came.wait(timeout=30)
        reader.read()

    with ThreadPoolExecutor(8) as pool:
        scrapes = [pool.submit(scrape) for _ in range(8)]
        everyone_came.wait(timeout=30)
        for each in scrapes:
            each.result(timeout=30)
    assert measured == [1]


def test_capacity_is_told_by_shard_only(settings: Settings, db: Database) -> None:
    with served(create_app(settings, db)) as client:
        idle = _samples(client)
        enqueue_jobs(db, 1)
        with db.begin() as tx:
            tx.exec_driver_sql("INSERT INTO workspace_lane (workspace, shard, ready) VALUES ('w', 'shard-00', true)")
            tx.exec_driver_sql("UPDATE job SET workspace = 'w'")
        flags.flip(db, "capacity.mode", "enforce", who="test", why="a test")
        capacity.override(db, CapacityPolicy(), workers=40, in_flight_max=2048, hours=1, who="test", why="a test")
        with db.begin() as tx:  # as the loop of the served ingress measures it too, should it look from now on
            tx.exec_driver_sql("UPDATE capacity_in_force SET by_shard = '{\"shard-00\": 1}'")
        busy = _samples(client)
    names = ("workers_desired", "workers_in_force", "workers_running", "in_flight_max")
    assert [idle.get((f"queue_pipeline_{name}", ())) for name in names] == [16, 16, 0, None]
    assert busy["queue_pipeline_workers_in_force", ()] == 40
    assert busy["queue_pipeline_in_flight_max", ()] == 2048
    drains = {labels[0]: value for (name, labels), value in busy.items() if name == "queue_pipeline_drains_desired"}
    assert drains == {"shard-00": 3, "shard-01": 0, "shard-02": 0, "shard-03": 0}
