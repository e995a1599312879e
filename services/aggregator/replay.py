"""`python -m services.aggregator.replay`: fold the whole ledger anew and compare all that followed, byte for byte."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from services.adapters.settings import Settings
from services.adapters.topics import TopicsError, partition_count, topic
from services.aggregator.changelog import encode
from services.aggregator.errors import LedgerMissing
from services.aggregator.image import Busy, Difference, Image, compare, read_image, reading
from services.aggregator.published import OUTCOMES, Published, published
from services.core.effects import Effects
from services.core.fold import fold
from services.core.pricing import PriceBook
from services.core.record import Record
from services.core.state import LedgerState

FOLD_RECORDS = 500
SHOWN = 20


@dataclass(frozen=True, slots=True)
class Audit:
    """What a replay found: ledger records folded, values of changelogs and published events compared with them."""

    records: int
    values: int
    events: int
    differences: Sequence[Difference]


async def replay(settings: Settings, prices: PriceBook) -> Audit:
    """Audit every partition up to its recorded position: changelogs, and what was published as far as it is kept.

    Raises `LedgerMissing` when the ledger no longer holds its beginning, `Busy` when the changelogs change while they
    are read, and aiokafka's `KafkaError`.
    """
    records = values = events = 0
    differences: list[Difference] = []
    for partition in range(await partition_count(settings)):
        recorded = await read_image(settings, partition)
        async with AsyncExitStack() as stack:
            outcomes = [
                await stack.enter_async_context(published(settings, name, partition, recorded.position))
                for name in OUTCOMES
            ]
            replayed = await fold_image(settings, partition, recorded.position, prices, outcomes)
        differences += compare(partition, recorded, replayed)
        for outcome in outcomes:
            differences += outcome.differences
            events += outcome.compared
        records += recorded.position + 1
        values += sum(map(len, recorded.tables.values()))
    return Audit(records, values, events, differences)


async def fold_image(
    settings: Settings, partition: int, last: int, prices: PriceBook, outcomes: Sequence[Published]
) -> Image:
    """The changelogs as folding the ledger up to `last` writes them; on the way, `outcomes` are compared."""
    image, state = Image(), LedgerState(partition, prices)
    async with aclosing(read_ledger(settings, partition, last)) as batches:
        async for batch in batches:
            effects = Effects()
            for record in batch:
                effects.absorb(fold(state, record))
            messages = encode(effects)
            image.write_all(messages)
            for outcome in outcomes:
                await outcome.confirm(messages.get(outcome.name, ()))
    for outcome in outcomes:
        await outcome.finish()
    return image


async def last_offset(settings: Settings, partition: int) -> int:
    """The last record of a ledger partition, -1 if there is none."""
    source = TopicPartition(topic(settings, "ledger"), partition)
    async with reading(settings, source) as consumer:
        ends: dict[TopicPartition, int] = await consumer.end_offsets([source])
        return ends[source] - 1


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
    """Print what was found; 0 when the ledger confirms everything, 1 when it does not, 2 when it cannot be said."""
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
    compared = f"{audit.values} values and {audit.events} published events"
    sys.stdout.write(f"{audit.records} records, {compared}, {len(audit.differences)} differences\n")
    return 1 if audit.differences else 0


if __name__ == "__main__":
    sys.exit(main())
