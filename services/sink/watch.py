"""Feels the pulse of both neighbours: troubles show though no row is under way, and a dead consumer is found out."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Protocol

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from services.adapters.clickhouse import FAILURES, explain
from services.adapters.clock import monotonic_ms
from services.adapters.kafka import has_died
from services.adapters.topics import TopicsError, partition_count
from services.sink.feed import Feed
from services.sink.health import Health
from services.sink.settings import SinkSettings
from services.sink.stall import Stalls
from services.sink.store import Store

PULSE_S = 2.0
PATIENCE_MS: Final = 60_000
"""Longer than a broker or a network that comes back needs until every request of the consumer is answered."""


class Reader(Protocol):
    """What is looked at in a carrier."""

    @property
    def reading(self) -> bool:
        """Whether it waits for records, and for nothing else."""

    @property
    def next(self) -> int | None:
        """The offset after the last one stored; None until it knows."""


Readers = Mapping[TopicPartition, Reader]


class Watch:
    """Looks every few seconds, until it is cancelled."""

    def __init__(
        self,
        settings: SinkSettings,
        health: Health,
        store: Store,
        consumer: AIOKafkaConsumer,
        feeds: Mapping[str, Feed[Any]],
        readers: Callable[[], Readers],
        *,
        patience_ms: int = PATIENCE_MS,
    ) -> None:
        self._settings = settings
        self._health = health
        self._store = store
        self._consumer = consumer
        self._feeds = feeds
        self._readers = readers
        self._patience_ms = patience_ms
        self._still = Stalls[TopicPartition](patience_ms)
        self._deaf = Stalls[str](patience_ms)

    async def run(self) -> None:
        """Report troubles. Raises `KafkaError` when the consumer works no more: waiting then helps nobody."""
        while True:
            await self._pulse("clickhouse", self._store.ping)
            answered = await self._pulse("kafka", self._measure_lag)
            await self._check_consumer(answered)
            await asyncio.sleep(PULSE_S)

    async def _pulse(self, where: str, check: Callable[[], Awaitable[object]]) -> bool:
        try:
            async with asyncio.timeout(2 * PULSE_S):
                await check()
        except (KafkaError, *FAILURES) as error:
            if has_died(error):
                raise
            self._health.trouble(where, explain(error))
            return False
        self._health.over(where)
        return True

    async def _measure_lag(self) -> None:
        readers = self._readers()
        if not readers:  # nobody reads, and so nobody would hear that the consumer has died
            await self._consumer.getmany(timeout_ms=0)
        ends: Mapping[TopicPartition, int] = await self._consumer.end_offsets(list(readers))
        for place, end in ends.items():
            done = readers[place].next
            if done is not None:
                self._health.lag(self._feeds[place.topic].topic, place.partition, max(0, end - done))
        await self._check_progress(readers, ends)

    async def _check_progress(self, readers: Readers, ends: Mapping[TopicPartition, int]) -> None:
        reading = [place for place, reader in readers.items() if reader.reading]
        positions = {place: await self._consumer.position(place) for place in reading}
        behind = {place: position for place, position in positions.items() if position < ends[place]}
        if still := self._still.look(monotonic_ms(), behind):
            raise KafkaError(f"no record came for {self._patience_ms} ms though some wait: {sorted(still)}")

    async def _check_consumer(self, answered: bool) -> None:
        """Whether a client made anew is answered all the while that this consumer is not."""
        if not answered:
            self._still.look(monotonic_ms(), {})
        waits_alone = not answered and await self._kafka_answers()
        if self._deaf.look(monotonic_ms(), {"consumer": 0} if waits_alone else {}):
            raise KafkaError(f"the consumer got no answer for {self._patience_ms} ms while others did")

    async def _kafka_answers(self) -> bool:
        try:
            async with asyncio.timeout(2 * PULSE_S):
                await partition_count(self._settings)
        except (KafkaError, TopicsError, OSError, TimeoutError):
            return False
        return True
