"""What the forecaster knows of its own health: the facts behind `/readyz`, and its metrics."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from services.adapters import logs
from services.adapters.metrics import Metrics
from services.adapters.web import Readiness

Where = Literal["policies", "alerts", "clickhouse"]
Stage = Literal["forecast", "watch"]
log = logs.logger(__name__)


@dataclass(slots=True)
class Health:
    """What stands in the way, by where it is: each trouble stays until it is over. At first, nothing is known."""

    metrics: Metrics
    _troubles: dict[Where, str] = field(
        default_factory=lambda: {
            "policies": "not read yet",
            "alerts": "not read yet",
            "clickhouse": "not asked yet",
        }
    )

    def trouble(self, where: Where, reason: str) -> None:
        """Something does not work; it is tried again. Logged when it is news."""
        if self._troubles.get(where) != reason:
            log.warning("waiting", where=where, reason=reason)
        self._troubles[where] = reason

    def over(self, where: Where) -> None:
        """It works (again)."""
        if self._troubles.pop(where, None) is not None:
            log.info("going on", where=where)

    def readiness(self) -> Readiness:
        """Ready: what was told before is known, and the last questions had answers."""
        return Readiness(not self._troubles, {"waiting_for": dict(self._troubles)})

    def told(self, forecasts: int = 0, alerts: int = 0, anomalies: int = 0) -> None:
        """Events were delivered."""
        self.metrics.counter("spendgate_forecaster_forecasts_total").inc(forecasts)
        self.metrics.counter("spendgate_forecaster_alerts_total").inc(alerts)
        self.metrics.counter("spendgate_forecaster_anomalies_total").inc(anomalies)

    def looked(self, stage: Stage, seconds: float) -> None:
        """An organization was looked at."""
        self.metrics.histogram("spendgate_forecaster_seconds", stage=stage).observe(seconds)

    def failed(self, stage: Stage) -> None:
        """An organization could not be looked at, by a defect of ours."""
        self.metrics.counter("spendgate_forecaster_failures_total", stage=stage).inc()

    def unreadable(self) -> None:
        """A policy or an alert could not be read."""
        self.metrics.counter("spendgate_forecaster_unreadable_total").inc()

    def scopes(self, forecast: int, watched: int) -> None:
        """How many scopes there are to look at."""
        self.metrics.gauge("spendgate_forecaster_scopes", stage="forecast").set(forecast)
        self.metrics.gauge("spendgate_forecaster_scopes", stage="watch").set(watched)
