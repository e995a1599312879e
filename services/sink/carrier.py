"""One partition on its way into its table: announce a range, insert it, complete it; after a crash, the same one again.

The protocol, and why each step is where it is, is told in README.md.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError
from aiokafka.structs import OffsetAndMetadata

from services.adapters import logs
from services.adapters.clickhouse import FAILURES, explain
from services.adapters.kafka import has_died
from services.sink.bookmarks import Bookmarks
from services.sink.feed import Block, Feed
from services.sink.health import Health
from services.sink.pace import Pace
from services.sink.ranges import NOTHING_PENDING, Bookmark, Range
from services.sink.rejects import Rejects
from services.sink.settings import SinkSettings
from services.sink.source import Record, Source
from services.sink.store import Store

log = logs.logger(__name__)


class CarrierError(Exception):
    """Going on would lose or double rows; the message says what to do. The partition waits until somebody has."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What all carriers of a worker share. `inserts` bounds how many are under way at once."""

    settings: SinkSettings
    consumer: AIOKafkaConsumer
    bookmarks: Bookmarks
    store: Store
    rejects: Rejects
    health: Health
    inserts: asyncio.Semaphore


class Carrier:
    """The only writer of one partition, for as long as the consumer group says so."""

    def __init__(self, parts: Parts, feed: Feed[Any], place: TopicPartition) -> None:
        self._parts = parts
        self._feed = feed
        self._place = place
        self._where = f"{feed.topic}/{place.partition}"
        settings = parts.settings
        self._source = Source(parts.consumer, place, batch_bytes=settings.batch_bytes, linger_ms=settings.linger_ms)
        self._storing = asyncio.Lock()
        self.next: int | None = None
        """The offset after the last one stored; None until the partition is open."""

    @property
    def reading(self) -> bool:
        """Whether it waits for records, and for nothing else."""
        return self._source.waiting

    async def run(self) -> None:
        """Carry rows, and wait out what stands in the way, until it is cancelled. Raises when the consumer has died.

        A commit that the group refuses means that it is about to take the partition away, and then cancels this. Should
        it change its mind, the carrier starts over from the bookmark.
        """
        pace = Pace(self._parts.settings.retry_ms_max)
        while True:
            try:
                position = await self._open()
                self._parts.health.over(self._where)
                pace.reset()
                while True:
                    position = await self._step(position)
            except (CommitFailedError, IllegalStateError) as error:
                log.info("no longer the owner", where=self._where, reason=str(error.args[-1:]))
            except (CarrierError, KafkaError, *FAILURES) as error:
                if has_died(error):
                    raise
                self._parts.health.trouble(self._where, explain(error))
            await pace.wait()

    async def idle(self) -> None:
        """Wait until no insert is under way, so that the carrier may be cancelled with nothing left pending."""
        async with self._storing:
            pass

    async def _open(self) -> int:
        """The offset to go on from. What was pending is stored first, as exactly the same range."""
        bookmark = await self._parts.bookmarks.read(self._place)
        oldest, end = await self._source.bounds()
        position = await self._start(bookmark, oldest, end)
        if bookmark.pending is not None:
            stretch = self._range(position, bookmark.pending)
            log.info("repeating a range", token=stretch.token)
            position = await self._store(stretch, await self._source.again(stretch, oldest))
        self._source.go_to(position)
        self.next = position
        return position

    async def _start(self, bookmark: Bookmark, oldest: int, end: int) -> int:
        if bookmark.offset is None:
            await self._check_untouched()
            return oldest
        if bookmark.known > end:
            raise CarrierError(
                f"the topic ends at offset {end}, but was read up to {bookmark.known} before: the broker lost records "
                "or the topic was made anew. Restore it, or start over with another database and topic prefix"
            )
        if bookmark.offset < oldest:
            log.error("rows lost to retention", topic=self._place.topic, first=bookmark.offset, before=oldest)
        return bookmark.offset

    async def _check_untouched(self) -> None:
        stored = await self._parts.store.last_offset(self._feed.table, self._place.partition)
        if stored is not None:
            raise CarrierError(
                f"group {self._parts.settings.group_id} has forgotten its offsets of {self._place.topic}, but "
                f"ClickHouse holds rows up to offset {stored}, which reading again would double. Stop all sinks, run "
                f"`python -m services.sink.audit`, and if it finds no fault set the group to offset {stored + 1} "
                "(kafka-consumer-groups --reset-offsets --to-offset)"
            )

    async def _step(self, position: int) -> int:
        records = await self._source.next()
        if records[0].offset < position:
            raise CarrierError(f"offset {records[0].offset} came after {position - 1}: the broker lost records")
        return await self._store(self._range(position, records[-1].offset), records)

    async def _store(self, stretch: Range, records: Sequence[Record]) -> int:
        async with self._parts.inserts, self._storing:
            raw = [(record.offset, record.value) for record in records]
            block = await asyncio.to_thread(self._feed.block, stretch.partition, raw)
            await self._put_aside(block)
            if block.rows.num_rows:
                await self._insert(block, stretch)
            await self._commit(stretch.after, NOTHING_PENDING)
            self.next = stretch.after
            return stretch.after

    async def _put_aside(self, block: Block) -> None:
        if block.malformed:
            await self._parts.rejects.publish(self._place, block.malformed)
            self._parts.health.rejected(self._feed.topic, len(block.malformed))

    async def _insert(self, block: Block, stretch: Range) -> None:
        health, pace = self._parts.health, Pace(self._parts.settings.retry_ms_max)
        while True:
            # Before every attempt: a worker that slept past its session learns here that the range is not its own.
            await self._commit(stretch.first, stretch.announcement)
            started = perf_counter()
            try:
                await self._parts.store.insert(self._feed.table, block.rows, stretch)
            except FAILURES as error:
                health.failed(self._feed.topic)
                health.trouble(self._where, explain(error))
            else:
                health.stored(self._feed.topic, block.rows.num_rows, perf_counter() - started)
                health.over(self._where)
                return
            await pace.wait()

    async def _commit(self, offset: int, metadata: str) -> None:
        await self._parts.consumer.commit({self._place: OffsetAndMetadata(offset, metadata)})

    def _range(self, first: int, last: int) -> Range:
        return Range(self._place.topic, self._place.partition, first, last)
