"""The work of the forecaster, round by round: whoever has new charges is looked at, and forecast when it is time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from datetime import date
from time import perf_counter
from typing import Final

from aiokafka.errors import KafkaError

from services.adapters import logs
from services.adapters.clickhouse import FAILURES, explain
from services.adapters.clock import now_ms
from services.adapters.publisher import Publisher
from services.forecaster.crossings import Crossings
from services.forecaster.forecasting import Forecasting
from services.forecaster.health import Health, Stage
from services.forecaster.history import History, Position
from services.forecaster.plan import today_in
from services.forecaster.policies import Policies
from services.forecaster.settings import ForecasterSettings
from services.forecaster.told_before import read_told
from services.forecaster.watch import Watch

DAY_MS: Final = 86_400_000
LATE_MS: Final = 3 * DAY_MS
"""Charges come at most so late (`core.balance.HORIZON_MS`); corrections of older ones wait for the next midnight."""
RETRY_S: Final = 1.0

log = logs.logger(__name__)


@dataclass(slots=True)
class Account:
    """How far an organization has been looked at. An offset of -1: not yet."""

    position: Position
    policy_version: int = -1
    watched: int = -1
    forecast: int = -1
    forecast_at_ms: int = 0
    forecast_on: date | None = None


class Rounds:
    """Runs until cancelled; one that fails is tried again by the next."""

    def __init__(
        self,
        settings: ForecasterSettings,
        health: Health,
        publisher: Publisher,
        history: History,
        policies: Policies,
        crossings: Crossings,
        forecasting: Forecasting,
        watch: Watch,
    ) -> None:
        self._settings, self._health, self._publisher = settings, health, publisher
        self._history, self._policies, self._crossings = history, policies, crossings
        self._forecasting, self._watch = forecasting, watch
        self._accounts: dict[str, Account] = {}
        self._read_all = False

    async def run(self) -> None:
        """Know what was told and which budgets there are, then go round and round."""
        await self._publisher.connect()
        await self._read_told()
        await self._policies.caught_up.wait()
        while True:
            done = await self.once(now_ms())
            await asyncio.sleep(self._settings.look_s if done else min(RETRY_S, self._settings.look_s))

    async def once(self, at_ms: int) -> bool:
        """One round: every organization that has moved, or whose day has begun. Whether ClickHouse answered."""
        try:
            await self._notice(at_ms)
            for organization, account in self._accounts.items():
                if account.watched < account.position.topic_offset:
                    await self._watched(account, organization, at_ms)
                if self._is_due(account, organization, at_ms):
                    await self._forecast(account, organization, at_ms)
        except FAILURES as error:
            self._health.trouble("clickhouse", explain(error))
            return False
        self._health.over("clickhouse")
        self._health.scopes(self._forecasting.scopes, self._watch.scopes)
        return True

    async def _notice(self, at_ms: int) -> None:
        """Find out who has new charges: the first time everyone who has a past, then who has spent anything lately."""
        back_ms = LATE_MS if self._read_all else self._settings.history_days * DAY_MS
        for position in await self._history.positions(at_ms - back_ms):
            account = self._accounts.setdefault(position.organization, Account(position))
            if position.topic_offset > account.position.topic_offset:
                account.position = position
        self._read_all = True

    async def _watched(self, account: Account, organization: str, at_ms: int) -> None:
        reached = account.position.topic_offset
        if await self._guarded("watch", organization, self._watch.look(organization, at_ms)):
            account.watched = reached

    async def _forecast(self, account: Account, organization: str, at_ms: int) -> None:
        policy = self._policies.of(organization)
        reached = account.position.topic_offset
        if await self._guarded("forecast", organization, self._forecasting.look(account.position, at_ms)):
            account.forecast = reached
        account.forecast_at_ms, account.forecast_on = at_ms, today_in(policy.zone, at_ms)
        account.policy_version = policy.version

    def _is_due(self, account: Account, organization: str, at_ms: int) -> bool:
        policy = self._policies.of(organization)
        if account.forecast_on != today_in(policy.zone, at_ms) or account.policy_version != policy.version:
            return True
        waited = at_ms - account.forecast_at_ms >= self._settings.forecast_s * 1000
        return waited and account.forecast < account.position.topic_offset

    async def _guarded(self, stage: Stage, organization: str, look: Awaitable[object]) -> bool:
        """Whether it succeeded: what is wrong with one organization's past must not keep the others waiting."""
        started = perf_counter()
        try:
            await look
        except FAILURES:
            raise
        except Exception:
            self._health.failed(stage)
            log.exception("an organization could not be looked at", stage=stage, organization=organization)
            return False
        self._health.looked(stage, perf_counter() - started)
        return True

    async def _read_told(self) -> None:
        while True:
            try:
                return await read_told(self._settings, self._crossings, self._health)
            except (KafkaError, OSError) as error:
                self._health.trouble("alerts", str(error) or repr(error))
                await asyncio.sleep(RETRY_S)
