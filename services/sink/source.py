"""The records of one partition, committed ones only: the next stretch of them, or a given stretch once more."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Protocol

from aiokafka import AIOKafkaConsumer, TopicPartition

from services.sink.ranges import Range

WAIT_MS = 1_000


class Record(Protocol):
    """What the sink reads of a Kafka record."""

    offset: int
    value: bytes | None


class Source:
    """Reads one partition of a consumer. All methods raise aiokafka's `KafkaError`."""

    def __init__(self, consumer: AIOKafkaConsumer, place: TopicPartition, *, batch_bytes: int, linger_ms: int) -> None:
        self._consumer = consumer
        self._place = place
        self._batch_bytes = batch_bytes
        self._linger_s = linger_ms / 1000
        self._ahead = deque[Record]()
        self.waiting = False
        """Whether the consumer is being asked for records right now."""

    async def bounds(self) -> tuple[int, int]:
        """The oldest offset that is kept, and the one after the newest."""
        oldest = await self._consumer.beginning_offsets([self._place])
        end = await self._consumer.end_offsets([self._place])
        return oldest[self._place], end[self._place]

    def go_to(self, offset: int) -> None:
        """Read on from an offset."""
        self._ahead.clear()
        self._consumer.seek(self._place, offset)

    async def next(self) -> Sequence[Record]:
        """At least one record, and those that come while it lingers or until the batch is full."""
        loop = asyncio.get_running_loop()
        batch: list[Record] = []
        size, until = 0, 0.0
        while size < self._batch_bytes:
            if self._ahead:
                until = until or loop.time() + self._linger_s
                record = self._ahead.popleft()
                batch.append(record)
                size += len(record.value or b"")
            elif not batch:
                self._ahead.extend(await self._fetch(WAIT_MS))
            elif (left_s := until - loop.time()) > 0:
                self._ahead.extend(await self._fetch(int(left_s * 1000) + 1))
            else:
                break
        return batch

    async def again(self, stretch: Range, oldest: int) -> Sequence[Record]:
        """The records of a range that was read before. Those that retention has taken since are missing."""
        records: list[Record] = []
        if stretch.last < oldest:
            return records
        self.go_to(max(stretch.first, oldest))
        while not records or records[-1].offset < stretch.last:
            records += await self._fetch(WAIT_MS)
        return [record for record in records if record.offset <= stretch.last]

    async def _fetch(self, timeout_ms: int) -> Sequence[Record]:
        self.waiting = True
        try:
            fetched = await self._consumer.getmany(self._place, timeout_ms=timeout_ms)
        finally:
            self.waiting = False
        found: Sequence[Record] = fetched.get(self._place, ())
        return found
