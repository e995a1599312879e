"""What the sink needs to know of a topic to bring it into a table: how to read a record, and how to make rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, Final, Generic, TypeVar

import msgspec
import pyarrow as pa
from msgspec import Raw, Struct

from services.adapters.topics import TopicName
from services.sink.columns import INSTANT, U16, U64, UNFIT, Columns, column

Row = TypeVar("Row", bound=Struct)

EARLIEST_MS: Final = 1_420_070_400_000  # 2015: no call to a language model is older
LATEST_MS: Final = 4_102_444_800_000  # 2100
PLACE: Final[Columns] = {"topic_partition": U16, "topic_offset": U64}
UNREADABLE = (msgspec.MsgspecError, ValueError)

_decode_elements = msgspec.json.Decoder(list[Raw]).decode


@dataclass(frozen=True, slots=True)
class Malformed:
    """An element that is no row: where it stood, and why. `index` None: the whole record."""

    offset: int
    index: int | None
    detail: str
    text: bytes


@dataclass(frozen=True, slots=True)
class Block:
    """The rows of a range as one Arrow table, and what could not be made into rows."""

    rows: pa.Table
    malformed: Sequence[Malformed]


@dataclass(slots=True)
class Reading(Generic[Row]):
    """Rows read so far, where each stood (offset, index), and what was unreadable."""

    rows: list[Row] = field(default_factory=list)
    places: list[tuple[int, int]] = field(default_factory=list)
    malformed: list[Malformed] = field(default_factory=list)


@dataclass(frozen=True)
class Feed(Generic[Row]):
    """One topic and its table.

    A row has an attribute for each column, an instant's ending in `_ms`. `time` is the instant that the table is
    partitioned by. `many` reads the JSON array of a record, `one` an element of it; both raise `UNREADABLE`.
    """

    topic: TopicName
    table: str
    columns: Columns
    time: str
    many: Callable[[bytes], list[Row]]
    one: Callable[[Raw], Row]

    def block(self, partition: int, records: Iterable[tuple[int, bytes | None]]) -> Block:
        """Rows of these records (offset, value), always the same for the same records."""
        reading = Reading[Row]()
        for offset, value in records:
            self._read(offset, value or b"", reading)
        try:
            rows = self._table(partition, reading)
        except UNFIT:
            reading = self._fitting(partition, reading)
            rows = self._table(partition, reading)
        return Block(rows, reading.malformed)

    def _read(self, offset: int, value: bytes, reading: Reading[Row]) -> None:
        try:
            found = self.many(value)
        except UNREADABLE as error:
            self._read_one_by_one(offset, value, str(error), reading)
            return
        reading.rows += found
        reading.places += [(offset, index) for index in range(len(found))]

    def _read_one_by_one(self, offset: int, value: bytes, detail: str, reading: Reading[Row]) -> None:
        try:
            elements = _decode_elements(value)
        except UNREADABLE:
            reading.malformed.append(Malformed(offset, None, detail, value))
            return
        for index, element in enumerate(elements):
            try:
                reading.rows.append(self.one(element))
                reading.places.append((offset, index))
            except UNREADABLE as error:
                reading.malformed.append(Malformed(offset, index, str(error), bytes(element)))

    def _table(self, partition: int, reading: Reading[Row]) -> pa.Table:
        self._check_times(reading.rows)
        arrays = [column(self._values(name, reading.rows), kind) for name, kind in self.columns.items()]
        arrays.append(column([partition] * len(reading.rows), U16))
        arrays.append(column([offset for offset, _ in reading.places], U64))
        return pa.table(arrays, names=[*self.columns, *PLACE])

    def _check_times(self, rows: Sequence[Row]) -> None:
        times = self._values(self.time, rows)
        if rows and not EARLIEST_MS <= min(times) <= max(times) < LATEST_MS:
            raise ValueError(f"{self.time} is not between 2015 and 2100")

    def _values(self, name: str, rows: Sequence[Row]) -> list[Any]:
        attribute = f"{name}_ms" if self.columns[name] == INSTANT else name
        return list(map(attrgetter(attribute), rows))

    def _fitting(self, partition: int, reading: Reading[Row]) -> Reading[Row]:
        """The slow way, taken when some value fits no column: try each row alone."""
        kept = Reading[Row](malformed=reading.malformed)
        for row, place in zip(reading.rows, reading.places, strict=True):
            try:
                self._table(partition, Reading([row], [place]))
            except UNFIT as error:
                kept.malformed.append(Malformed(*place, str(error), msgspec.json.encode(row)))
            else:
                kept.rows.append(row)
                kept.places.append(place)
        return kept
