"""One partition's way to durability: micro-batches to Kafka while it answers, to the spool while it does not."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from prometheus_client import Counter

from services.adapters import logs
from services.adapters.ending import end_tasks
from services.adapters.publisher import Publisher, RecordRefused
from services.adapters.spool import Spool, SpooledRecord
from services.adapters.vital import VitalTasks

MAX_EVENTS = 500
MAX_BYTES = 512 << 10
DISK_RETRY_S = 1.0
ResultT = TypeVar("ResultT")
log = logs.logger(__name__)


@dataclass(frozen=True, slots=True)
class Pace:
    """How long events wait for company, and how long for Kafka before they go to disk. Seconds."""

    linger_s: float = 0.005
    timeout_s: float = 2.0


@dataclass(frozen=True, slots=True)
class Disk:
    """The spool, called on its own thread so that an fsync never holds up the event loop."""

    spool: Spool
    thread: Executor

    async def call(self, method: Callable[..., ResultT], *arguments: Any) -> ResultT:
        """Run a method of the spool on its thread; calls run in the order they were made."""
        return await asyncio.get_running_loop().run_in_executor(self.thread, method, *arguments)


@dataclass(frozen=True, slots=True, eq=False)
class Parcel:
    """Events that were handed in together and stay together; `kept` gets their offset, or None from the spool."""

    values: Sequence[bytes]
    size: int
    since: float
    kept: asyncio.Future[int | None]


class Lane:
    """Keeps the order of one partition: one record is on its way at a time, and what arrives meanwhile is the next.

    Once a record had to go to the spool, all later ones queue behind it there until the drain has emptied it.
    """

    def __init__(
        self,
        topic: str,
        partition: int,
        publisher: Publisher,
        disk: Disk,
        pace: Pace,
        drained: Counter,
        vital: VitalTasks,
        *,
        spooled: int = 0,
    ) -> None:
        self.topic, self.partition = topic, partition
        self.queued_bytes = self._queued_events = 0
        self.last_offset = -1
        self._publisher, self._disk, self._pace = publisher, disk, pace
        self._drained, self._vital = drained, vital
        self._queue: deque[Parcel] = deque()
        self._arrived, self._full = asyncio.Event(), asyncio.Event()
        self._closed = False
        self._spooled = spooled
        self._drainer = self._start("drain", self._drain()) if spooled else None
        self._sender = self._start("append", self._send())

    def add(self, values: Sequence[bytes], size: int) -> asyncio.Future[int | None]:
        """Queue events that fit one record. The future gives their offset, None from the spool, or raises SpoolFull."""
        loop = asyncio.get_running_loop()
        parcel = Parcel(values, size, loop.time(), loop.create_future())
        self._queue.append(parcel)
        self._queued_events += len(values)
        self.queued_bytes += size
        self._arrived.set()
        if self._queued_events >= MAX_EVENTS or self.queued_bytes >= MAX_BYTES:
            self._full.set()
        return parcel.kept

    @property
    def reached(self) -> int | None:
        """The last offset delivered; None while the spool still holds what came before."""
        return self.last_offset if self._drainer is None else None

    async def stop(self) -> None:
        """Make everything queued durable, in Kafka or in the spool, then end."""
        self._closed = True
        self._arrived.set()
        self._full.set()
        await asyncio.wait([self._sender])
        if self._drainer is not None:
            await end_tasks(self._drainer)

    def _start(self, what: str, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        return self._vital.start(f"{what} {self.topic}/{self.partition}", work)

    async def _send(self) -> None:
        while parcels := await self._take():
            values = [value for parcel in parcels for value in parcel.values]
            try:
                offset = await self._keep(as_array(values), len(values))
            except Exception as error:  # noqa: BLE001 - whoever waits for these events must hear of any failure
                _settle(parcels, error=error)
            else:
                _settle(parcels, offset=offset)

    async def _take(self) -> list[Parcel]:
        """The next record's parcels, once it is full or its first has waited long enough; none when all is over."""
        while not self._queue:
            if self._closed:
                return []
            self._arrived.clear()
            await self._arrived.wait()
        with suppress(TimeoutError):
            async with asyncio.timeout_at(self._queue[0].since + self._pace.linger_s):
                await self._full.wait()
        taken: list[Parcel] = []
        events = size = 0
        while self._queue and (not taken or self._fits(events, size)):
            parcel = self._queue.popleft()
            taken.append(parcel)
            events, size = events + len(parcel.values), size + parcel.size
        self._queued_events -= events
        self.queued_bytes -= size
        if not self._closed and self._queued_events < MAX_EVENTS and self.queued_bytes < MAX_BYTES:
            self._full.clear()
        return taken

    def _fits(self, events: int, size: int) -> bool:
        following = self._queue[0]
        return events + len(following.values) <= MAX_EVENTS and size + following.size <= MAX_BYTES

    async def _keep(self, value: bytes, events: int) -> int | None:
        """Make one record durable: its offset in Kafka, or None when the spool has it. Raises `SpoolFull`."""
        if self._drainer is not None:
            await self._spool(value, events)
            return None
        delivery = asyncio.create_task(self._publisher.deliver(self.topic, self.partition, value))
        await asyncio.wait([delivery], timeout=self._pace.timeout_s)
        if delivery.done():
            self.last_offset = delivery.result()
            return self.last_offset
        log.warning("Kafka does not answer, spooling", topic=self.topic, partition=self.partition)
        copy: SpooledRecord | None = None
        try:
            copy = await self._spool(value, events)
        finally:
            self._drainer = self._start("drain", self._drain(delivery, copy))
        return None

    async def _spool(self, value: bytes, events: int) -> SpooledRecord:
        self._spooled += 1
        try:
            return await self._disk.call(self._disk.spool.append, self.topic, self.partition, events, value)
        except BaseException:
            self._spooled -= 1
            raise

    async def _drain(self, overdue: asyncio.Task[int] | None = None, copy: SpooledRecord | None = None) -> None:
        """Move the spool to Kafka, oldest first. `overdue` may still arrive by itself: then its copy is not sent."""
        if overdue is not None:
            with suppress(RecordRefused):  # then its copy, sent again, is put aside
                self.last_offset = await overdue
                await self._forget([copy] if copy else [])
        while self._spooled:
            records = await self._insist(self._oldest)
            if records:
                await self._move(records)
        log.info("spool drained", topic=self.topic, partition=self.partition)
        self._drainer = None

    async def _move(self, records: Sequence[SpooledRecord]) -> None:
        value = as_array(_inner(records))
        try:
            self.last_offset = await self._publisher.deliver(self.topic, self.partition, value)
        except RecordRefused as error:
            if len(records) == 1:
                await self._set_aside(records[0], str(error))
                return
            for record in records:  # to find out which of them it is
                await self._move([record])
        else:
            await self._forget(records)

    async def _set_aside(self, record: SpooledRecord, reason: str) -> None:
        log.error("Kafka never takes this record, it is put aside", topic=self.topic, id=record.id, reason=reason)
        await self._insist(self._disk.spool.set_aside, record, reason)
        self._spooled -= 1

    def _oldest(self) -> list[SpooledRecord]:
        return self._disk.spool.oldest(self.topic, self.partition, max_events=MAX_EVENTS, max_bytes=MAX_BYTES)

    async def _insist(self, method: Callable[..., ResultT], *arguments: Any) -> ResultT:
        """Call the spool until the disk lets it: a drain that gave up would leave everything later in the spool."""
        while True:
            try:
                return await self._disk.call(method, *arguments)
            except sqlite3.Error as error:
                log.error("the spool's disk fails, retrying", reason=str(error), topic=self.topic)
                await asyncio.sleep(DISK_RETRY_S)

    async def _forget(self, records: Sequence[SpooledRecord]) -> None:
        if not records:
            return
        await self._insist(self._disk.spool.remove, self.topic, self.partition, records)
        self._spooled -= len(records)
        self._drained.inc(sum(record.events for record in records))


def as_array(values: Iterable[bytes]) -> bytes:
    """Encoded events as one JSON array."""
    return b"[" + b",".join(values) + b"]"


def _inner(records: Iterable[SpooledRecord]) -> Iterable[bytes]:
    return (record.value[1:-1] for record in records)


def _settle(parcels: Iterable[Parcel], *, offset: int | None = None, error: Exception | None = None) -> None:
    for parcel in parcels:
        if parcel.kept.done():
            continue
        if error is None:
            parcel.kept.set_result(offset)
        else:
            parcel.kept.set_exception(error)
