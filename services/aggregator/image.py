"""The changelogs of a partition as compaction leaves them, and its audit log: read, and compared byte for byte."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition

from services.adapters.consuming import started
from services.adapters.kafka import tail
from services.adapters.settings import Settings
from services.adapters.topics import TopicName, topic
from services.aggregator.changelog import Messages
from services.aggregator.restore import CHANGELOGS
from services.core.effects import POSITION_KEY, Position

Table = dict[bytes, bytes]
TRIES = 5
AUDITED: tuple[TopicName, ...] = (*CHANGELOGS, "audit")
"""What the ledger must confirm. The audit log is no changelog: it is compared entry by entry, by their ids."""


class _Named(msgspec.Struct):
    id: str


_decode_elements = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_named = msgspec.json.Decoder(_Named).decode


class Busy(Exception):
    """A partition is being written while it is read, so there is no one state to compare with."""

    def __init__(self, partition: int) -> None:
        super().__init__(f"partition {partition} changes while it is read: audit while no usage arrives")


@dataclass(slots=True)
class Image:
    """The changelogs of one partition as compaction leaves them: the last value of each key; and its audit entries."""

    tables: dict[TopicName, Table] = field(default_factory=lambda: {name: {} for name in AUDITED})

    def write(self, name: TopicName, key: bytes, value: bytes | None) -> None:
        """The later value of a key replaces the earlier, None removes it."""
        if value is None:
            self.tables[name].pop(key, None)
        else:
            self.tables[name][key] = value

    def write_audit(self, value: bytes) -> None:
        """Add the entries of one record of the audit log. Raises `msgspec.MsgspecError` for what is no such record."""
        for entry in map(bytes, _decode_elements(value)):
            self.write("audit", _decode_named(entry).id.encode(), entry)

    def write_all(self, messages: Messages) -> None:
        """Apply what one transaction wrote."""
        for name in CHANGELOGS:
            for key, value in messages.get(name, ()):
                assert key is not None, "changelogs are keyed"
                self.write(name, key, value)
        for _, value in messages.get("audit", ()):
            assert value is not None, "nothing is ever removed from the audit log"
            self.write_audit(value)

    @property
    def position(self) -> int:
        """The last ledger offset applied, -1 for none."""
        value = self.tables["balances"].get(POSITION_KEY.encode())
        return -1 if value is None else msgspec.json.decode(value, type=Position).offset


@dataclass(frozen=True, slots=True)
class Difference:
    """A key whose value the ledger does not confirm; None where one side has none."""

    partition: int
    table: TopicName
    key: str
    recorded: bytes | None
    replayed: bytes | None

    def __str__(self) -> str:
        sides = f"recorded {_show(self.recorded)}, replayed {_show(self.replayed)}"
        return f"partition {self.partition}, {self.table} {self.key}: {sides}"


async def read_image(settings: Settings, partition: int) -> Image:
    """The changelogs between two transactions. Raises `Busy` when there is no such moment."""
    for _ in range(TRIES):
        before = await _changelog_ends(settings, partition)
        image = await _read_image(settings, partition)
        if await _changelog_ends(settings, partition) == before:
            return image
    raise Busy(partition)


async def _changelog_ends(settings: Settings, partition: int) -> Mapping[TopicPartition, int]:
    found = [TopicPartition(topic(settings, name), partition) for name in CHANGELOGS]
    async with reading(settings, *found) as consumer:
        ends: Mapping[TopicPartition, int] = await consumer.end_offsets(found)
        return ends


async def _read_image(settings: Settings, partition: int) -> Image:
    image = Image()
    async with aclosing(tail(settings, AUDITED, partitions=[partition])) as batches:
        async for batch in batches:
            for (name, _), found in batch.records.items():
                for record in found:
                    if name == "audit":
                        image.write_audit(record.value or b"[]")
                        continue
                    assert record.key is not None, "changelogs are keyed"
                    image.write(name, record.key, record.value)
            if batch.caught_up:
                return image
    raise AssertionError("a tail never ends by itself")


def compare(partition: int, recorded: Image, replayed: Image) -> Iterator[Difference]:
    """Every key whose bytes differ, table by table in the order of the keys."""
    for name in AUDITED:
        ours, theirs = recorded.tables[name], replayed.tables[name]
        for key in sorted(ours.keys() | theirs.keys()):
            if ours.get(key) != theirs.get(key):
                yield Difference(partition, name, key.decode(), ours.get(key), theirs.get(key))


@asynccontextmanager
async def reading(settings: Settings, *sources: TopicPartition) -> AsyncIterator[AIOKafkaConsumer]:
    """A consumer of exactly these partitions, in no group."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.kafka, enable_auto_commit=False, auto_offset_reset="earliest"
    )
    async with started(consumer):
        consumer.assign(list(sources))
        yield consumer


def _show(value: bytes | None) -> str:
    return "nothing" if value is None else value.decode()
