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
from services.core.governance_events import BoostRequested, PolicyProposed, ProposalReviewed
from services.core.moving_events import BudgetCarried, BudgetMoved
from services.core.pricing import PriceBook
from services.core.record import Record
from services.core.state import LedgerState

_MOVED: Final = tuple(str(event.__struct_config__.tag).encode() for event in (BudgetMoved, BudgetCarried))
_EVENTS = (PolicyChanged, BoostGranted, PolicyProposed, BoostRequested, ProposalReviewed)
_CHANGES: Final = tuple(str(event.__struct_config__.tag).encode() for event in _EVENTS)
"""The types of events from which it follows which policy is in force: what is approved was proposed before."""


class MoneyMoved(Exception):
    """Whether a move was granted follows from what was spent until then: all of the ledger has to be folded."""


class PastPolicies:
    """Folds a partition's records for the policies that were in force: only those that can change one, or `whole`."""

    def __init__(self, partition: int, *, whole: bool = False) -> None:
        self._state, self._clock_ms, self._whole = LedgerState(partition, PriceBook.bundled()), 0, whole

    def take(self, record: Record) -> list[PolicyEntry]:
        """The policies that the next record changes. Raises MoneyMoved for a move, unless all is folded."""
        self._clock_ms = max(self._clock_ms, record.appended_at_ms)
        if not self._whole:
            if any(moved in record.value for moved in _MOVED):
                raise MoneyMoved
            if not any(change in record.value for change in _CHANGES):
                return []
        # The time that the ledger's clock showed: records between may have been left out.
        timed = Record(record.partition, record.offset, self._clock_ms, record.value)
        entries = fold(self._state, timed).policies.values()
        # A proposal changes what is said of a policy, not the policy.
        return [entry for entry in entries if entry.offset == record.offset]


async def past_policies(settings: Settings, partition: int) -> AsyncGenerator[PolicyEntry, None]:
    """Each policy that was put in force, and each that a boost or a move changed, in ledger order; close it when done.

    Reads the partition from its beginning, and folds what may change a policy; once money was moved, all of it. Raises
    CliError when the beginning is no longer kept, and aiokafka's `KafkaError`.
    """
    past, told, last = PastPolicies(partition), -1, await _last(settings, partition)
    while True:
        try:
            async with aclosing(read_ledger(settings, partition, last)) as batches:
                async for batch in batches:
                    for record in batch:
                        for entry in past.take(record):
                            if record.offset > told:
                                yield entry
                        told = max(told, record.offset)
            return
        except MoneyMoved:
            past = PastPolicies(partition, whole=True)
        except LedgerMissing as error:
            raise CliError(f"the policy of that time cannot be read: {error}") from error


async def _last(settings: Settings, partition: int) -> int:
    source = TopicPartition(topic(settings, "ledger"), partition)
    async with reading(settings, source) as consumer:
        ends: dict[TopicPartition, int] = await consumer.end_offsets([source])
        return ends[source] - 1
