"""What ClickHouse knows of the past: daily and hourly spending by scope, and who moved; all by named queries."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from clickhouse_connect.driver import AsyncClient

from services.adapters.clickhouse import FAILURES, open_async_client
from services.adapters.settings import Settings
from services.adapters.warehouse.named import query
from services.core.forecast import DailySeries
from services.core.policy import Budget, budget_scope
from services.core.scope import scope_key
from services.core.wallclock import midnight_s

HOUR_MS = 3_600_000
WEEK_DAYS = 7


@dataclass(frozen=True, slots=True)
class Position:
    """How far the charges of an organization have arrived in ClickHouse."""

    organization: str
    topic_offset: int
    ledger_offset: int


@dataclass(frozen=True, slots=True)
class Moved:
    """What a value of a dimension spent in some hours, and in the same hours of a usual day. Nano-dollars."""

    dimension: str
    value: str
    observed_nanousd: int
    usual_nanousd: int


class History:
    """One client for all questions, opened when the first is asked. All raise `clickhouse.FAILURES`."""

    def __init__(self, settings: Settings, *, scopes_max: int) -> None:
        self._settings, self._scopes_max = settings, scopes_max
        self._client: AsyncClient | None = None

    async def close(self) -> None:
        """Drop the connection."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def positions(self, since_ms: int) -> list[Position]:
        """Every organization with charges of that instant and later."""
        rows = await self._rows("spend_positions", since_ms=since_ms)
        return [Position(row["organization"], int(row["topic_offset"]), int(row["ledger_offset"])) for row in rows]

    async def daily(
        self, organization: str, zone: ZoneInfo, first: date, today: date, budgets: Sequence[Budget]
    ) -> dict[str, DailySeries]:
        """The days from `first` up to and with `today` of every level, and of the scopes that budgets name besides."""
        span = {
            "organization": organization,
            "zone": zone.key,
            "since_ms": midnight_s(first, zone) * 1000,
            "until_ms": midnight_s(today + timedelta(1), zone) * 1000,
            "most": self._scopes_max,
        }
        days = (today - first).days + 1
        found = {}
        for row in await self._rows("daily_spend_by_level", **span):
            scope = level_scope(organization, row)
            found[scope] = _series(scope, first, days, row)
        for pattern in dict.fromkeys(budget.pattern for budget in budgets):
            names = [name for name, _ in pattern]
            rows = await self._rows(
                "daily_spend_by_dimensions", **span, dimensions=names, wanted=[value for _, value in pattern]
            )
            for row in rows:
                scope = budget_scope(organization, dict(zip(names, row["scope"], strict=True)))
                found[scope] = _series(scope, first, days, row)
        return found

    async def hourly(self, organization: str, since_ms: int, until_ms: int) -> dict[str, list[tuple[int, int]]]:
        """Hours (UTC milliseconds) and what was spent in them, in order, of every level; hours without are left out."""
        rows = await self._rows(
            "hourly_spend_by_level",
            organization=organization,
            since_ms=since_ms,
            until_ms=until_ms,
            most=self._scopes_max,
        )
        return {level_scope(organization, row): list(zip(row["hours"], row["amounts"], strict=True)) for row in rows}

    async def moved(self, dimensions: Mapping[str, str], begin_ms: int, end_ms: int, *, most: int) -> list[Moved]:
        """Who spent what in these hours, and in the same hours of the week before, on an average day."""
        length = (end_ms - begin_ms) // HOUR_MS
        hours = sorted({(begin_ms // HOUR_MS + n) % 24 for n in range(min(length, 24))})
        rows = await self._rows(
            "spend_moved",
            organization=dimensions["org"],
            **{name: dimensions.get(name, "") for name in ("project", "team", "user")},
            before_ms=begin_ms - WEEK_DAYS * 24 * HOUR_MS,
            since_ms=begin_ms,
            until_ms=end_ms,
            hours=hours,
            most=most,
        )
        share = WEEK_DAYS * len(hours)
        return [
            Moved(
                row["dimension"],
                row["value"],
                int(row["observed_nanousd"]),
                int(row["before_nanousd"]) * length // share,
            )
            for row in rows
        ]

    async def told(self, organization: str, since_ms: int) -> list[tuple[str, int, int, str]]:
        """The anomalies that were told: scope, where they begin, the hour that showed them, and their names."""
        rows = await self._rows("anomalies_told", organization=organization, since_ms=since_ms)
        return [(row["scope"], int(row["begins_ms"]), int(row["hour_ms"]), row["anomaly"]) for row in rows]

    async def _rows(self, name: str, **parameters: Any) -> list[dict[str, Any]]:
        async with self._connected() as client:
            return await query(client, name, **parameters)

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[AsyncClient]:
        if self._client is None:
            self._client = await open_async_client(self._settings.clickhouse)
        try:
            yield self._client
        except FAILURES:
            await self.close()
            raise


def level_scope(organization: str, row: Mapping[str, Any]) -> str:
    """The scope of a row that is of a level."""
    named = {name: row[name] for name in ("project", "team", "user") if row[name]}
    return scope_key({"org": organization, **named})


def _series(scope: str, first: date, days: int, row: Mapping[str, Any]) -> DailySeries:
    amounts = np.zeros(days, dtype=np.int64)
    for day, nanousd in zip(row["days"], row["amounts"], strict=True):
        amounts[max(0, (day - first).days)] += nanousd  # a midnight that strikes twice shows the day before once more
    return DailySeries(scope, first, amounts)
