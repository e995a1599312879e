"""FOCUS rows as files: CSV as the specification writes values, and Parquet with exact decimals."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from services.core.focus import COLUMNS, MONEY_DECIMALS, NAMES, PRICE_DECIMALS, Row, Type, text_of

VERSION: Final = "1.2"
_ARROW: Final = {
    Type.STRING: pa.string(),
    Type.JSON: pa.string(),
    Type.MONEY: pa.decimal128(38, MONEY_DECIMALS),
    Type.PRICE: pa.decimal128(38, PRICE_DECIMALS),
    Type.COUNT: pa.decimal128(38, 0),
    Type.INSTANT: pa.timestamp("ms", tz="UTC"),
}
SCHEMA: Final = pa.schema(
    [pa.field(column.name, _ARROW[column.type], nullable=column.nullable) for column in COLUMNS],
    metadata={"FocusVersion": VERSION, "DataGenerator": "Spendgate"},
)


def as_csv(rows: Iterable[Row]) -> str:
    """One line a row, a header before them."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(NAMES)
    writer.writerows([text_of(row[name]) for name in NAMES] for row in rows)
    return out.getvalue()


def as_parquet(rows: Sequence[Row]) -> bytes:
    """A Parquet file; money has nine decimals, a unit price 24."""
    columns = [pa.array([row[column.name] for row in rows], _ARROW[column.type]) for column in COLUMNS]
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_arrays(columns, schema=SCHEMA), sink, compression="zstd")
    found: bytes = sink.getvalue().to_pybytes()
    return found


def read_parquet(path: Path) -> list[dict[str, Any]]:
    """The rows of a file that `as_parquet` made."""
    rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    return rows
