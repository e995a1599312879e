"""A ledger that has seen much: balances of very many users, written to the changelog as an aggregator would have."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from zoneinfo import ZoneInfo

import msgspec
from aiokafka import AIOKafkaProducer

from services.adapters.clock import now_ms
from services.adapters.kafka import partition_for
from services.adapters.settings import Settings
from services.adapters.topics import partition_count, topic
from services.core.balance import Balance
from services.core.window import WindowKind, window_at

ORGANIZATIONS = 100
WINDOWS = (WindowKind.HOUR, WindowKind.DAY, WindowKind.MONTH)
Entry = tuple[str, bytes, bytes]
"""Organization, key, value."""


def entries(count: int, at_ms: int) -> Iterator[Entry]:
    """So many balances: of users in the windows of now, each with amounts of its own."""
    labels = [window_at(kind, at_ms, ZoneInfo("UTC")).label for kind in WINDOWS]
    for number in range(count):
        user, window = divmod(number, len(WINDOWS))
        organization = f"other-{user % ORGANIZATIONS}"
        balance = Balance(settled_nanousd=10**9 + number, requests=300 + number % 1000, offset=0)
        key = f"org:{organization}/user:user-{user:07d}@{labels[window]}"
        yield organization, key.encode(), msgspec.json.encode(balance)


async def load_balances(settings: Settings, count: int) -> None:
    """Write so many balances, each to the partition of its organization."""
    partitions = await partition_count(settings)
    shares: list[list[Entry]] = [[] for _ in range(partitions)]
    for entry in entries(count, now_ms()):
        shares[partition_for(entry[0], partitions)].append(entry)
    async with AIOKafkaProducer(bootstrap_servers=settings.kafka, acks="all", max_batch_size=1 << 19) as producer:
        for number, share in enumerate(shares):
            await _write(producer, topic(settings, "balances"), number, share)


async def _write(producer: AIOKafkaProducer, name: str, partition: int, share: list[Entry]) -> None:
    """By whole batches: a message at a time would take a minute for a million."""
    sent: list[asyncio.Future[object]] = []
    batch = producer.create_batch()
    for _, key, value in share:
        if batch.append(key=key, value=value, timestamp=None) is None:
            sent.append(await producer.send_batch(batch, name, partition=partition))
            batch = producer.create_batch()
            batch.append(key=key, value=value, timestamp=None)
    if batch.record_count():
        sent.append(await producer.send_batch(batch, name, partition=partition))
    await asyncio.gather(*sent)
