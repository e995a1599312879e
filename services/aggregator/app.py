"""The Faust worker: its group assigns ledger partitions, its agent hands their records to the fold."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import faust
from aiokafka import TopicPartition

from services.adapters import logs
from services.adapters.clock import now_ms
from services.adapters.consuming import broken
from services.adapters.ending import end_tasks
from services.adapters.metrics import Metrics
from services.adapters.topics import topic
from services.aggregator.assignment import Assignment
from services.aggregator.meter import Meter
from services.aggregator.settings import AggregatorSettings
from services.core.pricing import PriceBook
from services.core.record import Record

SEEK_RECORDS = 1_000
"""Records already applied that a worker would rather jump over than read and skip."""
WATCH_S = 1.0

log = logs.logger(__name__)


class Aggregator:
    """One worker. `run` ends when it is stopped, or with the error because of which the process must end."""

    def __init__(self, settings: AggregatorSettings, prices: PriceBook, metrics: Metrics) -> None:
        self.settings = settings
        self.failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.assignment = Assignment(settings, prices, failed=self._fail)
        self.assigned = False
        self._watching: asyncio.Task[None] | None = None
        self._meter = Meter(metrics)
        self._ledger = topic(settings, "ledger")
        self.app = faust_app(settings)
        self.app.on_partitions_revoked.connect(self._on_revoked)
        self.app.on_partitions_assigned.connect(self._on_assigned)
        # Offsets are committed in our own transactions, so that they can never be ahead of the state.
        ledger = self.app.topic(self._ledger, key_serializer="raw", value_serializer="raw", acks=False)
        self.app.agent(ledger, name="ledger")(self._follow)

    async def start(self) -> None:
        """Join the group; returns once the first assignment is known. Raises what Faust raises."""
        self.settings.faust_dir.mkdir(parents=True, exist_ok=True)
        await self.app.start()

    async def ended(self) -> None:
        """Wait for the end of the worker; raises the error that ended it."""
        stopped = asyncio.ensure_future(self.app.wait_until_stopped())
        self._watching = asyncio.create_task(self._watch_consumer())
        await asyncio.wait([stopped, self.failure], return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        self._watching.cancel()
        if self.failure.done():
            self.failure.result()
        if self.app.crashed:
            raise self.app.crash_reason

    async def stop(self) -> None:
        """Leave the group in good order, every transaction finished."""
        if self._watching is not None:
            await end_tasks(self._watching)
        await self.assignment.close()
        await self.app.stop()

    async def _watch_consumer(self) -> None:
        """Faust asks its consumer for records for ever, also one that works no more, and that has its own thread."""
        while True:
            if (error := broken(self.app.consumer._thread._consumer)) is not None:
                return self._fail(error)
            await asyncio.sleep(WATCH_S)

    async def _on_assigned(self, _app: Any, assigned: Iterable[TopicPartition], **_: Any) -> None:
        numbers = sorted(tp.partition for tp in assigned if tp.topic == self._ledger)
        log.info("partitions assigned", partitions=numbers)
        self.assignment.assign(numbers, generation=self.app.consumer_generation_id)
        self.assigned = True

    async def _on_revoked(self, _app: Any, revoked: Iterable[TopicPartition], **_: Any) -> None:
        await self.assignment.revoke([tp.partition for tp in revoked if tp.topic == self._ledger])

    async def _follow(self, stream: Any) -> None:
        batches = stream.take_events(self.settings.batch_records, within=self.settings.batch_within_s)
        async for events in batches:
            try:
                await self._apply(events)
            except Exception as error:  # noqa: BLE001 - whatever it is, the state in memory is no longer the committed one
                self._fail(error)
                return

    async def _apply(self, events: Iterable[Any]) -> None:
        """One batch: each partition in a transaction of its own, side by side."""
        found: defaultdict[tuple[int, int], list[Record]] = defaultdict(list)
        for event in events:
            message = event.message
            appended_at_ms = round(message.timestamp * 1000)
            record = Record(message.partition, message.offset, appended_at_ms, message.value)
            found[message.partition, message.generation_id].append(record)
        await asyncio.gather(*(self._apply_one(*place, records) for place, records in found.items()))

    async def _apply_one(self, number: int, generation: int, records: list[Record]) -> None:
        started_ms = now_ms()
        effects = await self.assignment.apply(number, generation, records)
        if effects.position is not None:
            self._meter.applied(number, effects, records, started_ms=started_ms, ended_ms=now_ms())
        else:
            await self._catch_up(number, records[-1].offset)

    async def _catch_up(self, number: int, offset: int) -> None:
        """Jump to where the state is when the group's offset is far behind it, or was never committed."""
        partition = self.assignment.opened().get(number)
        if partition is not None and partition.state.position.offset - offset > SEEK_RECORDS:
            position = partition.state.position.offset + 1
            log.info("seeking to the state's position", partition=number, offset=offset, position=position)
            await self.app.consumer.seek(TopicPartition(self._ledger, number), position)

    def _fail(self, error: BaseException) -> None:
        if not self.failure.done():
            self.failure.set_exception(error)


def faust_app(settings: AggregatorSettings) -> Any:
    """Faust with what it is good at (workers, assignment, streams), and without what would fight our own write path."""
    return faust.App(
        settings.application,
        broker=[f"kafka://{server.strip()}" for server in settings.kafka.split(",")],
        datadir=settings.faust_dir,
        web_enabled=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        consumer_auto_offset_reset="earliest",
        consumer_group_instance_id=settings.instance,
        consumer_max_fetch_size=8 << 20,
        broker_session_timeout=settings.session_timeout_s,
        broker_heartbeat_interval=settings.session_timeout_s / 6,
        broker_request_timeout=max(30.0, settings.session_timeout_s),
        stream_buffer_maxsize=2 * settings.batch_records,
        stream_wait_empty=False,
    )
