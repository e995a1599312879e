"""A member of the sink's consumer group: a carrier for each partition it is given, for as long as it is given it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaError

from services.adapters.clickhouse import FAILURES, explain, open_async_client
from services.adapters.consuming import close, until_broken
from services.adapters.ending import end_tasks
from services.adapters.topics import ensure_topics, topic
from services.adapters.vital import failure_of
from services.sink.alerts import ALERTS
from services.sink.anomalies import ANOMALIES
from services.sink.audit_log import AUDIT
from services.sink.bookmarks import Bookmarks
from services.sink.carrier import Carrier, Parts
from services.sink.charges import CHARGES
from services.sink.decisions import DECISIONS
from services.sink.feed import Feed
from services.sink.forecasts import FORECASTS
from services.sink.health import Health
from services.sink.pace import Pace
from services.sink.rejects import Rejects
from services.sink.settings import SinkSettings
from services.sink.store import Store
from services.sink.watch import Watch

FEEDS: Sequence[Feed[Any]] = (CHARGES, DECISIONS, FORECASTS, ANOMALIES, ALERTS, AUDIT)
FETCH_BYTES = 8 << 20
FETCH_WAIT_MS = 100
GRACE_S = 3.0


class Worker(ConsumerRebalanceListener):  # type: ignore[misc] # aiokafka has no types
    """Runs until it is cancelled. `prepare` brings the database up to date; it raises `FAILURES` while that is away."""

    def __init__(self, settings: SinkSettings, health: Health, prepare: Callable[[], Awaitable[object]]) -> None:
        self._settings = settings
        self._health = health
        self._prepare = prepare
        self._feeds: Mapping[str, Feed[Any]] = {topic(settings, feed.topic): feed for feed in FEEDS}
        self._store = Store(partial(open_async_client, settings.clickhouse))
        self._rejects = Rejects(settings)
        self._consumer = _consumer(settings)
        self._parts = Parts(
            settings=settings,
            consumer=self._consumer,
            bookmarks=Bookmarks(settings.kafka, settings.group_id),
            store=self._store,
            rejects=self._rejects,
            health=health,
            inserts=asyncio.Semaphore(settings.inserts_at_once),
        )
        self._running: dict[TopicPartition, tuple[Carrier, asyncio.Task[None]]] = {}
        self._defect: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def run(self) -> None:
        """Prepare, join the group and carry rows.

        Raises `MigrationError` and `TopicsError` (a person must act), and a `KafkaError` when the consumer has died.
        """
        await self._persist("clickhouse", self._prepare)
        await self._persist("kafka", lambda: ensure_topics(self._settings))
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._store.close)
            stack.push_async_callback(self._rejects.stop)
            await self._persist("kafka", self._rejects.start)
            stack.push_async_callback(close, self._consumer)
            await self._persist("kafka", self._consumer.start)
            self._consumer.subscribe(list(self._feeds), listener=self)
            stack.push_async_callback(self._release)
            self._beside(stack, "watch the neighbours", self._watch().run())
            self._beside(stack, "watch the consumer", until_broken(self._consumer))
            await self._defect

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        """Start a carrier for each partition."""
        self._health.assigned(len(assigned))
        for place in assigned:
            carrier = Carrier(self._parts, self._feeds[place.topic], place)
            task = asyncio.create_task(carrier.run(), name=f"carrier {place.topic}/{place.partition}")
            task.add_done_callback(self._ended)
            self._running[place] = carrier, task

    async def on_partitions_revoked(self, _revoked: Collection[TopicPartition]) -> None:
        """Let inserts under way finish, within reason; what remains pending, the next owner repeats."""
        await self._release()

    async def _release(self) -> None:
        running, self._running = self._running, {}
        if not running:
            return
        await asyncio.wait([asyncio.create_task(carrier.idle()) for carrier, _ in running.values()], timeout=GRACE_S)
        await end_tasks(*[task for _, task in running.values()])

    def _watch(self) -> Watch:
        return Watch(
            self._settings,
            self._health,
            self._store,
            self._consumer,
            self._feeds,
            lambda: {place: carrier for place, (carrier, _) in self._running.items()},
        )

    def _beside(self, stack: AsyncExitStack, name: str, work: Coroutine[Any, Any, None]) -> None:
        """Run a task for as long as the stack is open; what it raises ends the worker."""
        task = asyncio.create_task(work, name=name)
        task.add_done_callback(self._ended)
        stack.callback(task.cancel)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if (error := failure_of(task)) is not None and not self._defect.done():
            self._defect.set_exception(error)

    async def _persist(self, where: str, attempt: Callable[[], Awaitable[object]]) -> None:
        """Try until it succeeds: at its start the sink may be the first of all to be up."""
        pace = Pace(self._settings.retry_ms_max)
        while True:
            try:
                await attempt()
            except (KafkaError, *FAILURES) as error:
                self._health.trouble(where, explain(error))
            else:
                self._health.over(where)
                return
            await pace.wait()


def _consumer(settings: SinkSettings) -> AIOKafkaConsumer:
    return AIOKafkaConsumer(
        bootstrap_servers=settings.kafka,
        group_id=settings.group_id,
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="earliest",  # carriers seek by themselves; "latest" would race with that
        session_timeout_ms=settings.session_timeout_ms,
        heartbeat_interval_ms=max(250, settings.session_timeout_ms // 5),
        rebalance_timeout_ms=max(settings.session_timeout_ms, int(4 * GRACE_S * 1000)),
        max_poll_interval_ms=86_400_000,  # while ClickHouse is away nothing is polled, and the partitions are kept
        max_partition_fetch_bytes=FETCH_BYTES,
        fetch_max_wait_ms=FETCH_WAIT_MS,
        retry_backoff_ms=50,
    )
