"""`python -m services.aggregator.replay`: fold the ledger anew and compare with changelogs and audit log, by bytes."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from services.adapters.settings import Settings
from services.adapters.topics import TopicsError, partition_count, topic
from services.aggregator.changelog import encode
from services.aggregator.errors import LedgerMissing
from services.aggregator.image import Busy, Difference, Image, compare, read_image, reading
from services.core.effects import Effects
from services.core.fold import fold
from services.core.pricing import PriceBook
from services.core.record import Record
from services.core.state import LedgerState

FOLD_RECORDS = 500
SHOWN = 20


@dataclass(frozen=True, slots=True)
class Audit:
    """What a replay found."""

    records: int
    values: int
    differences: Sequence[Difference]


async def replay(settings: Settings, prices: PriceBook) -> Audit:
    """Audit every partition up to its recorded position.

    Raises `LedgerMissing` when the ledger no longer holds its beginning, `Busy` when the changelogs change while they
    are read, and aiokafka's `KafkaError`.
    """
    records = values = 0
    differences: list[Difference] = []
    for partition in range(await partition_count(settings)):
        recorded = await read_image(settings, partition)
        replayed = await fold_image(settings, partition, recorded.position, prices)
        differences += compare(partition, recorded, replayed)
        records += recorded.position + 1
        values += sum(map(len, recorded.tables.values()))
    return Audit(records, values, differences)


async def fold_image(settings: Settings, partition: int, last: int, prices: PriceBook) -> Image:
    """The changelogs and the audit log as folding the ledger from its beginning up to `last` writes them."""
    image, state = Image(), LedgerState(partition, prices)
    async with aclosing(read_ledger(settings, partition, last)) as batches:
        async for batch in batches:
            effects = Effects()
            for record in batch:
                effects.absorb(fold(state, record))
            image.write_all(encode(effects))
    return image


async def read_ledger(settings: Settings, partition: int, last: int) -> AsyncGenerator[list[Record], None]:
    """The records of a ledger partition from its beginning up to `last`, in batches."""
    source = TopicPartition(topic(settings, "ledger"), partition)
    async with reading(settings, source) as consumer:
        first = (await consumer.beginning_offsets([source]))[source]
        end = (await consumer.end_offsets([source]))[source]
        if first > 0 or end <= last:
            raise LedgerMissing(partition, position=last, first=first, end=end)
        read = -1
        while read < last:
            fetched = (await consumer.getmany(timeout_ms=500, max_records=FOLD_RECORDS)).get(source, [])
            batch = [Record(partition, r.offset, r.timestamp, r.value or b"") for r in fetched if r.offset <= last]
            if batch:
                read = batch[-1].offset
                yield batch


def main() -> int:
    """Print what was found; 0 when the ledger confirms every value, 1 when it does not, 2 when it cannot be said."""
    try:
        audit = asyncio.run(replay(Settings(), PriceBook.bundled()))
    except (LedgerMissing, Busy, TopicsError, KafkaError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    for difference in audit.differences[:SHOWN]:
        sys.stdout.write(f"{difference}\n")
    more = len(audit.differences) - SHOWN
    if more > 0:
        sys.stdout.write(f"... and {more} more\n")
    sys.stdout.write(f"{audit.records} records, {audit.values} values, {len(audit.differences)} differences\n")
    return 1 if audit.differences else 0


if __name__ == "__main__":
    sys.exit(main())
