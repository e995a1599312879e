"""What only ClickHouse knows: named queries, asked for as long as a page can wait, and an answer when it is away."""

from __future__ import annotations

import asyncio
from typing import Any

from clickhouse_connect.driver import AsyncClient

from services.adapters import logs
from services.adapters.clickhouse import FAILURES, AddressError, explain, open_async_client
from services.adapters.settings import Settings
from services.adapters.warehouse.named import query

log = logs.logger(__name__)


class HistoryAway(Exception):
    """ClickHouse does not answer, or not in time; the message says what it says."""


class History:
    """One client of ClickHouse for all pages, opened when the first of them asks and again after a failure."""

    def __init__(self, settings: Settings, *, timeout_s: float) -> None:
        self._settings, self._timeout_s = settings, timeout_s
        self._client: AsyncClient | None = None
        self._opening = asyncio.Lock()
        self.reason: str | None = None
        """Why the last question had no answer; None when it had one."""

    async def rows(self, name: str, **parameters: Any) -> list[dict[str, Any]]:
        """The rows of a named query. Raises `HistoryAway`."""
        try:
            async with asyncio.timeout(self._timeout_s):
                rows = await query(await self.client(), name, **parameters)
        except (*FAILURES, AddressError) as error:
            self.reason = explain(error)
            log.warning("ClickHouse did not answer", query=name, reason=self.reason)
            raise HistoryAway(self.reason) from error
        self.reason = None
        return rows

    async def ask(self, name: str, /, **parameters: Any) -> list[dict[str, Any]]:
        """The rows of a named query, for whoever can wait longer than a page. Raises `FAILURES` and `AddressError`."""
        return await query(await self.client(), name, **parameters)

    async def client(self) -> AsyncClient:
        """The client that is shared, opened if need be. Raises `FAILURES` and `AddressError`."""
        async with self._opening:
            if self._client is None:
                self._client = await open_async_client(self._settings.clickhouse)
            return self._client

    async def close(self) -> None:
        """Disconnect."""
        if self._client is not None:
            await self._client.close()
            self._client = None
