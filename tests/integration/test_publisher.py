"""A publisher delivers whatever Kafka takes, however often its producer breaks, and says what Kafka will never take."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from deploy.local.kafka.broker import Broker
from deploy.local.ports import free_port
from deploy.local.process import Process
from services.adapters.publisher import MAX_RECORD_BYTES, Publisher, RecordRefused
from services.adapters.settings import Settings
from services.adapters.topics import topic
from tests.integration.ingesting import records_of, until


@asynccontextmanager
async def publishing(settings: Settings) -> AsyncIterator[Publisher]:
    publisher = Publisher(settings)
    await publisher.connect()
    try:
        yield publisher
    finally:
        await publisher.stop()


async def test_what_kafka_never_takes_is_refused_and_the_rest_goes_on(broker: str, prefix: str) -> None:
    settings = Settings(kafka=broker, topic_prefix=prefix)
    async with publishing(settings) as publisher:
        name = topic(settings, "ledger")
        with pytest.raises(RecordRefused, match="MessageSizeTooLarge"):
            await publisher.deliver(name, 0, bytes(MAX_RECORD_BYTES + 1))
        assert await publisher.deliver(name, 0, b"[1]") == 0
    assert (await records_of(settings))[0] == [b"[1]"]


async def test_a_delivery_outlives_the_producer_it_began_with(prefix: str, tmp_path: Path) -> None:
    broker = Broker(tmp_path / "kafka", free_port(), tmp_path / "kafka.log")
    process = Process(await asyncio.to_thread(broker.program))
    await process.start()
    settings = Settings(kafka=broker.bootstrap, topic_prefix=prefix)
    async with publishing(settings) as publisher:
        name = topic(settings, "ledger")
        await asyncio.gather(*(publisher.deliver(name, number, b"[0]") for number in range(3)))
        process.pause()
        producer = publisher._producer
        assert producer is not None
        sender, queued = producer._sender, producer._message_accumulator._batches
        waiting = [asyncio.create_task(publisher.deliver(name, 0, b"[1]"))]
        await until(lambda: bool(sender._in_flight))  # the next one has to queue behind it, and is never sent
        waiting.append(asyncio.create_task(publisher.deliver(name, 1, b"[1]")))
        await until(lambda: any(queued.values()))
        with pytest.raises(RecordRefused):
            await publisher.deliver(name, 2, bytes(MAX_RECORD_BYTES + 1))
        await until(sender.sender_task.cancelling)
        process.resume()
        async with asyncio.timeout(30):
            await asyncio.gather(*waiting)
    assert all(b"[1]" in values for number, values in (await records_of(settings)).items() if number < 2)
    await process.stop()
