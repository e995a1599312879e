"""How often routes answered, and how fast: two metrics a transport, counted in a third of the client library's time."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from itertools import accumulate

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from services.adapters.metrics import DEFINITIONS, LATENCY_BUCKETS_S, CounterName, HistogramName

REQUESTS: CounterName = "spendgate_http_requests_total"
SECONDS: HistogramName = "spendgate_http_request_seconds"
BOUNDS = [*map(str, LATENCY_BUCKETS_S), "+Inf"]


class RouteMeter:
    """The answers of one route. Not for several threads: it belongs to the event loop."""

    __slots__ = ("buckets", "route", "seconds", "statuses")

    def __init__(self, route: str) -> None:
        self.route = route
        self.statuses: dict[int, int] = {}
        self.buckets = [0] * len(BOUNDS)
        self.seconds = 0.0

    def answered(self, status: int, seconds: float) -> None:
        """Count one answer."""
        self.statuses[status] = self.statuses.get(status, 0) + 1
        self.buckets[bisect_left(LATENCY_BUCKETS_S, seconds)] += 1
        self.seconds += seconds


class RouteMeters(Collector):
    """All routes of one transport, as Prometheus collects them."""

    def __init__(self, requests: CounterName = REQUESTS, seconds: HistogramName = SECONDS) -> None:
        self._requests, self._seconds = requests, seconds
        self._meters: dict[str, RouteMeter] = {}

    def of(self, route: str) -> RouteMeter:
        """The meter of a route, made when it is first asked for."""
        return self._meters.setdefault(route, RouteMeter(route))

    def collect(self) -> Iterator[Metric]:
        """Both metric families."""
        counted, timed = DEFINITIONS[self._requests], DEFINITIONS[self._seconds]
        requests = CounterMetricFamily(self._requests, counted.says, labels=counted.labels)
        seconds = HistogramMetricFamily(self._seconds, timed.says, labels=timed.labels)
        for meter in self._meters.values():
            for status, count in meter.statuses.items():
                requests.add_metric([meter.route, str(status)], count)
            cumulative = list(zip(BOUNDS, accumulate(meter.buckets), strict=True))
            seconds.add_metric([meter.route], cumulative, meter.seconds)
        yield requests
        yield seconds
