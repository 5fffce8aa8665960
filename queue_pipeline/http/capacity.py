"""Capacity in Prometheus's format: what Prometheus shows, and what KEDA or an operator's own autoscaler scales by."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from queue_pipeline.domain.errors import Transient
from queue_pipeline.engine.capacity import CapacityStatus

_PREFIX = "queue_pipeline_"


class CapacityCollector(Collector):
    """What holds at the moment of the scrape. With the database away, there is nothing to tell."""

    def __init__(self, status: Callable[[], CapacityStatus]) -> None:
        self._status = status

    def collect(self) -> Iterator[Metric]:
        """The metrics of one scrape."""
        try:
            status = self._status()
        except Transient:
            return
        in_force = status.policy.configured if status.workers is None else status.workers
        yield _gauge("workers_desired", "Handlers at once by the latest decision, enforced or not.", status.desired)
        yield _gauge(
            "workers_in_force", "Handlers at once that drains are to allow; as configured without control.", in_force
        )
        yield _gauge("workers_running", "Handlers at once that living drains allow now.", status.running)
        if status.in_flight_max is not None:
            yield _gauge("in_flight_max", "The cap on claimed jobs; absent when there is none.", status.in_flight_max)
        drains = GaugeMetricFamily(
            f"{_PREFIX}drains_desired", "Drains that a shard is to have; 0 when it has nothing to do.", labels=["shard"]
        )
        for shard, count in status.wanted.items():
            drains.add_metric([shard], count)
        yield drains

    def describe(self) -> list[Metric]:
        """Nothing: registering must not need the database."""
        return []


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(_PREFIX + name, text, value=value)
