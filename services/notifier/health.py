"""What the notifier knows of its own health: the facts behind `/readyz`, and its metrics."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from services.adapters import logs
from services.adapters.metrics import Metrics
from services.adapters.web import Readiness
from services.core.notification_events import Fate

Where = Literal["policies", "events"]
log = logs.logger(__name__)


@dataclass(slots=True)
class Health:
    """What stands in the way, by where it is: each trouble stays until it is over. At first, nothing is known."""

    metrics: Metrics
    _troubles: dict[Where, str] = field(default_factory=lambda: {"policies": "not read yet", "events": "not read yet"})

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
        """Ready: the policies are known, and the alerts of before have been read."""
        return Readiness(not self._troubles, {"waiting_for": dict(self._troubles)})

    def planned(self, deliveries: int) -> None:
        """A notice was new, and leads to so many deliveries."""
        self.metrics.counter("spendgate_notifier_notices_total").inc()
        self.metrics.counter("spendgate_notifier_deliveries_total").inc(deliveries)

    def ended(self, fate: Fate, deliveries: int) -> None:
        """Deliveries have come to an end."""
        self.metrics.counter("spendgate_notifications_total", state=fate).inc(deliveries)

    def tried(self, seconds: float, *, taken: bool) -> None:
        """A receiver was sent a message."""
        self.metrics.histogram("spendgate_notifier_attempt_seconds", taken=str(taken).lower()).observe(seconds)

    def unreadable(self) -> None:
        """A policy or an event could not be read."""
        self.metrics.counter("spendgate_notifier_unreadable_total").inc()
