"""One partition of the aggregator on a real broker, opened, interrupted and opened again."""

from __future__ import annotations

import asyncio

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import ProducerFenced

from services.adapters.clock import now_ms
from services.adapters.topics import TopicName, ensure_topics, topic
from services.aggregator.changelog import Messages
from services.aggregator.partition import Partition
from services.aggregator.settings import AggregatorSettings
from services.aggregator.transaction import Writer
from services.core.pricing import PriceBook
from tests.core.ledger import costing, record
from tests.integration.aggregating import ledger_producer, read_all

EVERYWHERE: tuple[TopicName, ...] = ("balances", "policies", "seen", "charges", "alerts", "rejected")


def everywhere(value: bytes) -> Messages:
    """One message for every topic that a transaction may touch."""
    return {name: [(b"key", value)] for name in EVERYWHERE}


async def test_an_interrupted_transaction_leaves_a_partition_that_is_never_written_from_again(
    broker: str, prefix: str
) -> None:
    settings = AggregatorSettings(kafka=broker, topic_prefix=prefix)
    await ensure_topics(settings)
    at_ms = now_ms()
    records = [record(offset, costing("1", str(offset), at_ms=at_ms), at_ms=at_ms) for offset in range(3)]
    async with ledger_producer(settings) as producer:
        for each in records:
            await producer.send_and_wait(topic(settings, "ledger"), each.value, partition=0)

    first = await Partition.open(settings, 0, PriceBook.bundled(), generation=1)
    applying = asyncio.create_task(first.apply(records))
    await asyncio.sleep(0)  # folded; the transaction has begun
    applying.cancel()
    await asyncio.wait([applying])
    assert applying.cancelled()
    assert first.state.position.offset == 2
    assert (await first.apply([record(3, at_ms=at_ms)])).position is None
    assert await first.close() is None, "a state that is ahead of its changelog is not kept"

    second = await Partition.open(settings, 0, PriceBook.bundled(), generation=2)
    assert second.state.position.offset == -1
    assert (await second.apply(records)).counts["counted"] == 3
    assert await second.close() is not None


@pytest.mark.parametrize("committed", [0, 1, 2])
async def test_a_writer_that_was_fenced_says_so_and_commits_nothing(broker: str, prefix: str, committed: int) -> None:
    settings = AggregatorSettings(kafka=broker, topic_prefix=prefix)
    await ensure_topics(settings)
    late, heir = await Writer.fence(settings, 0), None
    try:
        for number in range(committed):
            await late.commit(everywhere(b"late"), offset=number)
        heir = await Writer.fence(settings, 0)
        with pytest.raises(ProducerFenced):
            await late.commit(everywhere(b"too late"), offset=committed)
        await heir.commit(everywhere(b"heir"), offset=committed)
    finally:
        await late.close()
        if heir is not None:
            await heir.close()
    for name in EVERYWHERE:
        found = [record.value for record in await read_all(settings, name)]
        assert found == [b"late"] * committed + [b"heir"]


async def test_marks_of_the_broker_in_the_changelog_are_nobodys_writing(broker: str, prefix: str) -> None:
    settings = AggregatorSettings(kafka=broker, topic_prefix=prefix)
    await ensure_topics(settings)
    writer = await Writer.fence(settings, 0)
    try:
        await writer.commit(everywhere(b"first"), offset=0)
        expected = writer.changelog_end
        await end_an_empty_transaction(settings)
        await writer.commit(everywhere(b"second"), offset=1)
        assert writer.changelog_end == expected + 3, "a mark of the broker's, the message, and the mark of its commit"
        await writer.commit(everywhere(b"third"), offset=2)
    finally:
        await writer.close()
    assert [record.value for record in await read_all(settings, "balances")] == [b"first", b"second", b"third"]


async def end_an_empty_transaction(settings: AggregatorSettings) -> None:
    """Leave a mark in the changelog, as a broker does that has to finish a transaction once more after a failover."""
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka, transactional_id=f"{settings.topic_prefix}empty")
    await producer.start()
    try:
        async with producer.transaction():
            producer._txn_manager.maybe_add_partition_to_txn(TopicPartition(topic(settings, "balances"), 0))
            await producer.send_offsets_to_transaction({TopicPartition(topic(settings, "ledger"), 0): 0}, "empty")
    finally:
        await producer.stop()
