"""Native blocks in the framing of newer clients.

The engine writes blocks as revision 0 does: names, types and data of each column. A client that sends
`client_protocol_version` expects a BlockInfo before each block, and from revision 54454 on a byte before each column's
data that says whether its serialization is a custom one. To put them in, every column must be stepped over.

Format: https://clickhouse.com/docs/native-protocol/columns and NativeWriter.cpp of ClickHouse.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from deploy.local.clickhouse.errors import QueryError

WITH_CUSTOM_SERIALIZATION = 54454
ORDINARY_SERIALIZATION = b"\0"
BLOCK_INFO = bytes([1, 0, 2, 0xFF, 0xFF, 0xFF, 0xFF, 0])  # field 1: overflows no; field 2: bucket -1; end
LOW_CARDINALITY_VERSION_BYTES = 8
ADDITIONAL_KEYS = 1 << 9
INDEX_WIDTH = 0xFF
TYPE = re.compile(r"(\w+)(?:\((.*)\))?\Z", re.DOTALL)
NAMED = re.compile(r"(?:`[^`]*`|\w+)\s+(\w.*)\Z", re.DOTALL)
WIDTHS = {
    1: "Nothing UInt8 Int8 Bool Enum8",
    2: "UInt16 Int16 Enum16 Date BFloat16",
    4: "UInt32 Int32 Float32 DateTime Date32 IPv4 Time Decimal32",
    8: "UInt64 Int64 Float64 DateTime64 Time64 Decimal64 IntervalSecond IntervalMinute IntervalHour IntervalDay "
    "IntervalWeek IntervalMonth IntervalQuarter IntervalYear",
    16: "UUID UInt128 Int128 IPv6 Decimal128",
    32: "UInt256 Int256 Decimal256",
}
FIXED = {name: width for width, names in WIDTHS.items() for name in names.split()}
DECIMAL_WIDTHS = ((9, 4), (18, 8), (38, 16), (76, 32))


def reframe(data: bytes, revision: int) -> bytes:
    """Whole blocks of revision 0, framed for a client of `revision`. Raises `QueryError` for a type unknown here."""
    reader, out = Reader(data), bytearray()
    while reader.at < len(data):
        out += BLOCK_INFO
        start = reader.at
        columns, rows = reader.number(), reader.number()
        out += data[start : reader.at]
        for _ in range(columns):
            start = reader.at
            reader.string()
            kind = reader.string().decode()
            out += data[start : reader.at]
            if revision >= WITH_CUSTOM_SERIALIZATION:
                out += ORDINARY_SERIALIZATION
            start = reader.at
            if rows:
                reader.at += LOW_CARDINALITY_VERSION_BYTES * kind.count("LowCardinality(")
                reader.skip(kind, rows)
            out += data[start : reader.at]
    return bytes(out)


@dataclass(slots=True)
class Reader:
    """A position in a block, and how to move it past what stands there."""

    data: bytes
    at: int = 0

    def number(self) -> int:
        """An unsigned LEB128 number."""
        value = shift = 0
        while True:
            byte = self.data[self.at]
            self.at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    def string(self) -> bytes:
        """A string with its length before it."""
        length = self.number()
        self.at += length
        return self.data[self.at - length : self.at]

    def uint64(self) -> int:
        """A little-endian number of eight bytes."""
        self.at += 8
        return int.from_bytes(self.data[self.at - 8 : self.at], "little")

    def skip(self, kind: str, rows: int) -> None:
        """Step over `rows` values of a type."""
        name, arguments = _parse(kind)
        if name == "String":
            for _ in range(rows):
                length = self.number()
                self.at += length
        elif (width := _fixed_width(name, arguments)) is not None:
            self.at += width * rows
        elif rows:
            self._skip_composed(name, arguments, rows)

    def _skip_composed(self, name: str, arguments: list[str], rows: int) -> None:
        match name:
            case "Nullable":
                self.at += rows
                self.skip(arguments[0], rows)
            case "Array" | "Map":
                elements = self._last_offset(rows)
                for argument in arguments:
                    self.skip(argument, elements)
            case "Tuple":
                for argument in arguments:
                    named = NAMED.match(argument)
                    self.skip(named[1] if named else argument, rows)
            case "SimpleAggregateFunction":
                self.skip(arguments[1], rows)
            case "LowCardinality":
                self._skip_low_cardinality(arguments[0], rows)
            case _:
                raise unsupported(name)

    def _last_offset(self, rows: int) -> int:
        """Offsets of arrays: one a row, the last one is the number of elements."""
        self.at += 8 * (rows - 1)
        return self.uint64()

    def _skip_low_cardinality(self, kind: str, rows: int) -> None:
        flags = self.uint64()
        if flags & ADDITIONAL_KEYS:
            nullable = kind.startswith("Nullable(")
            self.skip(kind.removeprefix("Nullable(").removesuffix(")") if nullable else kind, self.uint64())
        self.at += 8 + rows * (1 << (flags & INDEX_WIDTH))


def unsupported(kind: str) -> QueryError:
    """The refusal for a column that cannot be stepped over."""
    return QueryError.named(48, f"Native blocks with {kind} for client_protocol_version", "NOT_IMPLEMENTED")


def _parse(kind: str) -> tuple[str, list[str]]:
    match = TYPE.match(kind)
    if match is None:
        raise unsupported(kind)
    return match[1], _split(match[2] or "")


def _split(arguments: str) -> list[str]:
    """Arguments of a type: commas inside parentheses and quotes do not separate."""
    parts, depth, quoted, start = [], 0, False, 0
    for at, character in enumerate(arguments):
        if character == "'":
            quoted = not quoted
        elif quoted:
            continue
        elif character in "()":
            depth += 1 if character == "(" else -1
        elif character == "," and depth == 0:
            parts.append(arguments[start:at].strip())
            start = at + 1
    return [*parts, arguments[start:].strip()]


def _fixed_width(name: str, arguments: list[str]) -> int | None:
    """Bytes of one value, when all values of the type have as many."""
    if name == "FixedString":
        return int(arguments[0])
    if name == "Decimal":
        return next(width for most, width in DECIMAL_WIDTHS if int(arguments[0]) <= most)
    return FIXED.get(name)
