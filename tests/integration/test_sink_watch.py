"""A consumer that works no more is found out, whichever of its parts has ended, and nobody waits for it for ever."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from pathlib import Path
from random import Random

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from services.adapters.clickhouse import open_async_client
from services.adapters.consuming import close, until_broken, while_alive
from services.adapters.ending import end_tasks
from services.adapters.kafka import tail
from services.adapters.metrics import Metrics
from services.adapters.topics import topic
from services.sink.charges import CHARGES
from services.sink.health import Health
from services.sink.settings import SinkSettings
from services.sink.source import Source
from services.sink.stall import Stalls
from services.sink.store import Store
from services.sink.watch import Watch
from tests.integration.sinking import Charges, send, sink_settings

BACKGROUND = ("_client._sync_task", "_fetcher._fetch_task")
END_WITHIN_S = 60


@pytest.fixture
async def settings(broker: str, clickhouse: str, prefix: str, tmp_path: Path) -> SinkSettings:
    """A topic of charges with one record in its first partition."""
    settings = sink_settings(broker, clickhouse, prefix, tmp_path)
    await send(settings, "charges", (0, Charges(Random(12)).record(0, 5)))
    return settings


@pytest.fixture
async def consumer(settings: SinkSettings) -> AsyncIterator[AIOKafkaConsumer]:
    """Reads that partition from its beginning."""
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.kafka, auto_offset_reset="earliest")
    await consumer.start()
    consumer.assign([TopicPartition(topic(settings, "charges"), 0)])
    yield consumer
    await close(consumer)


def test_who_stays_behind_at_one_position_stands_still() -> None:
    stalls = Stalls[str](100)
    looks: list[tuple[int, Mapping[str, int]]] = [
        (0, {"a": 5, "b": 5}),
        (60, {"a": 5, "b": 6}),
        (120, {"a": 5, "b": 6}),
        (170, {"b": 6}),
        (230, {"a": 5}),
        (340, {"a": 5, "b": 6}),
    ]
    assert [stalls.look(*look) for look in looks] == [[], [], ["a"], ["b"], [], ["a"]]


@pytest.mark.parametrize("part", BACKGROUND)
async def test_the_end_of_a_background_task_is_told(consumer: AIOKafkaConsumer, part: str) -> None:
    watching = asyncio.create_task(until_broken(consumer))
    assert await while_alive(consumer, asyncio.sleep(0, "done")) == "done"
    waiting = asyncio.create_task(while_alive(consumer, asyncio.Event().wait()))
    await asyncio.sleep(0)
    attrgetter(part)(consumer).cancel()
    for task in (watching, waiting):
        with pytest.raises(KafkaError, match="the consumer works no more"):
            await asyncio.wait_for(task, END_WITHIN_S)


async def test_a_tail_whose_consumer_has_ended_says_so(settings: SinkSettings) -> None:
    before = asyncio.all_tasks()
    async with aclosing(tail(settings, ["balances"])) as batches:
        assert (await anext(batches)).caught_up
        (fetching,) = (t for t in asyncio.all_tasks() - before if "_fetch_requests" in repr(t.get_coro()))
        fetching.cancel()
        with pytest.raises(KafkaError, match="_fetch_requests_routine has ended"):
            await asyncio.wait_for(anext(batches), END_WITHIN_S)


async def test_a_consumer_that_waits_for_metadata_for_ever_can_be_closed(settings: SinkSettings) -> None:
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.kafka, group_id=settings.group_id)
    await consumer.start()
    await end_tasks(consumer._client._sync_task)
    consumer._client.force_metadata_update()
    consumer._coordinator.coordinator_dead()
    consumer.subscribe([topic(settings, "charges")])
    await asyncio.wait_for(close(consumer), END_WITHIN_S)


@dataclass(frozen=True, slots=True)
class Opened:
    """A carrier that has stored nothing yet."""

    reading: bool
    next: int | None = None


async def watched(settings: SinkSettings, consumer: AIOKafkaConsumer, reader: Opened) -> None:
    """Watch the consumer's one partition until it is found to work no more."""
    store = Store(partial(open_async_client, settings.clickhouse))
    (place,) = consumer.assignment()
    feeds, health = {topic(settings, "charges"): CHARGES}, Health(Metrics(process=False))
    try:
        watch = Watch(settings, health, store, consumer, feeds, lambda: {place: reader}, patience_ms=3_000)
        await asyncio.wait_for(watch.run(), END_WITHIN_S)
    finally:
        await store.close()


async def test_a_reader_to_whom_no_record_comes_though_some_wait_ends_the_watch(
    settings: SinkSettings, consumer: AIOKafkaConsumer
) -> None:
    (place,) = consumer.assignment()
    consumer.pause(place)
    source = Source(consumer, place, batch_bytes=1, linger_ms=0)
    source.go_to(0)
    reading = asyncio.create_task(source.next())
    with pytest.raises(KafkaError, match="though some wait"):
        await watched(settings, consumer, Opened(reading=True))
    assert source.waiting
    await end_tasks(reading)


async def test_a_consumer_without_an_answer_while_others_get_one_ends_the_watch(
    settings: SinkSettings, consumer: AIOKafkaConsumer
) -> None:
    await end_tasks(consumer._client._sync_task)
    consumer._client.force_metadata_update()
    with pytest.raises(KafkaError, match="while others did"):
        await watched(settings, consumer, Opened(reading=False))
