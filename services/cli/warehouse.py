"""What ClickHouse says to commands: decisions, what has arrived, and the two sums it keeps of spending."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import msgspec
from clickhouse_connect.driver import AsyncClient
from msgspec import Struct

from services.adapters.clickhouse import FAILURES, AddressError, explain, open_async_client
from services.adapters.settings import Settings
from services.cli.errors import CliError, Unreachable
from services.core.events import to_ms

POLL_S = 0.25
IN_VIEWS = """
SELECT (SELECT sum(requests) FROM charges) = (SELECT sum(requests) FROM spend_by_hour)
   AND (SELECT sum(requests) FROM charges) = (SELECT sum(requests) FROM spend_by_day)
   AND (SELECT sum(requests) FROM charges) = (SELECT sum(requests) FROM spend_by_day_user)
   AND (SELECT sum(requests) FROM charges) = (SELECT sum(requests) FROM spend_of_users)
   AND (SELECT sum(requests * length(tags)) FROM charges) = (SELECT sum(requests) FROM spend_by_day_tag)
"""


class Decided(Struct, frozen=True):
    """A decision in a list. An amount is None for what has no price; names are empty where there are none."""

    decision: str
    decided_at: datetime
    action: str
    reason: str
    binding_budget: str
    project: str
    team: str
    user: str
    model: str
    estimate_nanousd: int | None


class Warehouse:
    """The questions that the command line asks."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def raw_nanousd(self, organization: str) -> int:
        """The sum over every charge."""
        return await self._number("SELECT sum(ifNull(cost_nanousd, 0)) FROM charges", organization)

    async def rollup_nanousd(self, organization: str) -> int:
        """The sum over the roll-up by hour."""
        return await self._number("SELECT sum(cost_nanousd) FROM spend_by_hour", organization)

    async def requests(self, organization: str) -> int:
        """How many requests have been charged."""
        return await self._number("SELECT sum(requests) FROM charges", organization)

    async def explanation(self, decision: str) -> dict[str, Any] | None:
        """A decision exactly as it was answered; None when it is not here."""
        sql = "SELECT explanation FROM decisions WHERE decision = {decision:String} LIMIT 1"
        rows = await self._rows(sql, {"decision": decision})
        return msgspec.json.decode(rows[0][0], type=dict[str, Any]) if rows else None

    async def decisions(self, organization: str, since: datetime, *, denied: bool, most: int) -> list[Decided]:
        """The last decisions, the latest first; only those by which no request was made, if `denied`."""
        which = " AND action IN ('deny', 'throttle')" if denied else ""
        sql = f"""
            SELECT {", ".join(Decided.__struct_fields__)} FROM decisions
            WHERE organization = {{organization:String}}
              AND decided_at >= fromUnixTimestamp64Milli({{since_ms:Int64}}){which}
            ORDER BY decided_at DESC, decision DESC LIMIT {{most:UInt32}}
        """  # noqa: S608 - made of the names of columns alone
        rows = await self._rows(sql, {"organization": organization, "since_ms": to_ms(since), "most": most})
        return [Decided(*row) for row in rows]

    async def charges(self) -> dict[int, int]:
        """The last sequence number of each ledger partition."""
        sql = "SELECT ledger_partition, max(sequence) FROM charges GROUP BY ledger_partition"
        return {int(partition): int(last) for partition, last in await self._rows(sql, {})}

    async def await_requests(self, organization: str, count: int, *, timeout_s: float) -> bool:
        """Wait until so many requests are charged; False when that takes too long."""

        async def arrived() -> bool:
            return await self.requests(organization) >= count and await self._in_views()

        return await _within(timeout_s, arrived)

    async def await_charges(self, posted: Mapping[int, int], *, timeout_s: float) -> bool:
        """Wait until all charges that the aggregator posted are here; False when that takes too long."""

        async def arrived() -> bool:
            stored = await self.charges()
            return all(stored.get(partition, 0) >= count for partition, count in posted.items()) and (
                await self._in_views()
            )

        return await _within(timeout_s, arrived)

    async def _in_views(self) -> bool:
        """Whether the roll-ups have what the charges have: an insert shows in its table first."""
        return bool((await self._rows(IN_VIEWS, {}))[0][0])

    async def _number(self, select: str, organization: str) -> int:
        sql = f"{select} WHERE organization = {{organization:String}}"
        return int((await self._rows(sql, {"organization": organization}))[0][0])

    async def _rows(self, sql: str, parameters: Mapping[str, Any]) -> Sequence[Sequence[Any]]:
        result = await self._client.query(sql, parameters=dict(parameters))
        rows: Sequence[Sequence[Any]] = result.result_rows
        return rows


async def _within(timeout_s: float, arrived: Callable[[], Awaitable[bool]]) -> bool:
    deadline = asyncio.get_running_loop().time() + timeout_s
    while not await arrived():
        if asyncio.get_running_loop().time() > deadline:
            return False
        await asyncio.sleep(POLL_S)
    return True


@asynccontextmanager
async def open_warehouse(settings: Settings) -> AsyncIterator[Warehouse]:
    """A connection. Raises Unreachable, with advice, whenever ClickHouse fails in the block."""
    try:
        client = await open_async_client(settings.clickhouse)
        try:
            yield Warehouse(client)
        finally:
            await client.close()
    except AddressError as error:
        raise CliError(str(error)) from error
    except FAILURES as error:
        raise Unreachable(f"ClickHouse: {explain(error)}", advice="is the stack running? `spendgate up`") from error
