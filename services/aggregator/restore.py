"""Rebuilding a partition's state from its changelogs, committed records only, to the very end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from aiokafka import AIOKafkaConsumer, TopicPartition

from services.adapters.consuming import started
from services.adapters.kafka import Record, tail
from services.adapters.settings import Settings
from services.adapters.topics import TopicName, topic
from services.core.effects import POSITION_KEY
from services.core.pricing import PriceBook
from services.core.state import LedgerState

POLL_MS = 100
CHANGELOGS: tuple[TopicName, ...] = ("balances", "policies", "seen")


@dataclass(frozen=True, slots=True)
class Ends:
    """What the broker holds of a partition: the ledger is `ledger_first..ledger_end - 1`."""

    ledger_first: int
    ledger_end: int
    changelog_end: int


async def ends(settings: Settings, partition: int) -> Ends:
    """Ask the broker. Exact for the changelog once the partition is fenced: nobody else can write it then."""
    ledger = TopicPartition(topic(settings, "ledger"), partition)
    balances = TopicPartition(topic(settings, "balances"), partition)
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.kafka, enable_auto_commit=False)
    async with started(consumer):
        first = await consumer.beginning_offsets([ledger])
        end = await consumer.end_offsets([ledger, balances])
    return Ends(first[ledger], end[ledger], end[balances])


async def holds_records(settings: Settings, partition: int, first: int, end: int) -> bool:
    """Whether the changelog of balances holds anything at `first..end - 1` but the marks by which transactions end.

    A broker that fails over may mark the end of a transaction once more.
    """
    balances = TopicPartition(topic(settings, "balances"), partition)
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.kafka, enable_auto_commit=False)
    async with started(consumer):
        consumer.assign([balances])
        consumer.seek(balances, first)
        while await consumer.position(balances) < end:
            for found in (await consumer.getmany(balances, timeout_ms=POLL_MS)).values():
                if any(record.offset < end for record in found):
                    return True
        return False


async def restore(settings: Settings, partition: int, prices: PriceBook) -> LedgerState:
    """The state as the last committed transaction left it; a new one if there is none."""
    restoring = _Restoring(LedgerState(partition, prices))
    async with aclosing(tail(settings, CHANGELOGS, partitions=[partition])) as batches:
        async for batch in batches:
            restoring.take(batch.records)
            if batch.caught_up:
                break
    return restoring.finish()


@dataclass(slots=True)
class _Restoring:
    state: LedgerState
    # Compiled once, in the end, however many versions the changelog still holds.
    policies: dict[bytes, bytes] = field(default_factory=dict)
    # The seen table wants its records in ledger order, those removed left out.
    seen: dict[int, bytes] = field(default_factory=dict)

    def take(self, records: Mapping[tuple[TopicName, int], Sequence[Record]]) -> None:
        for (name, _), found in records.items():
            if name == "balances":
                self._balances(found)
            elif name == "policies":
                self._policies(found)
            else:
                self._seen(found)

    def finish(self) -> LedgerState:
        for policy in self.policies.values():
            self.state.restore_policy(policy)
        for offset in sorted(self.seen):
            self.state.restore_seen(offset, self.seen.pop(offset))
        return self.state

    def _balances(self, records: Sequence[Record]) -> None:
        for record in records:
            key = (record.key or b"").decode()
            if key != POSITION_KEY:
                self.state.restore_balance(key, record.value)
            elif record.value is not None:
                self.state.restore_position(record.value)

    def _policies(self, records: Sequence[Record]) -> None:
        for record in records:
            if record.key is not None and record.value is not None:
                self.policies[record.key] = record.value

    def _seen(self, records: Sequence[Record]) -> None:
        for record in records:
            offset = int(record.key or b"")
            if record.value is None:
                self.seen.pop(offset, None)
            else:
                self.seen[offset] = record.value
