"""What a letter needs to know besides its notice: who is to be told, who answers for a budget, what is forecast."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec
from pydantic import ValidationError

from schemas.policy import Policy
from services.adapters import logs
from services.core.effects import PolicyEntry
from services.core.foresight_events import Forecast, ForecastMade
from services.core.notifying import Contact, contacts_of
from services.notifier.health import Health

FORECASTS_MAX = 100_000
log = logs.logger(__name__)
_decode_policy = msgspec.json.Decoder(PolicyEntry).decode
_decode_forecasts = msgspec.json.Decoder(list[ForecastMade]).decode


class Book:
    """Policies in force, latest forecasts. Where a policy cannot be read, the last good one stays."""

    def __init__(self, health: Health) -> None:
        self._health = health
        self._contacts: dict[str, tuple[Contact, ...]] = {}
        self._owners: dict[str, dict[str, Sequence[str]]] = {}
        self._offsets: dict[str, int] = {}
        self._forecasts: dict[tuple[str, str, str], Forecast] = {}

    def contacts(self, organization: str) -> tuple[Contact, ...]:
        """Whom an organization's policy names."""
        return self._contacts.get(organization, ())

    def owners(self, organization: str, budget: str | None) -> Sequence[str]:
        """Who answers for a budget, as far as the policy says."""
        return () if budget is None else self._owners.get(organization, {}).get(budget, ())

    def forecast(self, organization: str, scope: str, window: str | None) -> Forecast | None:
        """The latest forecast of a scope's window."""
        return None if window is None else self._forecasts.get((organization, scope, window))

    def take_policies(self, values: Iterable[bytes | None]) -> None:
        """Put entries of the policies changelog in force."""
        for value in values:
            if value is None:
                continue
            try:
                self._adopt(_decode_policy(value))
            except (msgspec.MsgspecError, ValidationError, ValueError, LookupError) as error:
                self._health.unreadable()
                log.error("a policy cannot be read, the one before it stays", reason=str(error))

    def take_forecasts(self, values: Iterable[bytes | None]) -> None:
        """Remember the latest forecasts."""
        for value in values:
            try:
                made = _decode_forecasts(value or b"[]")
            except msgspec.MsgspecError as error:
                self._health.unreadable()
                log.warning("forecasts cannot be read", reason=str(error))
                continue
            if len(self._forecasts) > FORECASTS_MAX:
                self._forecasts.clear()
            for event in made:
                self._forecasts[event.data.organization, event.data.scope, event.data.window] = event.data

    def _adopt(self, entry: PolicyEntry) -> None:
        name = entry.organization
        if self._offsets.get(name, -1) >= entry.offset:
            return
        self._contacts[name] = contacts_of(Policy.model_validate(entry.policy))
        self._owners[name] = {
            budget["name"]: (budget["owner"],) for budget in entry.policy.get("budgets", ()) if budget.get("owner")
        }
        self._offsets[name] = entry.offset
