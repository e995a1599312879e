"""What was published of a partition, compared event by event with what the ledger gives."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition

from services.adapters.settings import Settings
from services.adapters.topics import TopicName, topic
from services.aggregator.changelog import SOURCE, Message
from services.aggregator.image import Difference, reading

OUTCOMES: Final[tuple[TopicName, ...]] = ("charges", "alerts", "rejected", "audit")
"""Topics of events that follow from the ledger, in its order. Others write to them too, under names of their own."""

POLL_MS: Final = 500


class Event(NamedTuple):
    """An event as it is written, and the ledger record that it followed from."""

    id: str
    ledger_offset: int
    value: bytes


class _Data(msgspec.Struct):
    ledger_offset: int | None = None


class _Envelope(msgspec.Struct):
    id: str
    source: str
    data: _Data


_split = msgspec.json.Decoder(list[msgspec.Raw]).decode
_read = msgspec.json.Decoder(_Envelope).decode


def events_of(record: bytes) -> list[Event]:
    """The events of a record that the aggregator wrote, byte for byte; those of others are left out."""
    found = []
    for raw in _split(record):
        value = bytes(raw)
        envelope = _read(value)
        if envelope.source == SOURCE and envelope.data.ledger_offset is not None:
            found.append(Event(envelope.id, envelope.data.ledger_offset, value))
    return found


@dataclass(slots=True)
class Published:
    """One topic of one partition, compared with the ledger's word as that is found, from the first event still kept.

    `trimmed`: retention has removed the beginning. One event out of place is told, and the rest is not compared.
    """

    name: TopicName
    partition: int
    events: AsyncIterator[Event]
    last: int
    """The last ledger offset to look at: what was published since is not compared."""
    trimmed: bool
    compared: int = 0
    differences: list[Difference] = field(default_factory=list)
    _next: Event | None = None
    _lost: bool = False

    async def confirm(self, messages: Sequence[Message]) -> None:
        """What the ledger gives next is what was published next."""
        for _, value in messages:
            for expected in events_of(value or b"[]"):
                if self._lost:
                    return
                await self._confirm(expected)

    async def finish(self) -> None:
        """The ledger gives nothing more."""
        found = None if self._lost else await self._peek()
        if found is not None:
            self._differ(found, None)

    async def _confirm(self, expected: Event) -> None:
        found = await self._peek()
        if self.trimmed and (found is None or found.id != expected.id):
            return  # gone: the first that is kept comes later
        self.trimmed, self._next = False, None
        if found is None or found.id != expected.id:
            self._differ(found, expected)
            self._lost = True
        else:
            self.compared += 1
            if found.value != expected.value:
                self._differ(found, expected)

    async def _peek(self) -> Event | None:
        if self._next is None:
            self._next = await anext(self.events, None)
        found = self._next
        return None if found is None or found.ledger_offset > self.last else found

    def _differ(self, found: Event | None, expected: Event | None) -> None:
        named = found or expected
        assert named is not None, "a difference has a side"
        sides = [None if side is None else side.value for side in (found, expected)]
        self.differences.append(Difference(self.partition, self.name, named.id, *sides))


@asynccontextmanager
async def published(settings: Settings, name: TopicName, partition: int, last: int) -> AsyncIterator[Published]:
    """What was committed to a topic until now, from ledger records up to `last`."""
    source = TopicPartition(topic(settings, name), partition)
    async with reading(settings, source, committed=True) as consumer:
        first = (await consumer.beginning_offsets([source]))[source]
        end = (await consumer.end_offsets([source]))[source]
        async with aclosing(_events(consumer, source, end)) as events:
            yield Published(name, partition, events, last, trimmed=first > 0)


async def _events(consumer: AIOKafkaConsumer, source: TopicPartition, end: int) -> AsyncGenerator[Event, None]:
    while await consumer.position(source) < end:
        for record in (await consumer.getmany(source, timeout_ms=POLL_MS)).get(source, []):
            for event in _events_at(record.offset, record.value or b"[]"):
                yield event


def _events_at(offset: int, record: bytes) -> list[Event]:
    try:
        return events_of(record)
    except msgspec.DecodeError:
        # Nothing of ours: it stands where something else should, or nothing.
        return [Event(f"the record at offset {offset}", -1, record)]
