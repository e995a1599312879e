"""Appending events durably: acknowledged by Kafka or, while Kafka is away, by this machine's disk."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import perf_counter
from typing import Literal

from services.adapters import logs
from services.adapters.ending import end_tasks
from services.adapters.kafka import partition_for
from services.adapters.lane import MAX_BYTES, MAX_EVENTS, Disk, Lane, Pace
from services.adapters.ledger_clock import LedgerClock
from services.adapters.metrics import Metrics
from services.adapters.publisher import Publisher, RecordRefused
from services.adapters.settings import Settings
from services.adapters.spool import Spool, SpoolFull
from services.adapters.topics import TopicName, topic
from services.adapters.vital import VitalTasks

__all__ = ["EventTooLarge", "LedgerUnavailable", "LedgerWriter", "Receipt", "SpoolFull"]

Durability = Literal["kafka", "spool"]
MAX_QUEUED_BYTES = 64 << 20
MAX_EVENT_BYTES = 1 << 20
log = logs.logger(__name__)


class LedgerUnavailable(Exception):
    """Nothing was kept: Kafka was never reached (so partitions are unknown), too much is queued, or the disk fails."""


class EventTooLarge(Exception):
    """An event is larger than a record may be, by our own bound or Kafka's: it was not kept, and never will be."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """Where events are durable. `positions`: the last (partition, offset) they took in each partition of the ledger.

    With `spool` anywhere, the positions of those partitions are not known yet and are left out.
    """

    durability: Durability
    positions: tuple[tuple[int, int], ...]


class LedgerWriter:
    """Appends events to the ledger, and to other topics with the same partitions.

    Events of one organization keep their order. An event may reach Kafka twice (a crash between the delivery and the
    removal from the spool): readers drop duplicates by the event's id.
    """

    def __init__(
        self,
        settings: Settings,
        spool: Spool,
        metrics: Metrics,
        vital: VitalTasks,
        *,
        pace: Pace | None = None,
        clock: LedgerClock | None = None,
    ) -> None:
        """`clock` learns the ledger's time from what is appended."""
        self.clock = clock or LedgerClock()
        self._settings, self._spool, self._vital, self._pace = settings, spool, vital, pace or Pace()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="spool")
        self._disk = Disk(spool, self._thread)
        self._publisher = Publisher(settings, self.clock)
        self._partitions = spool.partitions()
        self._lanes: dict[tuple[str, int], Lane] = {}
        self._connecting: asyncio.Task[None] | None = None
        self._seconds = metrics.histogram("spendgate_ledger_append_seconds")
        self._kept = {
            durability: metrics.counter("spendgate_ledger_appends_total", durability=durability)
            for durability in ("kafka", "spool")
        }
        self._drained = metrics.counter("spendgate_spool_drained_events_total")
        metrics.gauge("spendgate_clock_ahead_seconds").set_function(lambda: self.clock.ahead_ms() / 1000)
        metrics.gauge("spendgate_spool_events").set_function(lambda: spool.events)
        metrics.gauge("spendgate_spool_bytes").set_function(lambda: spool.bytes)
        metrics.gauge("spendgate_spool_aside_records").set_function(lambda: spool.aside)

    @property
    def ready(self) -> bool:
        """Whether events can be placed and kept, in Kafka or on disk."""
        return self._partitions is not None and self._spool.bytes < self._spool.max_bytes

    @property
    def spooled_events(self) -> int:
        """Events that wait on disk for Kafka."""
        return self._spool.events

    def reached(self, partition: int, *, of: TopicName = "ledger") -> int | None:
        """The last offset delivered to a partition: what its receipts left open is at or before it.

        None while some of it still waits in the spool, and before anything was delivered.
        """
        lane = self._lanes.get((topic(self._settings, of), partition))
        return None if lane is None or lane.reached == -1 else lane.reached

    async def start(self) -> None:
        """Connect, waiting for Kafka no longer than for an append, and take up what the spool holds from before."""
        self._connecting = self._vital.start("connect to the ledger", self._connect())
        await asyncio.wait([self._connecting], timeout=self._pace.timeout_s)
        for (name, partition), count in self._spool.waiting().items():
            self._lanes[name, partition] = self._new_lane(name, partition, spooled=count)

    async def stop(self) -> None:
        """Make everything that was handed in durable, then close. The spool is closed with it."""
        await asyncio.gather(*(lane.stop() for lane in self._lanes.values()))
        if self._connecting is not None:
            await end_tasks(self._connecting)
        await self._publisher.stop()
        self._thread.submit(self._spool.close).result()
        self._thread.shutdown()

    async def append(self, events: Sequence[tuple[str, bytes]], *, to: TopicName = "ledger") -> Receipt:
        """Return once every event, given as (organization, JSON), is durable.

        Raises `EventTooLarge`, and `SpoolFull` or `LedgerUnavailable`: then some may be durable all the same, so append
        all of them again.
        """
        return await self._append(self._placed(events), to)

    async def append_everywhere(self, value: bytes) -> Receipt:
        """Return once an event that concerns every organization is durable in each partition. Raises like `append`."""
        if self._partitions is None:
            raise LedgerUnavailable("Kafka has not been reached yet")
        return await self._append({partition: [value] for partition in range(self._partitions)}, "ledger")

    async def _append(self, by_partition: Mapping[int, Sequence[bytes]], to: TopicName) -> Receipt:
        started = perf_counter()
        if sum(lane.queued_bytes for lane in self._lanes.values()) > MAX_QUEUED_BYTES:
            raise LedgerUnavailable("too many events are waiting to be kept; try again")
        name = topic(self._settings, to)
        owners: list[int] = []
        waits: list[asyncio.Future[int | None]] = []
        for partition, values in by_partition.items():
            lane = self._lane(name, partition)
            for parcel, size in parcels(values):
                owners.append(partition)
                waits.append(lane.add(parcel, size))
        try:
            offsets = [await waits[0]] if len(waits) == 1 else await asyncio.gather(*waits)
        except RecordRefused as error:
            raise EventTooLarge(f"Kafka does not take the events: {error}") from error
        except sqlite3.Error as error:
            raise LedgerUnavailable(f"Kafka does not answer, and the spool's disk fails: {error}") from error
        self._seconds.observe(perf_counter() - started)
        receipt = receipt_of(owners, offsets)
        self._kept[receipt.durability].inc(sum(map(len, by_partition.values())))
        return receipt

    def _placed(self, events: Sequence[tuple[str, bytes]]) -> dict[int, list[bytes]]:
        if self._partitions is None:
            raise LedgerUnavailable("Kafka has not been reached yet")
        by_partition: dict[int, list[bytes]] = {}
        for organization, value in events:
            if len(value) > MAX_EVENT_BYTES:
                raise EventTooLarge(f"an event may have {MAX_EVENT_BYTES} bytes, this one has {len(value)}")
            by_partition.setdefault(partition_for(organization, self._partitions), []).append(value)
        return by_partition

    def _lane(self, name: str, partition: int) -> Lane:
        lane = self._lanes.get((name, partition))
        if lane is None:
            lane = self._lanes[name, partition] = self._new_lane(name, partition, spooled=0)
        return lane

    def _new_lane(self, name: str, partition: int, *, spooled: int) -> Lane:
        return Lane(
            name, partition, self._publisher, self._disk, self._pace, self._drained, self._vital, spooled=spooled
        )

    async def _connect(self) -> None:
        await self._publisher.connect()
        found = self._publisher.partitions
        if self._spool.events and found != self._partitions:
            log.error("partitions changed under a spool that is not empty", was=self._partitions, found=found)
            self._partitions = None
            return
        self._partitions = found
        try:
            await self._disk.call(self._spool.remember_partitions, found)
        except sqlite3.Error as error:
            log.error("a start without Kafka will keep nothing: the spool's disk fails", reason=str(error))


def receipt_of(owners: Sequence[int], offsets: Sequence[int | None]) -> Receipt:
    """The receipt of records that went to these partitions; None is the offset of one in the spool."""
    last: dict[int, int] = {}
    spooled: set[int] = set()
    for partition, offset in zip(owners, offsets, strict=True):
        if offset is None:
            spooled.add(partition)
        else:
            last[partition] = offset
    positions = tuple((partition, offset) for partition, offset in last.items() if partition not in spooled)
    return Receipt("spool" if spooled else "kafka", positions)


def parcels(values: Sequence[bytes]) -> Iterator[tuple[Sequence[bytes], int]]:
    """Cut events into what fits one record, each with its size in bytes; an event alone may be larger."""
    start = size = 0
    for index, value in enumerate(values):
        if index > start and (index - start == MAX_EVENTS or size + len(value) > MAX_BYTES):
            yield values[start:index], size
            start, size = index, 0
        size += len(value)
    if values:
        yield values[start:], size
