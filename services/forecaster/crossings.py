"""Which budgets are newly expected to be exceeded: told once a crossing, and again only after it had passed. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from services.core.event_id import event_id
from services.core.forecast import DailySeries
from services.core.foresight_events import BudgetRisk, Forecast
from services.core.money import format_usd
from services.core.outcomes import Alert

CRITICAL = 0.95
"""From this probability on an alert is critical."""


@dataclass(slots=True)
class Crossing:
    """What was told of one budget on one scope, in the last window in which anything was."""

    window: str
    told: list[str] = field(default_factory=list)
    armed: bool = True


class Crossings:
    """Remembers what was told. After a restart it is given that back, and nothing is told a second time."""

    def __init__(self, *, above: float, below: float) -> None:
        self._above, self._below = above, below
        self._known: dict[tuple[str, str], Crossing] = {}

    def restore(self, alert: Alert) -> None:
        """An alert that was told before, in the order in which they were; others than projections change nothing."""
        if alert.kind != "projection":
            return
        crossing = self._of(alert.budget, alert.scope, alert.window)
        crossing.armed = False
        if alert.alert not in crossing.told:
            crossing.told.append(alert.alert)

    def look(
        self, forecasts: Iterable[Forecast], spent: Mapping[str, int], *, partition: int, offset: int
    ) -> list[Alert]:
        """The alerts that are due; `told` marks each once it has been delivered.

        `spent` is what each forecast's scope and window has cost by now (by forecast id): a limit that is reached
        needs no prophecy any more. `partition` and `offset` say how far in the ledger the forecasts' knowledge reaches.
        """
        return [
            self._alert(forecast, risk, spent[forecast.forecast], partition, offset)
            for forecast in forecasts
            for risk in forecast.risks
            if self._is_due(forecast, risk, spent[forecast.forecast])
        ]

    def told(self, alerts: Iterable[Alert]) -> None:
        """These have been delivered."""
        for alert in alerts:
            self.restore(alert)

    def _is_due(self, forecast: Forecast, risk: BudgetRisk, spent_nanousd: int) -> bool:
        crossing = self._of(risk.budget, forecast.scope, forecast.window)
        if risk.probability < self._below:
            crossing.armed = True
        return crossing.armed and risk.probability >= self._above and spent_nanousd < risk.limit_nanousd

    def _alert(self, forecast: Forecast, risk: BudgetRisk, spent_nanousd: int, partition: int, offset: int) -> Alert:
        number = len(self._of(risk.budget, forecast.scope, forecast.window).told) + 1
        again = "" if number == 1 else f"/{number}"
        key = f"{forecast.scope}@{forecast.window}"
        return Alert(
            alert=event_id(key, before=f"{risk.budget}/", after=f"/projection{again}"),
            organization=forecast.organization,
            budget=risk.budget,
            scope=forecast.scope,
            window=forecast.window,
            threshold="1.0",
            severity="critical" if risk.probability >= CRITICAL else "warning",
            settled_usd=format_usd(spent_nanousd),
            limit_usd=format_usd(risk.limit_nanousd),
            raised_at_ms=forecast.made_at_ms,
            ledger_partition=partition,
            ledger_offset=offset,
            kind="projection",
            probability=risk.probability,
            projected_usd=format_usd(forecast.total_nanousd),
            expected_on=risk.exhausted_on,
        )

    def _of(self, budget: str, scope: str, window: str) -> Crossing:
        crossing = self._known.get((budget, scope))
        if crossing is None or crossing.window != window:
            crossing = self._known[budget, scope] = Crossing(window)
        return crossing


def spent_by_now(forecast: Forecast, series: DailySeries) -> int:
    """What the window has cost, the running day included; nano-dollars."""
    return forecast.spent_nanousd + series.between(forecast.as_of, forecast.ends)[0]
