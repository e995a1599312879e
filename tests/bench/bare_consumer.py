"""The floor of the aggregator's bench: an aiokafka consumer that decodes the ledger and does nothing with it."""

from __future__ import annotations

import sys
from time import perf_counter

import msgspec
import uvloop
from aiokafka import AIOKafkaConsumer, TopicPartition

from services.core.ledger_event import LedgerEvent


async def consume(bootstrap: str, topic: str, partition_count: int) -> float:
    """Events per second from the first fetch that brought any to the end of the topic."""
    decode = msgspec.json.Decoder(list[LedgerEvent]).decode
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest", enable_auto_commit=False)
    await consumer.start()
    try:
        partitions = [TopicPartition(topic, number) for number in range(partition_count)]
        consumer.assign(partitions)
        left = sum((await consumer.end_offsets(partitions)).values())
        events, started = 0, 0.0
        while left:
            fetched = await consumer.getmany(timeout_ms=1000)
            started = started or perf_counter()
            for records in fetched.values():
                left -= len(records)
                events += sum(len(decode(record.value or b"")) for record in records)
        return events / (perf_counter() - started)
    finally:
        await consumer.stop()


if __name__ == "__main__":
    print(uvloop.run(consume(sys.argv[1], sys.argv[2], int(sys.argv[3]))))
