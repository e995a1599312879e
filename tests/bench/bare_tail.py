"""The floor of an enforcer's start: an aiokafka consumer that reads the balances to their end, and keeps none."""

from __future__ import annotations

import sys
from time import perf_counter

import uvloop
from aiokafka import AIOKafkaConsumer, TopicPartition


async def consume(bootstrap: str, topic: str, partition_count: int) -> float:
    """Seconds from its start to the end of the topic."""
    started = perf_counter()
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        isolation_level="read_committed",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        max_partition_fetch_bytes=4 << 20,
    )
    await consumer.start()
    try:
        partitions = [TopicPartition(topic, number) for number in range(partition_count)]
        consumer.assign(partitions)
        left = sum((await consumer.end_offsets(partitions)).values())
        while left:
            left -= sum(map(len, (await consumer.getmany(timeout_ms=1000)).values()))
        return perf_counter() - started
    finally:
        await consumer.stop()


if __name__ == "__main__":
    print(uvloop.run(consume(sys.argv[1], sys.argv[2], int(sys.argv[3]))))
