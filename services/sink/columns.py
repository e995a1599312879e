"""From Python values to Arrow columns as the ClickHouse tables type them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
BOOL: Final = pa.bool_()

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
    return pa.array(values, kind)


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
