"""The sink, whole: charges per second from Kafka into ClickHouse's tables and roll-ups, each exactly once."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from random import Random
from time import perf_counter
from typing import Any

import aiohttp
import pyarrow as pa
from prometheus_client.parser import text_string_to_metric_families

from services.adapters.clickhouse import open_async_client, open_client
from services.adapters.migrations import migrate, read_migrations
from services.sink.__main__ import MIGRATIONS
from services.sink.audit import audit
from services.sink.charges import CHARGES
from services.sink.ranges import Range
from services.sink.settings import SinkSettings
from services.sink.store import Store
from services.sink.worker import FEEDS
from tests.integration.backends import running_clickhouse, running_kafka
from tests.integration.sinking import PARTITIONS, Charges, running_sink, send, sink_settings

RECORDS = 2_400
CHARGES_PER_RECORD = 100
INSERTS = 8


def measure() -> dict[str, dict[str, Any]]:
    """`sink_rows`: charges into one table and three roll-ups; the floor only inserts the same rows, ready-made."""
    with tempfile.TemporaryDirectory() as folder:
        value, floor = asyncio.run(_measure(Path(folder)))
    return {"sink_rows": {"value": value, "unit": "rows/s", "floor": floor, "ratio": value / floor}}


async def _measure(folder: Path) -> tuple[float, float]:
    charges = Charges(Random(1))
    records = [charges.record(number % PARTITIONS, CHARGES_PER_RECORD) for number in range(RECORDS)]
    async with running_kafka(folder) as bootstrap, running_clickhouse(folder) as clickhouse:
        floor = await _insert(clickhouse.address("floor"), records)
        address = clickhouse.address("sink")
        defaults = {name: SinkSettings.model_fields[name].default for name in ("linger_ms", "batch_bytes")}
        settings = sink_settings(bootstrap, address, "bench.", folder, **defaults)
        await send(settings, "charges", *[(number % PARTITIONS, record) for number, record in enumerate(records)])
        value = await _carry(settings)
        with open_client(address) as client:
            assert (result := audit(client)).exact, str(result)
    return value, floor


async def _insert(address: str, records: Sequence[bytes]) -> float:
    """Rows per second of the inserts alone."""
    await asyncio.to_thread(migrate, address, read_migrations(MIGRATIONS))
    size = len(records) // INSERTS
    blocks: list[pa.Table] = [
        CHARGES.block(0, list(enumerate(records[first : first + size]))).rows for first in range(0, len(records), size)
    ]
    store = Store(partial(open_async_client, address))
    started = perf_counter()
    for number, rows in enumerate(blocks):
        await store.insert("charges", rows, Range("floor", 0, number, number))
    seconds = perf_counter() - started
    await store.close()
    return RECORDS * CHARGES_PER_RECORD / seconds


async def _carry(settings: SinkSettings) -> float:
    """Rows per second from the moment the sink has its partitions until it has committed the last row."""
    async with running_sink(settings) as sink, aiohttp.ClientSession() as session:
        await sink.owns(len(FEEDS) * PARTITIONS)
        started = perf_counter()
        while await _stored(session, f"{sink.url}/metrics") < RECORDS * CHARGES_PER_RECORD:
            assert sink.process.running, sink.process.program.log.read_text()
            await asyncio.sleep(0.05)
        return RECORDS * CHARGES_PER_RECORD / (perf_counter() - started)


async def _stored(session: aiohttp.ClientSession, url: str) -> float:
    async with session.get(url) as response:
        families = text_string_to_metric_families(await response.text())
        samples = (sample for family in families for sample in family.samples)
        return sum(sample.value for sample in samples if sample.name == "spendgate_sink_rows_total")
