"""Topics are created once, checked ever after, and their compacted tails are read whole and in order."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import aclosing

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from hypothesis import given
from hypothesis import strategies as st

from deploy.local.ports import free_port
from services.adapters.kafka import TailBatch, partition_for, tail
from services.adapters.settings import Settings
from services.adapters.topics import TopicName, TopicsError, ensure_topics, partition_count, topic, topics_file

KNOWN_MURMUR2 = {"21": -973932308, "foobar": -790332482, "a-little-bit-long-string": -985981536, "": 275646681}
FOUND = dict[tuple[str, int], list[tuple[bytes | None, bytes | None]]]


@pytest.fixture
def settings(broker: str, prefix: str) -> Settings:
    return Settings(kafka=broker, topic_prefix=prefix)


async def create(settings: Settings, name: TopicName, partitions: int, **config: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka)
    try:
        await admin.start()
        configs = {key.replace("_", "."): value for key, value in config.items()}
        await admin.create_topics([NewTopic(topic(settings, name), partitions, 1, topic_configs=configs)])
    finally:
        await admin.close()


@pytest.mark.parametrize(("text", "hashed"), KNOWN_MURMUR2.items())
def test_partitions_are_those_of_the_java_client(text: str, hashed: int) -> None:
    assert partition_for(text, 1000) == (hashed & 0x7FFFFFFF) % 1000


@given(st.text(max_size=50), st.integers(1, 200))
def test_every_organization_has_a_partition(organization: str, partitions: int) -> None:
    assert 0 <= partition_for(organization, partitions) < partitions


async def test_topics_are_created_by_several_at_once_and_found_again(settings: Settings) -> None:
    wanted = topics_file().partitions
    assert await asyncio.gather(*(ensure_topics(settings) for _ in range(4))) == [wanted] * 4
    assert await ensure_topics(settings) == wanted
    assert await partition_count(settings) == wanted


async def test_the_partition_count_can_be_chosen_once(settings: Settings) -> None:
    assert await ensure_topics(settings, partitions=2) == 2
    assert await ensure_topics(settings) == 2
    with pytest.raises(TopicsError, match="SPENDGATE_TOPIC_PREFIX"):
        await ensure_topics(settings, partitions=3)


async def test_topics_of_other_sizes_are_refused_with_advice(settings: Settings) -> None:
    await create(settings, "charges", 7)
    with pytest.raises(TopicsError, match="same partition count"):
        await ensure_topics(settings)


async def test_a_ledger_without_the_brokers_clock_is_refused(settings: Settings) -> None:
    await create(settings, "ledger", topics_file().partitions, message_timestamp_type="CreateTime")
    with pytest.raises(TopicsError, match=r"message\.timestamp\.type is 'CreateTime', must be 'LogAppendTime'"):
        await ensure_topics(settings)


async def test_a_missing_ledger_is_said_to_be_missing(settings: Settings) -> None:
    with pytest.raises(TopicsError, match="do not exist yet"):
        await partition_count(settings)


class Reader:
    """Follows a tail and keeps everything."""

    def __init__(self, settings: Settings, names: Sequence[TopicName], partitions: Sequence[int] | None = None) -> None:
        self._tail = tail(settings, names, partitions=partitions)
        self.found: FOUND = {}

    async def until_caught_up(self) -> TailBatch:
        async for batch in self._tail:
            self._keep(batch)
            if batch.caught_up:
                return batch
        raise AssertionError("a tail never ends by itself")

    async def until_holding(self, count: int) -> None:
        while sum(map(len, self.found.values())) < count:
            self._keep(await anext(self._tail))

    async def aclose(self) -> None:
        await self._tail.aclose()

    def _keep(self, batch: TailBatch) -> None:
        for place, records in batch.records.items():
            self.found.setdefault(place, []).extend((record.key, record.value) for record in records)


async def test_a_tail_restores_everything_committed_then_follows(settings: Settings) -> None:
    await ensure_topics(settings)
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka, transactional_id=settings.topic_prefix)
    await producer.start()
    balances = topic(settings, "balances")
    async with aclosing(Reader(settings, ["balances", "policies"])) as reader:
        async with producer.transaction():
            for number in range(500):
                await producer.send(balances, b"%d" % number, key=b"key", partition=number % 4)
        await producer.begin_transaction()
        await (await producer.send(balances, b"aborted", key=b"key", partition=0))
        await producer.abort_transaction()
        await reader.until_caught_up()
        assert {place: [int(value or b"") for _, value in kept] for place, kept in reader.found.items()} == {
            ("balances", partition): list(range(partition, 500, 4)) for partition in range(4)
        }
        async with producer.transaction():
            await producer.send(topic(settings, "policies"), None, key=b"acme", partition=3)
        await reader.until_holding(501)
        assert reader.found["policies", 3] == [(b"acme", None)]
    await producer.stop()


async def test_a_tail_of_empty_topics_is_caught_up_at_once(settings: Settings) -> None:
    await ensure_topics(settings)
    async with aclosing(Reader(settings, ["balances"], partitions=[1, 2])) as reader:
        assert (await reader.until_caught_up()).records == {}


async def test_a_tail_waits_for_a_broker_that_is_away(prefix: str) -> None:
    nowhere = Settings(kafka=f"127.0.0.1:{free_port()}", topic_prefix=prefix)
    async with aclosing(Reader(nowhere, ["balances"])) as reader:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.0):
                await reader.until_caught_up()


async def test_a_tail_waits_for_topics_that_do_not_exist_yet(settings: Settings) -> None:
    async with aclosing(Reader(settings, ["balances"])) as reader:
        reading = asyncio.create_task(reader.until_caught_up())
        await asyncio.sleep(0.2)
        assert not reading.done()
        await ensure_topics(settings)
        assert (await reading).caught_up
