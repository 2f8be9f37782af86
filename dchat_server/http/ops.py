"""What operators and balancers ask: health, readiness, metrics, the contract itself."""

from __future__ import annotations

import time
from collections.abc import Iterator

from aiohttp import hdrs, web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from dchat_server import __version__
from dchat_server.errors import FAILURES, ChatError, is_error
from dchat_server.http.body import answer
from dchat_server.http.metrics import ClusterMetrics, Figures
from dchat_server.http.parts import CONFIG
from dchat_server.http.worker import WORKER, Worker

SHOWN_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Of the bounds of `latency.py`: each costs a series."""
REGISTRY: web.AppKey[CollectorRegistry] = web.AppKey("registry", CollectorRegistry)


async def get_healthz(request: web.Request) -> web.StreamResponse:
    """GET /healthz"""
    return answer({"status": "ok", "version": __version__})


async def get_readyz(request: web.Request) -> web.StreamResponse:
    """GET /readyz"""
    worker = request.app[WORKER]
    if worker.draining:
        return answer({"status": "draining"}, 503, {"Retry-After": "5"})
    if not worker.pump.alive:
        return answer({"status": "no message log"}, 503, {"Retry-After": "2"})
    return answer({"status": "ready", "worker": worker.name, "streams": worker.hub.count})


async def get_metrics(request: web.Request) -> web.StreamResponse:
    """GET /metrics: for whoever asks the worker itself, not for those who come through a balancer."""
    if request.app[CONFIG].trusted_proxies and hdrs.X_FORWARDED_FOR in request.headers:
        raise ChatError("not_found")
    body = generate_latest(request.app[REGISTRY])
    return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})


async def get_openapi(request: web.Request) -> web.StreamResponse:
    """GET /openapi.json"""
    from dchat_server.http.openapi import document  # here: most workers are never asked, and it is long

    return answer(document())


class WorkerMetrics(Collector):
    """Reads the worker's own counters when somebody scrapes: the hot path counts nothing for it."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    def collect(self) -> Iterator[Metric]:
        worker = self._worker
        hub = worker.hub
        gauges = (
            ("dchat_streams", "Open event streams.", hub.count),
            ("dchat_log_reader_alive", "1 while the worker's reader of the message log is alive.", worker.pump.alive),
            ("dchat_draining", "1 while the worker is stopping.", worker.draining),
            ("dchat_uptime_seconds", "Seconds since the worker started.", time.monotonic() - worker.started),
        )
        counters = (
            ("dchat_messages_sent", "Messages this worker stored in the log.", worker.publisher.sent),
            ("dchat_deliveries", "Events written to streams.", hub.delivered),
            ("dchat_slow_streams_closed", "Streams closed because they did not keep up.", hub.closed_slow),
        )
        for name, text, value in gauges:
            gauge = GaugeMetricFamily(name, text, labels=["worker"])
            gauge.add_metric([worker.name], float(value))
            yield gauge
        for name, text, value in counters:
            counter = CounterMetricFamily(name, text, labels=["worker"])
            counter.add_metric([worker.name], float(value))
            yield counter
        refused = CounterMetricFamily("dchat_refused_requests", "Requests refused, by code.", labels=["worker", "code"])
        # Those that are alarmed on are told before the first one: `increase` sees no step in what begins at 1.
        codes = worker.refused.keys() | {code for code in FAILURES if is_error(code)}
        for code in sorted(codes):
            refused.add_metric([worker.name, code], float(worker.refused[code]))
        yield refused
        times = (
            ("dchat_send_seconds", "From the request of a message to its answer, where it was stored.", worker.sends),
            (
                "dchat_delivery_seconds",
                "From the request of a message to when this worker's streams were given it; of some of them.",
                hub.trail.times,
            ),
        )
        for name, text, histogram in times:
            family = HistogramMetricFamily(name, text, labels=["worker"])
            family.add_metric([worker.name], histogram.up_to(SHOWN_S), histogram.seconds)
            yield family


def registry_of(worker: Worker, figures: Figures | None = None) -> CollectorRegistry:
    """What `/metrics` shows of this process: the worker's own, and those of its part in the cluster."""
    registry = CollectorRegistry()
    registry.register(WorkerMetrics(worker))
    if figures is not None:
        registry.register(ClusterMetrics(worker.name, figures))
    ProcessCollector(registry=registry)
    return registry
