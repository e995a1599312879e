"""What the RPC counts of itself."""

from __future__ import annotations

from collections.abc import Collection

from services.adapters.meter import RouteMeter, RouteMeters
from services.adapters.metrics import Metrics


class Meters:
    """The metrics of one RPC server. Methods that there are not count as one, or a client could invent them."""

    def __init__(self, metrics: Metrics, methods: Collection[str]) -> None:
        collector = RouteMeters("spendgate_rpc_requests_total", "spendgate_rpc_request_seconds")
        metrics.registry.register(collector)
        self._metrics = metrics
        self._failures = metrics.counter("spendgate_rpc_failures_total")
        self._methods = {method: collector.of(method) for method in methods}
        self._unknown = collector.of("unknown")
        self.connections = metrics.gauge("spendgate_rpc_connections")

    def of(self, method: str) -> RouteMeter:
        """How often a method was answered, and how fast."""
        return self._methods.get(method, self._unknown)

    def refused(self, code: str) -> None:
        """A connection was closed by us."""
        self._metrics.counter("spendgate_rpc_refused_connections_total", code=code).inc()

    def failed(self) -> None:
        """A call failed by a defect of ours."""
        self._failures.inc()
