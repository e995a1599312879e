"""The policies that were ever in force, from the ledger: it keeps every change."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

from aiokafka import TopicPartition

from services.adapters.settings import Settings
from services.adapters.topics import topic
from services.aggregator.errors import LedgerMissing
from services.aggregator.image import reading
from services.aggregator.replay import read_ledger
from services.cli.errors import CliError
from services.core.effects import PolicyEntry
from services.core.events import BoostGranted, PolicyChanged
from services.core.fold import fold
from services.core.moving_events import BudgetMoved
from services.core.pricing import PriceBook
from services.core.record import Record
from services.core.state import LedgerState

_MOVED: Final = str(BudgetMoved.__struct_config__.tag).encode()
_CHANGES: Final = (_MOVED, *(str(event.__struct_config__.tag).encode() for event in (PolicyChanged, BoostGranted)))


async def past_policies(settings: Settings, partition: int) -> AsyncGenerator[PolicyEntry, None]:
    """Each policy that was put in force, and each that a boost has changed, in ledger order; close it when done.

    Reads the partition from its beginning, and folds what may change a policy. Raises CliError when the beginning is
    no longer kept, and aiokafka's `KafkaError`.
    """
    state, clock_ms = LedgerState(partition, PriceBook.bundled()), 0
    try:
        async with aclosing(read_ledger(settings, partition, await _last(settings, partition))) as batches:
            async for batch in batches:
                for record in batch:
                    clock_ms = max(clock_ms, record.appended_at_ms)
                    if any(change in record.value for change in _CHANGES):
                        for entry in _apply(state, record, clock_ms):
                            yield entry
    except LedgerMissing as error:
        raise CliError(f"the policy of that time cannot be read: {error}") from error


def _apply(state: LedgerState, record: Record, clock_ms: int) -> list[PolicyEntry]:
    """What a record changes, at the time that the ledger's clock showed: records between were left out."""
    timed = Record(record.partition, record.offset, clock_ms, record.value)
    return list(fold(state, timed).policies.values())


async def _last(settings: Settings, partition: int) -> int:
    source = TopicPartition(topic(settings, "ledger"), partition)
    async with reading(settings, source) as consumer:
        ends: dict[TopicPartition, int] = await consumer.end_offsets([source])
        return ends[source] - 1
