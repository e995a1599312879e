"""Addressing and reading Kafka: which partition an organization lives in, and the tail of compacted topics."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.partitioner import murmur2

from services.adapters import logs
from services.adapters.consuming import close, while_alive
from services.adapters.settings import Settings
from services.adapters.topics import TopicName, TopicsError, partition_count, topic

POSITIVE = 0x7FFF_FFFF
RETRY_S = 0.5
POLL_MS = 500
POLL_RECORDS = 20_000

Record: TypeAlias = "ConsumerRecord[bytes | None, bytes | None]"
log = logs.logger(__name__)


@lru_cache(maxsize=100_000)
def partition_for(organization: str, partitions: int) -> int:
    """The partition that holds an organization's whole history: Kafka's own default (murmur2) of its name."""
    return (int(murmur2(organization.encode())) & POSITIVE) % partitions


def has_died(error: BaseException) -> bool:
    """Whether a consumer tells by this that a background task of its own broke: none but another consumer helps.

    aiokafka has named errors for all that passes, and for what an operator must change. A task of its own that breaks,
    by a defect or by such an error, is told as a `KafkaError` and none of its kinds, by every call from then on.
    """
    return type(error) is KafkaError


@dataclass(frozen=True, slots=True)
class TailBatch:
    """Records in the order of their partitions. `caught_up`: all that existed when the tail began has been given."""

    records: Mapping[tuple[TopicName, int], Sequence[Record]]
    caught_up: bool


async def tail(
    settings: Settings,
    names: Sequence[TopicName],
    *,
    partitions: Collection[int] | None = None,
    since_ms: Mapping[TopicName, int] | None = None,
    since: Mapping[tuple[TopicName, int], int] | None = None,
) -> AsyncGenerator[TailBatch, None]:
    """Follow topics from their beginning, committed records only; close it with `contextlib.aclosing`.

    Of a topic in `since_ms`, only what was appended at that instant or later; of a topic and partition in `since`, from
    that offset on, or from the first one after it that there still is. Gives a batch for every fetch, and one
    (perhaps empty) with `caught_up` as soon as the ends seen at the start are reached. Records of one transaction may
    arrive in several batches: order is promised within a partition only. Waits out a broker that is away, at the start
    and later. Raises `KafkaError` when retrying cannot help.
    """
    consumer, assigned = await _connect(settings, names, partitions)
    try:
        await while_alive(consumer, _skip(consumer, assigned, since_ms or {}))
        for tp, place in assigned.items():
            if since is not None and place in since:
                consumer.seek(tp, since[place])
        behind = dict(await while_alive(consumer, consumer.end_offsets(list(assigned))))
        announced = False
        while True:
            fetched, behind = await while_alive(consumer, _read(consumer, behind))
            if fetched or not (behind or announced):
                announced = not behind
                yield TailBatch({assigned[tp]: found for tp, found in fetched.items()}, caught_up=announced)
    finally:
        await close(consumer)


async def _connect(
    settings: Settings, names: Sequence[TopicName], partitions: Collection[int] | None
) -> tuple[AIOKafkaConsumer, Mapping[TopicPartition, tuple[TopicName, int]]]:
    """A consumer of these partitions, once the broker answers and the topics exist."""
    while True:
        consumer = _consumer(settings)
        try:
            count = await partition_count(settings)
            await consumer.start()
        except (KafkaError, TopicsError, OSError) as error:
            await consumer.stop()
            log.warning("waiting for Kafka", reason=str(error), topics=list(names))
            await asyncio.sleep(RETRY_S)
            continue
        except asyncio.CancelledError:
            await consumer.stop()
            raise
        chosen = sorted(range(count) if partitions is None else partitions)
        assigned = {TopicPartition(topic(settings, name), p): (name, p) for name in names for p in chosen}
        consumer.assign(list(assigned))
        return consumer, assigned


def _consumer(settings: Settings) -> AIOKafkaConsumer:
    return AIOKafkaConsumer(
        bootstrap_servers=settings.kafka,
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="earliest",  # "latest" races with a seek and opens an empty state
        max_partition_fetch_bytes=4 << 20,
        retry_backoff_ms=50,
    )


async def _skip(
    consumer: AIOKafkaConsumer,
    assigned: Mapping[TopicPartition, tuple[TopicName, int]],
    since_ms: Mapping[TopicName, int],
) -> None:
    """Begin at these instants; where nothing is that new, at the end."""
    wanted = {tp: since_ms[name] for tp, (name, _) in assigned.items() if name in since_ms}
    if not wanted:
        return
    ends = await consumer.end_offsets(list(wanted))
    for tp, found in (await consumer.offsets_for_times(wanted)).items():
        consumer.seek(tp, ends[tp] if found is None else found.offset)


async def _read(
    consumer: AIOKafkaConsumer, behind: Mapping[TopicPartition, int]
) -> tuple[Mapping[TopicPartition, Sequence[Record]], dict[TopicPartition, int]]:
    """What came next, and which of the ends are still to be reached."""
    fetched = await _fetch(consumer)
    return fetched, {tp: end for tp, end in behind.items() if await consumer.position(tp) < end}


async def _fetch(consumer: AIOKafkaConsumer) -> Mapping[TopicPartition, Sequence[Record]]:
    try:
        fetched: Mapping[TopicPartition, Sequence[Record]] = await consumer.getmany(
            timeout_ms=POLL_MS, max_records=POLL_RECORDS
        )
    except KafkaError as error:
        if not error.retriable:
            raise
        log.warning("reading Kafka failed, retrying", reason=str(error))
        await asyncio.sleep(RETRY_S)
        return {}
    return fetched
