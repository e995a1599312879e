"""An idempotent producer that is never given up on: connected in the background, replaced when it breaks."""

from __future__ import annotations

import asyncio

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError, ProducerClosed, RecordListTooLargeError

from services.adapters import logs
from services.adapters.ending import end_tasks
from services.adapters.ledger_clock import LedgerClock
from services.adapters.settings import Settings
from services.adapters.topics import TopicsError, ensure_topics

MAX_RECORD_BYTES = 4 << 20
RETRY_S = 0.25
STOP_S = 3.0
LOG_APPEND_TIME = 1
NEVER = (MessageSizeTooLargeError, RecordListTooLargeError)
log = logs.logger(__name__)


class RecordRefused(Exception):
    """Kafka will never take this record, however often it is sent."""


class Publisher:
    """Delivers records to Kafka, each once as far as Kafka's idempotent protocol reaches.

    A delivery that had to move to a new producer may arrive twice; readers tell by the events' ids.
    """

    def __init__(self, settings: Settings, clock: LedgerClock | None = None) -> None:
        """`clock` is told when records were appended."""
        self._settings, self._clock = settings, clock or LedgerClock()
        self._producer: AIOKafkaProducer | None = None
        self._connecting: asyncio.Task[AIOKafkaProducer] | None = None
        self._retiring: set[asyncio.Task[None]] = set()
        self.partitions: int | None = None

    @property
    def connected(self) -> bool:
        """Whether a producer is at work. It may still be waiting for a broker that has just gone."""
        return self._producer is not None

    async def connect(self) -> None:
        """Return once Kafka answers; `partitions` is known from then on."""
        await self._current()

    async def deliver(self, topic: str, partition: int, value: bytes) -> int:
        """The offset of the record, however long that takes. Cancelling does not undo what was sent.

        Raises `RecordRefused`.
        """
        while True:
            producer = await self._current()
            begun = self._clock.begin()
            try:
                placed = await (await producer.send(topic, value, partition=partition))
                if placed.timestamp_type == LOG_APPEND_TIME:
                    self._clock.appended(begun, placed.timestamp)
                return int(placed.offset)
            except (KafkaError, OSError) as error:
                self._retire(producer)
                if isinstance(error, NEVER):
                    raise RecordRefused(repr(error)) from error
                log.warning("delivery failed, retrying", topic=topic, partition=partition, reason=repr(error))
                await asyncio.sleep(RETRY_S)

    async def stop(self) -> None:
        """Close the connection; what is not acknowledged by now is given up."""
        if self._connecting is not None:
            await end_tasks(self._connecting)
        if self._producer is not None:
            self._retire(self._producer)
        await asyncio.gather(*self._retiring)

    async def _current(self) -> AIOKafkaProducer:
        if self._producer is not None:
            return self._producer
        if self._connecting is None or self._connecting.done():
            self._connecting = asyncio.create_task(self._connect())
        return await asyncio.shield(self._connecting)

    async def _connect(self) -> AIOKafkaProducer:
        while True:
            producer = AIOKafkaProducer(
                bootstrap_servers=self._settings.kafka,
                enable_idempotence=True,
                acks="all",
                compression_type="zstd",  # aiokafka compresses lz4 at level 9, eight times slower than this and larger
                max_batch_size=MAX_RECORD_BYTES,
                max_request_size=MAX_RECORD_BYTES,
                request_timeout_ms=10_000,
                retry_backoff_ms=100,
            )
            try:
                self.partitions = await ensure_topics(self._settings)
                await producer.start()
            except (KafkaError, TopicsError, OSError) as error:
                log.warning("waiting for Kafka", reason=str(error))
                await _close(producer)
                await asyncio.sleep(RETRY_S)
                continue
            except asyncio.CancelledError:
                await _close(producer)
                raise
            self._producer, self._connecting = producer, None
            return producer

    def _retire(self, producer: AIOKafkaProducer) -> None:
        """Stop using a producer; whatever it still holds fails over to the next one."""
        if producer is not self._producer:
            return
        self._producer = None
        task = asyncio.create_task(_close(producer))
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)


async def _close(producer: AIOKafkaProducer) -> None:
    """Flush and close. `stop` alone waits for ever for a broker that is away: past the deadline, cut it short."""
    try:
        await asyncio.wait_for(producer.stop(), STOP_S)
    except (KafkaError, TimeoutError):
        await producer._sender.close()
        await producer.client.close()
    finally:
        # What was never sent would keep its senders waiting for ever; like this they turn to the next producer.
        producer._message_accumulator.fail_all(ProducerClosed())
