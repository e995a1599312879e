"""Forecasts an organization: asks for its past, computes beside the event loop, tells what has changed since."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from hashlib import blake2b

import msgspec

from services.core.forecast import Voice
from services.core.foresight_events import Forecast
from services.forecaster.crossings import Crossings, spent_by_now
from services.forecaster.herald import Herald
from services.forecaster.history import History, Position
from services.forecaster.outlooks import forecasts
from services.forecaster.plan import first_day, odd_budgets, today_in
from services.forecaster.policies import Policies


class Forecasting:
    """All organizations, one at a time. Raises `clickhouse.FAILURES`, and then has told nothing."""

    def __init__(
        self,
        history: History,
        herald: Herald,
        policies: Policies,
        crossings: Crossings,
        *,
        history_days: int,
        voices: Sequence[Voice],
        voice_days: int,
    ) -> None:
        self._history, self._herald, self._policies, self._crossings = history, herald, policies, crossings
        self._history_days, self._voices, self._voice_days = history_days, voices, voice_days
        self._told: dict[str, dict[tuple[str, str], bytes]] = {}

    @property
    def scopes(self) -> int:
        """How many forecasts stand."""
        return sum(map(len, self._told.values()))

    async def look(self, position: Position, at_ms: int) -> None:
        """Forecast one organization, and tell of budgets that are newly expected to be exceeded."""
        policy = self._policies.of(position.organization)
        zone = policy.zone
        first, today = first_day(policy, at_ms, self._history_days), today_in(policy.zone, at_ms)
        series = await self._history.daily(position.organization, zone, first, today, odd_budgets(policy))
        made = await asyncio.to_thread(
            forecasts, policy, series, at_ms, voices=self._voices, voice_days=self._voice_days
        )
        await self._herald.tell_forecasts(position.organization, self._news(position.organization, made))
        self._remember(position.organization, made)
        alerts = self._crossings.look(
            made,
            {each.forecast: spent_by_now(each, series[each.scope]) for each in made},
            partition=self._herald.partition_of(position.organization),
            offset=position.ledger_offset,
        )
        await self._herald.tell_alerts(position.organization, alerts)
        self._crossings.told(alerts)

    def _news(self, organization: str, made: Sequence[Forecast]) -> list[Forecast]:
        """Those that say something else than the last time; `_remember` them once they are told."""
        told = self._told.get(organization, {})
        return [each for each in made if told.get((each.scope, each.window)) != _digest(each)]

    def _remember(self, organization: str, made: Sequence[Forecast]) -> None:
        self._told[organization] = {(each.scope, each.window): _digest(each) for each in made}


def _digest(forecast: Forecast) -> bytes:
    """What a forecast says, whenever it was made."""
    said = msgspec.structs.replace(forecast, made_at_ms=0)
    return blake2b(msgspec.msgpack.encode(said), digest_size=16).digest()
