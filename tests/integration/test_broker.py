"""The local broker is a real Kafka: it orders, commits or aborts transactions, and comes back from `kill -9`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from deploy.local.kafka.broker import Broker
from deploy.local.ports import free_port
from deploy.local.process import Process


async def create_topic(bootstrap: str, name: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, num_partitions=1, replication_factor=1)])
    finally:
        await admin.close()


@asynccontextmanager
async def producing(bootstrap: str, **options: object) -> AsyncIterator[AIOKafkaProducer]:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", enable_idempotence=True, **options)
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


async def committed_values(bootstrap: str, topic: str) -> list[bytes]:
    """Every committed value of the topic's one partition, in order."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, isolation_level="read_committed", auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        partition = TopicPartition(topic, 0)
        consumer.assign([partition])
        end = (await consumer.end_offsets([partition]))[partition]
        values: list[bytes] = []
        while await consumer.position(partition) < end:
            batches = await consumer.getmany(timeout_ms=200)
            values += [record.value for batch in batches.values() for record in batch]
        return values
    finally:
        await consumer.stop()


async def test_records_come_back_in_order(broker: str, prefix: str) -> None:
    topic = f"{prefix}ordered"
    await create_topic(broker, topic)
    sent = [b"%d" % number for number in range(500)]
    async with producing(broker, compression_type="lz4") as producer:
        await asyncio.gather(*[await producer.send(topic, value) for value in sent])
    assert await committed_values(broker, topic) == sent


async def test_an_aborted_transaction_is_never_seen(broker: str, prefix: str) -> None:
    topic = f"{prefix}transactions"
    await create_topic(broker, topic)
    async with producing(broker, transactional_id=f"{prefix}writer") as producer:
        async with producer.transaction():
            await producer.send_and_wait(topic, b"kept")
        with pytest.raises(LookupError):
            async with producer.transaction():
                await producer.send_and_wait(topic, b"dropped")
                raise LookupError("the batch failed")
        async with producer.transaction():
            await producer.send_and_wait(topic, b"kept too")
    assert await committed_values(broker, topic) == [b"kept", b"kept too"]


async def test_acknowledged_records_survive_kill_9(tmp_path: Path) -> None:
    local = Broker(tmp_path / "kafka", free_port(), tmp_path / "kafka.log")
    process = Process(await asyncio.to_thread(local.program))
    await process.start()
    try:
        await create_topic(local.bootstrap, "survivors")
        async with producing(local.bootstrap) as producer:
            for value in (b"1", b"2", b"3"):
                await producer.send_and_wait("survivors", value)
            await process.kill()
            await process.start()
            await producer.send_and_wait("survivors", b"4")
        assert await committed_values(local.bootstrap, "survivors") == [b"1", b"2", b"3", b"4"]
    finally:
        await process.stop()
