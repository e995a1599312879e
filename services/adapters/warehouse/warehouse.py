"""The questions that ClickHouse answers about spending, over one connection that is opened when it is needed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any, Final, Self

from clickhouse_connect.driver import AsyncClient
from msgspec.structs import replace

from services.adapters.clickhouse import database_of, open_async_client
from services.adapters.settings import Settings
from services.adapters.warehouse import named
from services.adapters.warehouse.plan import Plan, buckets_of, plan, plan_over_time
from services.core.attribution import (
    MEASURES,
    By,
    Spending,
    SpendQuery,
    SpendRow,
    spending,
    without_comparison,
)
from services.core.period import Period
from services.core.window import Window, WindowKind

SECONDS_MAX: Final = 30
"""A question that takes longer is given up by the server."""

CLASSES: Final = ("input", "cache_read", "cache_write", "output")


class Warehouse:
    """Safe for concurrent calls of one event loop. Every question raises `clickhouse.FAILURES`.

    ClickHouse need not be there until the first question, and may go and come back.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._client: AsyncClient | None = None
        self._opening = asyncio.Lock()

    @classmethod
    async def open(cls, settings: Settings) -> Self:
        """The warehouse of an installation. Raises `AddressError`."""
        database_of(settings.clickhouse)
        return cls(settings.clickhouse)

    async def close(self) -> None:
        """Let go of the connection; a later question opens another."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def rows(self, name: str, /, **parameters: Any) -> list[dict[str, Any]]:
        """The rows of a query in `deploy/clickhouse/queries`, by column; values are bound by the server."""
        return await named.query(await self._connected(), name, **parameters)

    async def spend(self, query: SpendQuery) -> Spending:
        """What an organization spent, exact for any period. Raises `QuestionError` for too many windows of time."""
        kind = query.by.over_time
        if kind is not None:
            return await self._spend_over_time(query, kind)
        rows = await self._ask(plan(query))
        if query.by.by is By.TOKEN_CLASS:
            return _by_token_class(query, rows)
        return _by_name(query, rows)

    async def _spend_over_time(self, query: SpendQuery, kind: WindowKind) -> Spending:
        """Windows are compared by their place: the third day of a month with the third day of the one before."""
        now = await self._buckets(query, query.period, kind)
        before = [] if query.compare is None else await self._buckets(query, query.compare, kind)
        rows = []
        for place in range(max(len(now), len(before))):
            window, row = now[place] if place < len(now) else (None, SpendRow())
            past = before[place][1] if place < len(before) else SpendRow()
            if row == past == SpendRow():
                continue
            if window is not None:
                row = replace(row, name=_name(window), start_ms=window.start_ms)
            rows.append(row if query.compare is None else _beside(row, past))
        return spending(query, rows)

    async def _buckets(self, query: SpendQuery, period: Period, kind: WindowKind) -> list[tuple[Window, SpendRow]]:
        """Each window of a period with what was spent in it."""
        windows = buckets_of(period, kind)
        found = {row.pop("bucket"): SpendRow(**row) for row in await self._ask(plan_over_time(query, period, windows))}
        return [(window, found.get(window.start_ms // 1000, SpendRow())) for window in windows]

    async def _ask(self, planned: Plan) -> list[dict[str, Any]]:
        return await self.rows(planned.query, **planned.parameters)

    async def _connected(self) -> AsyncClient:
        async with self._opening:
            if self._client is None:
                client = await open_async_client(self._address)
                client.form_encode_query_params = True  # an address has no room for hundreds of names
                client.set_client_setting("max_execution_time", SECONDS_MAX)
                self._client = client
            return self._client


def _by_name(query: SpendQuery, rows: Iterable[dict[str, Any]]) -> Spending:
    named_rows, rest = [], None
    for row in rows:
        is_rest = row.pop("rest")
        if query.by.by is not By.TEAM:
            row["parent"] = ""  # all names are of one organization
        made = SpendRow(**row) if query.compare is not None else without_comparison(SpendRow(**row))
        if is_rest:
            rest = made
        else:
            named_rows.append(made)
    return spending(query, named_rows, rest)


def _by_token_class(query: SpendQuery, rows: Iterable[Mapping[str, int]]) -> Spending:
    """A row for each class; what has no class (stated costs, estimates, corrections) is under the empty name."""
    by_period = {bool(row["current"]): row for row in rows}
    now, before = (_classes(by_period.get(current, {})) for current in (True, False))
    if query.compare is not None:
        now = [_beside(row, past) for row, past in zip(now, before, strict=True)]
    made = spending(query, now)
    totals = {name: by_period.get(True, {}).get(name, 0) for name in MEASURES}
    return Spending(query, made.rows, None, replace(made.total, **totals))


def _classes(row: Mapping[str, int]) -> list[SpendRow]:
    cost = {name: row.get(f"{name}_cost_nanousd", 0) for name in CLASSES}
    tokens = {name: row.get(f"{name}_tokens", 0) for name in CLASSES}
    tokens["input"] -= tokens["cache_read"] + tokens["cache_write"]
    of_classes = [replace(SpendRow(name=n, cost_nanousd=cost[n]), **{f"{n}_tokens": tokens[n]}) for n in CLASSES]
    unclassed = SpendRow(
        cost_nanousd=row.get("cost_nanousd", 0) - sum(cost.values()),
        unpriced=row.get("unpriced", 0),
        unconfirmed_nanousd=row.get("unconfirmed_nanousd", 0),
    )
    return [*of_classes, unclassed]


def _beside(row: SpendRow, past: SpendRow) -> SpendRow:
    return replace(
        row,
        previous_nanousd=past.cost_nanousd,
        previous_requests=past.requests,
        previous_unpriced=past.unpriced,
    )


def _name(window: Window) -> str:
    return window.label.partition(":")[2]
