"""`/metrics` for Prometheus: requests, process, queue and workers."""

from collections.abc import Iterator

from fastapi import FastAPI
from fastapi.responses import PlainTextResponse
from prometheus_client import CollectorRegistry, Metric, ProcessCollector
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from prometheus_fastapi_instrumentator import Instrumentator

from core.jobs.service import live_workers
from core.store import Store
from core.store.run_views import count_by_status


def expose_metrics(app: FastAPI) -> None:
    """Measure every request and add the route that Prometheus reads."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    registry.register(_Runs(app))
    measured = Instrumentator(
        registry=registry,
        excluded_handlers=["/metrics", "/health.*"],
        # A stream of events lasts as long as its run, which says nothing about how fast it was answered.
        should_exclude_streaming_duration=True,
    )
    measured.instrument(app).expose(
        app, tags=["health"], summary="Figures for Prometheus", response_class=PlainTextResponse
    )


class _Runs(Collector):
    """Reads the store when Prometheus asks."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app

    def describe(self) -> list[Metric]:
        # Registering must not read a store that is not open yet.
        return []

    def collect(self) -> Iterator[Metric]:
        store: Store = self._app.state.store
        runs = GaugeMetricFamily("tms_runs", "Runs by status", labels=["status"])
        for status, count in count_by_status(store).items():
            runs.add_metric([status], count)
        yield runs
        alive = len(live_workers(store))
        yield GaugeMetricFamily("tms_workers_alive", "Workers heard of lately", value=alive)
