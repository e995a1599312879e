"""Inserts into ClickHouse that may be repeated: the settings that make the second one of a range change nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import pyarrow as pa
from clickhouse_connect.driver import AsyncClient

from services.sink.ranges import Range

# A token covers one block of rows. These thresholds keep an insert, and what its views make of it, in one block of any
# size: of several, a repetition could cut the rows elsewhere, and the tokens would no longer name the same ones.
ONE_BLOCK: Final[Mapping[str, Any]] = {
    "min_insert_block_size_rows": 1 << 40,
    "min_insert_block_size_bytes": 1 << 50,
}
REPEATABLE: Final[Mapping[str, Any]] = {
    "async_insert": 0,
    "insert_deduplicate": 1,
    # A view whose target missed the rows, because the server died between the two, gets them on the repetition.
    "deduplicate_blocks_in_dependent_materialized_views": 1,
    "max_partitions_per_insert_block": 0,
    **ONE_BLOCK,
}


class Store:
    """ClickHouse as the carriers share it; the connection is made when it is first needed."""

    def __init__(self, connect: Callable[[], Awaitable[AsyncClient]]) -> None:
        self._connect = connect
        self._client: AsyncClient | None = None
        self._connecting = asyncio.Lock()

    async def insert(self, table: str, rows: pa.Table, stretch: Range) -> None:
        """Insert the rows of a range; inserting them again changes nothing. Raises `clickhouse.FAILURES`."""
        client = await self._connected()
        await client.insert_arrow(table, rows, settings={**REPEATABLE, "insert_deduplication_token": stretch.token})

    async def last_offset(self, table: str, partition: int) -> int | None:
        """The highest offset of the table's topic among its rows of a partition. Raises `clickhouse.FAILURES`."""
        client = await self._connected()
        result = await client.query(
            "SELECT max(topic_offset) FROM {table:Identifier} WHERE topic_partition = {partition:UInt16} "
            "HAVING count() > 0",
            parameters={"table": table, "partition": partition},
        )
        return int(result.result_rows[0][0]) if result.result_rows else None

    async def ping(self) -> None:
        """Return when the server answers queries. Raises `clickhouse.FAILURES`."""
        client = await self._connected()
        await client.command("SELECT 1")

    async def close(self) -> None:
        """Drop the connection."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def _connected(self) -> AsyncClient:
        async with self._connecting:
            if self._client is None:
                self._client = await self._connect()
        return self._client
