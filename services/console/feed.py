"""What was said lately: the newest alerts, anomalies, forecasts and decisions of each organization. Pure, bounded."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Final, Generic, TypeVar

from msgspec import Struct

from services.core.decide import Action
from services.core.decision import Decision
from services.core.foresight_events import Anomaly, Forecast
from services.core.outcomes import Alert

Said = TypeVar("Said")
NOTABLE: Final = (Action.DENY, Action.THROTTLE, Action.FALLBACK)
"""What a caller did not simply get: worth a line on every page."""

_ALERTS_MAX: Final = 200
_ANSWERS_MAX: Final = 1_000
_ANOMALIES_MAX: Final = 200
_DECISIONS_MAX: Final = 150
_FORECASTS_MAX: Final = 5_000


class Answer(Struct, frozen=True, gc=False):
    """Who has taken an alert from here, as the audit log has it."""

    by: str
    note: str
    at_ms: int


class Latest(Generic[Said]):
    """The last things said of each organization, by name: said again, a thing replaces the one before."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._by_organization: dict[str, OrderedDict[str, Said]] = {}

    def put(self, organization: str, name: str, said: Said) -> None:
        """Add the newest; the oldest beyond what is kept goes."""
        kept = self._by_organization.setdefault(organization, OrderedDict())
        kept[name] = said
        kept.move_to_end(name)
        if len(kept) > self._most:
            kept.popitem(last=False)

    def get(self, organization: str, name: str) -> Said | None:
        """What was said last under a name."""
        kept = self._by_organization.get(organization)
        return None if kept is None else kept.get(name)

    def of(self, organization: str) -> Iterator[Said]:
        """The newest first."""
        return reversed(self._by_organization.get(organization, {}).values())

    def find(self, name: str) -> Said | None:
        """What was said under a name, of whichever organization."""
        return next((kept[name] for kept in self._by_organization.values() if name in kept), None)


class Feed:
    """The topics that tell of single things."""

    def __init__(self) -> None:
        self.alerts: Latest[Alert] = Latest(_ALERTS_MAX)
        self.answers: Latest[Answer] = Latest(_ANSWERS_MAX)
        """By the alert that was answered."""
        self.anomalies: Latest[Anomaly] = Latest(_ANOMALIES_MAX)
        self.decisions: Latest[Decision] = Latest(_DECISIONS_MAX)
        self.notable: Latest[Decision] = Latest(_DECISIONS_MAX)
        self._forecasts: Latest[Forecast] = Latest(_FORECASTS_MAX)

    def take_alert(self, alert: Alert) -> None:
        """An alert was raised."""
        self.alerts.put(alert.organization, alert.alert, alert)

    def take_answer(self, organization: str, alert: str, answer: Answer) -> None:
        """Somebody takes an alert; of several, the first holds."""
        known = self.answers.get(organization, alert)
        if known is None or answer.at_ms < known.at_ms:
            self.answers.put(organization, alert, answer)

    def take_anomaly(self, anomaly: Anomaly) -> None:
        """An episode was found, or is told again with what is known since."""
        self.anomalies.put(anomaly.organization, anomaly.anomaly, anomaly)

    def take_decision(self, decision: Decision) -> None:
        """A decision was published; those by which a caller did not simply get its way are kept apart."""
        self.decisions.put(decision.organization, decision.decision, decision)
        if decision.action in NOTABLE:
            self.notable.put(decision.organization, decision.decision, decision)

    def take_forecast(self, forecast: Forecast) -> None:
        """A forecast was made; of one scope and window, the newest holds."""
        name = f"{forecast.scope}@{forecast.window}"
        known = self._forecasts.get(forecast.organization, name)
        if known is None or forecast.made_at_ms >= known.made_at_ms:
            self._forecasts.put(forecast.organization, name, forecast)

    def forecast(self, organization: str, scope: str, window: str) -> Forecast | None:
        """What is expected of a scope in a window."""
        return self._forecasts.get(organization, f"{scope}@{window}")

    def forecasts(self, organization: str, window: str) -> list[Forecast]:
        """All that is expected in a window, the largest first."""
        found = [forecast for forecast in self._forecasts.of(organization) if forecast.window == window]
        return sorted(found, key=lambda forecast: (-forecast.total_nanousd, forecast.scope))
