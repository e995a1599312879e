"""What the steward knows of its own health: the facts behind `/readyz`, and its metrics."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from services.adapters import logs
from services.adapters.metrics import Metrics
from services.adapters.web import Readiness

Where = Literal["policies", "balances", "forecasts", "ledger"]
log = logs.logger(__name__)


@dataclass(slots=True)
class Health:
    """What stands in the way, by where it is: each trouble stays until it is over. At first, nothing is known."""

    metrics: Metrics
    _troubles: dict[Where, str] = field(
        default_factory=lambda: dict.fromkeys(("policies", "balances", "forecasts", "ledger"), "not reached yet")
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

    @property
    def well(self) -> bool:
        """Whether everything is known that a decision takes."""
        return not self._troubles

    def readiness(self) -> Readiness:
        """Ready: everything has been read."""
        return Readiness(self.well, {"waiting_for": dict(self._troubles)})

    def asked(self, moves: int) -> None:
        """Moves were asked for: whether they happen, the ledger decides."""
        self.metrics.counter("spendgate_steward_moves_total").inc(moves)

    def failed(self) -> None:
        """An organization could not be looked at, by a defect of ours."""
        self.metrics.counter("spendgate_steward_failures_total").inc()

    def unreadable(self) -> None:
        """Something that others wrote could not be read."""
        self.metrics.counter("spendgate_steward_unreadable_total").inc()
