"""From Python values to Arrow columns as the ClickHouse tables type them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

Columns = Mapping[str, pa.DataType]
"""A table's columns that a feed fills, in order."""

TEXT: Final = pa.string()
LABEL: Final = pa.dictionary(pa.int32(), pa.string())
"""A text with few different values: LowCardinality in ClickHouse."""
TAGS: Final = pa.map_(pa.string(), pa.string())
INSTANT: Final = pa.timestamp("ms", tz="UTC")
U16: Final = pa.uint16()
U32: Final = pa.uint32()
U64: Final = pa.uint64()
I64: Final = pa.int64()
F64: Final = pa.float64()
DAY: Final = pa.date32()
BOOL: Final = pa.bool_()

FIRST_DAY: Final = pa.scalar(date(2015, 1, 1), DAY)
LAST_DAY: Final = pa.scalar(date(2100, 1, 1), DAY)

UNFIT = (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError, ValueError)
"""What `column` raises when a value does not fit its type."""


def column(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """One column. A missing text becomes the empty one; a missing number stays missing. Raises `UNFIT`."""
    if kind == LABEL:
        return pc.fill_null(pa.array(values, TEXT), "").dictionary_encode()
    if kind == TEXT:
        return pc.fill_null(pa.array(values, TEXT), "")
    if kind == TAGS:
        return _tags(values)
    made = pa.array(values, kind)
    if kind == DAY:
        _check_days(made)
    elif kind == many(DAY):
        _check_days(made.flatten())
    return made


def many(kind: pa.DataType) -> pa.DataType:
    """An array of such values."""
    return pa.list_(kind)


def _check_days(days: pa.Array) -> None:
    """A Date of ClickHouse wraps around where its sixteen bits end."""
    if pc.any(pc.or_(pc.less(days, FIRST_DAY), pc.greater(days, LAST_DAY))).as_py():
        raise ValueError("a day is not between 2015 and 2100")


def _tags(values: Sequence[Mapping[str, str]]) -> pa.Array:
    offsets, total = [0], 0
    names: list[str] = []
    texts: list[str] = []
    for tags in values:
        if tags:
            names += tags
            texts += tags.values()
            total += len(tags)
        offsets.append(total)
    return pa.MapArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(names, TEXT), pa.array(texts, TEXT))
