"""The fenced write path of one partition: everything that follows from a batch commits together, or not at all."""

from __future__ import annotations

import asyncio
from asyncio import Future
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import IllegalOperation, KafkaError, ProducerFenced
from aiokafka.structs import OffsetAndMetadata, RecordMetadata

from services.adapters.topics import TopicName, topic
from services.aggregator.changelog import Message, Messages
from services.aggregator.errors import ForeignWriter
from services.aggregator.restore import holds_records
from services.aggregator.settings import AggregatorSettings

MAX_RECORD_BYTES = 4 << 20
BATCH_BYTES = 1 << 20
COMMIT_MARKER = 1
UNKNOWN = -1
SETTLED_S = 1.0

BROKEN = (KafkaError, IllegalOperation, AssertionError)
"""What a producer raises that has failed: an error of Kafka once, then whatever its own checks find amiss first."""

Delivery = tuple[TopicName, int, "Future[RecordMetadata]"]


@dataclass(slots=True)
class Writer:
    """The transactional producer of one partition.

    `changelog_end` is the offset at which our next balance will be written; UNKNOWN until it is set and after a
    delivery whose offset the broker did not tell. Methods raise one of `BROKEN` (`ProducerFenced` whenever another
    worker has taken over); after any error the writer is of no more use, and neither is the state that it wrote from.
    """

    settings: AggregatorSettings
    partition: int
    producer: AIOKafkaProducer
    changelog_end: int = UNKNOWN
    _ledger: TopicPartition = field(init=False)

    def __post_init__(self) -> None:
        self._ledger = TopicPartition(topic(self.settings, "ledger"), self.partition)

    @classmethod
    async def fence(cls, settings: AggregatorSettings, partition: int) -> Self:
        """Become the only writer of the partition: earlier holders can no longer commit, open transactions end."""
        producer = AIOKafkaProducer(
            bootstrap_servers=settings.kafka,
            transactional_id=f"{settings.application}-{partition}",
            transaction_timeout_ms=int(settings.transaction_timeout_s * 1000),
            acks="all",
            linger_ms=0,  # batches are complete when they are sent
            max_batch_size=BATCH_BYTES,
            max_request_size=MAX_RECORD_BYTES,
            compression_type="zstd",  # aiokafka compresses lz4 at level 9, eight times slower than this and larger
            retry_backoff_ms=20,
        )
        try:
            await producer.start()
        except BaseException:
            await producer.stop()
            raise
        return cls(settings, partition, producer)

    async def commit(self, messages: Messages, *, offset: int) -> None:
        """Write all messages and the group's ledger offset in one transaction; returns once it is committed.

        Raises `ForeignWriter`, committing nothing, when somebody else's records are where we left the changelog.
        """
        deliveries: list[Delivery] = []
        try:
            changelog_end = await self._transact(messages, offset, deliveries)
        except BROKEN as error:
            fenced = await _fenced(deliveries)
            if fenced is None:
                raise
            raise fenced from error
        self.changelog_end = changelog_end

    async def close(self) -> None:
        """Let go of the partition; an open transaction is left for the next holder's fence to abort."""
        await self.producer.stop()

    async def _transact(self, messages: Messages, offset: int, deliveries: list[Delivery]) -> int:
        """One transaction; the end that the changelog has after it. `deliveries` is filled on the way."""
        async with self.producer.transaction():
            for name, found in messages.items():
                await self._send(name, found, deliveries)
            offsets = {self._ledger: OffsetAndMetadata(offset + 1, "")}
            await self.producer.send_offsets_to_transaction(offsets, self.settings.application)
            return await self._delivered(deliveries)

    async def _send(self, name: TopicName, messages: Sequence[Message], deliveries: list[Delivery]) -> None:
        """Hand over whole batches: several times cheaper than one future a message."""
        full_name = topic(self.settings, name)
        batch = self.producer.create_batch()
        for key, value in messages:
            if batch.append(key=key, value=value, timestamp=None) is None:
                deliveries.append(await self._send_batch(name, full_name, batch))
                batch = self.producer.create_batch()
                batch.append(key=key, value=value, timestamp=None)
        deliveries.append(await self._send_batch(name, full_name, batch))

    async def _send_batch(self, name: TopicName, full_name: str, batch: object) -> Delivery:
        count = batch.record_count()  # type: ignore[attr-defined]
        return name, count, await self.producer.send_batch(batch, full_name, partition=self.partition)

    async def _delivered(self, deliveries: Sequence[Delivery]) -> int:
        """Wait for every batch; the end that the changelog has after the commit."""
        end = self.changelog_end
        for name, count, delivered in deliveries:
            metadata = await delivered
            if name != "balances":
                continue
            if UNKNOWN not in (end, metadata.offset) and metadata.offset != end:
                await self._forbid_records(end, metadata.offset)
            end = UNKNOWN if metadata.offset == UNKNOWN else metadata.offset + count
        return end if end == UNKNOWN else end + COMMIT_MARKER

    async def _forbid_records(self, expected: int, offset: int) -> None:
        if offset < expected or await holds_records(self.settings, self.partition, expected, offset):
            raise ForeignWriter(self.partition, expected=expected, offset=offset)


async def _fenced(deliveries: Sequence[Delivery]) -> ProducerFenced | None:
    """Whether we are fenced: a producer that is may refuse the next message before it tells about the last."""
    if not deliveries:
        return None
    settled, _ = await asyncio.wait([delivered for *_, delivered in deliveries], timeout=SETTLED_S)
    failures = [delivered.exception() for delivered in settled if not delivered.cancelled()]
    return next((failure for failure in failures if isinstance(failure, ProducerFenced)), None)
