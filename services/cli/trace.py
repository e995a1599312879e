"""Traces: what any CSV of LLM requests says about when each came and how many tokens it had."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import IO

GZIP_MAGIC = b"\x1f\x8b"
TOKENS_MAX = 100_000_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)

TIME_NAMES = ("timestamp", "time", "ts", "datetime", "date", "created_at", "arrival_time", "arrived_at")
INPUT_NAMES = ("contexttokens", "input_tokens", "prompt_tokens", "request_tokens", "num_prefill_tokens", "input_length")
OUTPUT_NAMES = (
    "generatedtokens",
    "output_tokens",
    "completion_tokens",
    "response_tokens",
    "num_decode_tokens",
    "output_length",
)


class TraceError(ValueError):
    """A file that is not a usable trace; the message names the row or column and says what to do."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Names of the three columns; None means: find it by its usual names."""

    time: str | None = None
    input_tokens: str | None = None
    output_tokens: str | None = None


BY_USUAL_NAMES = Columns()


@dataclass(frozen=True, slots=True)
class TraceRow:
    """One request of a trace. `at_us` counts microseconds from an origin that all rows of the file share."""

    trace: str
    row: int
    at_us: int
    input_tokens: int
    output_tokens: int


def read_trace(path: Path, columns: Columns = BY_USUAL_NAMES, *, limit: int | None = None) -> list[TraceRow]:
    """The requests of a CSV file (gzip or plain, CRLF or LF), by time. Raises TraceError."""
    name = path.name.removesuffix(".gz").removesuffix(".csv")
    try:
        with _open_text(path) as file:
            rows = sorted(_rows(csv.DictReader(file), name, columns), key=lambda row: (row.at_us, row.row))
    except FileNotFoundError as error:
        raise TraceError(f"{path} does not exist: give the path of a CSV file with a header line") from error
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
        raise TraceError(f"{path} cannot be read as CSV: {error}") from error
    if not rows:
        raise TraceError(f"{path} has no rows under its header")
    return rows[:limit]


def merge(traces: Iterable[Sequence[TraceRow]]) -> list[TraceRow]:
    """Several traces that share their clock as one, by time."""
    return sorted((row for trace in traces for row in trace), key=lambda row: (row.at_us, row.trace, row.row))


def span_us(rows: Sequence[TraceRow]) -> int:
    """From the first to the last request of an ordered trace, in microseconds."""
    return rows[-1].at_us - rows[0].at_us if rows else 0


def _open_text(path: Path) -> IO[str]:
    with path.open("rb") as probe:
        compressed = probe.read(2) == GZIP_MAGIC
    opened = gzip.open if compressed else open
    return opened(path, "rt", encoding="utf-8-sig", newline="")


def _rows(reader: csv.DictReader[str], name: str, columns: Columns) -> Iterator[TraceRow]:
    header = [field for field in (reader.fieldnames or ()) if field]
    time = _column(header, columns.time, TIME_NAMES, "time")
    inputs = _column(header, columns.input_tokens, INPUT_NAMES, "input")
    outputs = _column(header, columns.output_tokens, OUTPUT_NAMES, "output")
    for number, record in enumerate(reader, start=1):
        where = f"{name}, row {number}"
        yield TraceRow(
            name,
            number,
            _microseconds(record[time], f"{where}, {time}"),
            _tokens(record[inputs], f"{where}, {inputs}"),
            _tokens(record[outputs], f"{where}, {outputs}"),
        )


def _column(header: Sequence[str], wanted: str | None, usual: Sequence[str], what: str) -> str:
    """The header's spelling of a column, whatever its case."""
    spelled = {field.strip().lower(): field for field in header}
    for name in usual if wanted is None else (wanted.strip().lower(),):
        if name in spelled:
            return spelled[name]
    problem = f"no column named {wanted!r}" if wanted else f"no {what} column that is known by name"
    raise TraceError(f"{problem}: name it with --{what}-column; the header has {', '.join(header) or 'no names'}")


def _microseconds(text: str | None, where: str) -> int:
    """ISO 8601 (any number of fraction digits; UTC unless it says otherwise), or seconds as a number."""
    value = (text or "").strip()
    try:
        return int(Decimal(value).scaleb(6))
    except (InvalidOperation, ValueError, OverflowError):
        pass
    try:
        instant = datetime.fromisoformat(value)
    except ValueError as error:
        raise TraceError(f"{where}: {value!r} is neither an ISO 8601 time nor a number of seconds") from error
    return ((instant if instant.tzinfo else instant.replace(tzinfo=UTC)) - EPOCH) // MICROSECOND


def _tokens(text: str | None, where: str) -> int:
    value = (text or "").strip()
    if not (value.isascii() and value.isdigit()) or int(value) > TOKENS_MAX:
        raise TraceError(f"{where}: {value!r} is not a count of tokens between 0 and {TOKENS_MAX:,}")
    return int(value)
