"""`/metrics` in Prometheus's format: the health snapshot, read when somebody scrapes, and this process's own counters.

Labels name shards, states, modes and providers only: never a workspace, a job or a person.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response

from queue_pipeline.domain.health import HealthSnapshot
from queue_pipeline.engine.capacity import CapacityStatus
from queue_pipeline.http.bounds import Threads
from queue_pipeline.http.capacity import CapacityCollector
from queue_pipeline.http.reading import HealthReader

_PREFIX = "queue_pipeline_"
_VERDICTS = ("pass", "breach", "inconclusive")

#: Fields of the snapshot that are one number each, and their help.
_PLAIN = {
    "oldest_due_age_seconds": "Age of the oldest due job, from when it first became due; 0 when nothing is due.",
    "stale_function_runs": "Function runs with an expired lease or without progress.",
    "orphaned_windows": "Dispatch windows that nobody took within the launch grace.",
    "unknown_sends": "Outbound messages whose outcome at the provider is not known.",
    "needs_human": "Outbound messages that wait for a person's decision.",
    "open_incidents": "Incidents that somebody was told of and that are not over.",
    "duplicate_sends": "Idempotency keys with more than one message at a provider, last day.",
    "late_writes_refused": "Writes refused because their claim had been fenced, last day.",
    "parked": "Jobs that a pause keeps from being due.",
    "starved_workspaces": "Workspaces with due work that were not served for long although others were.",
    "dead_rows": "Dead rows of the hot table that has most.",
    "transaction_age": "Transactions since the oldest row that is not frozen.",
    "started_jobs": "Jobs claimed in the last minute.",
    "finished_jobs": "Jobs finished in the last minute.",
}
_SHARD = {
    "pending_due": "Due jobs of the shard that wait.",
    "running": "Claimed jobs of the shard.",
    "oldest_due_age_seconds": "Age of the shard's oldest due job.",
    "heartbeat_age_seconds": "Seconds since the shard's function run was last heard; absent when nobody drains it.",
}


class SnapshotCollector(Collector):
    """Turns the present health reading into metrics. With the database away, only that fact remains."""

    def __init__(self, reader: HealthReader, inline_drains: Callable[[], int]) -> None:
        self._reader = reader
        self._inline_drains = inline_drains

    def collect(self) -> Iterator[Metric]:
        """The metrics of one scrape."""
        reading = self._reader.read()
        yield _gauge("database_up", "1 when the queue could be measured.", float(reading.snapshot is not None))
        yield _gauge("measure_seconds", "How long the last measurement took.", reading.took_seconds)
        yield _gauge("inline_drains", "Drains that this ingress started and that still run.", self._inline_drains())
        if reading.snapshot is None:
            return
        yield from _of_snapshot(reading.snapshot)
        age = reading.last_sweep_age_seconds
        if age is not None:
            yield _gauge("last_sweep_age_seconds", "Seconds since somebody last looked for stale function runs.", age)

    def describe(self) -> list[Metric]:
        """Nothing: registering must not need the database."""
        return []


def _of_snapshot(snapshot: HealthSnapshot) -> Iterator[Metric]:
    states = {"pending": snapshot.pending_due, "scheduled": snapshot.scheduled, "running": snapshot.running}
    yield _labelled("jobs", "Unfinished and dead jobs by state.", "state", {**states, "dead": snapshot.dead})
    for name, text in _PLAIN.items():
        yield _gauge(name, text, getattr(snapshot, name))
    waits = {"0.5": snapshot.wait_p50_seconds, "0.95": snapshot.wait_p95_seconds, "1": snapshot.wait_max_seconds}
    yield _labelled("wait_seconds", "Wait from due to claim, last minute, waiting jobs included.", "quantile", waits)
    verdicts = {verdict: float(snapshot.verdict == verdict) for verdict in _VERDICTS}
    yield _labelled("verdict", "1 for the verdict on the queue's health.", "verdict", verdicts)
    for name, text in _SHARD.items():
        values = {shard: getattr(health, name) for shard, health in snapshot.by_shard.items()}
        yield _labelled(f"shard_{name}", text, "shard", values)


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(_PREFIX + name, text, value=value)


def _labelled(name: str, text: str, label: str, values: Mapping[str, float | None]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(_PREFIX + name, text, labels=[label])
    for key, value in values.items():
        if value is not None:
            family.add_metric([key], value)
    return family


class Metrics:
    """The endpoint, with a registry of its own: nothing that another library registers shows up here."""

    def __init__(
        self, reader: HealthReader, inline_drains: Callable[[], int], capacity: Callable[[], CapacityStatus]
    ) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(SnapshotCollector(reader, inline_drains))
        self._registry.register(CapacityCollector(capacity))
        self._cron = Counter(
            f"{_PREFIX}cron_turns", "Turns of the cron endpoint by mode.", ["mode"], registry=self._registry
        )
        self._webhooks = Counter(
            f"{_PREFIX}webhooks",
            "Deliveries to the webhook endpoint by provider and what became of them.",
            ["provider", "outcome"],
            registry=self._registry,
        )
        self._threads = Threads(2)

    def count_webhook(self, provider: str, outcome: str) -> None:
        """Count one delivery to the webhook endpoint."""
        self._webhooks.labels(provider=provider, outcome=outcome).inc()

    def count_cron(self, mode: str) -> None:
        """Count one turn of the cron endpoint."""
        self._cron.labels(mode=mode).inc()

    async def answer(self, request: Request) -> Response:
        """All metrics, in the format that the scraper asks for."""
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        text = await self._threads.run(lambda: encode(self._registry))
        return Response(text, media_type=content_type)
