"""The lines of an invoice file, whatever kind it is: JSON of OpenAI or Anthropic, CSV, or Parquet."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from services.cli.errors import CliError
from services.core.invoice import InvoiceError, Line
from services.core.invoice.anthropic import is_anthropic, read_anthropic
from services.core.invoice.openai import is_openai, read_openai
from services.core.invoice.table import columns_of, provider_of, read_table

BYTES_MAX: Final = 256 << 20
LINES_MAX: Final = 2_000_000
KINDS: Final = "the JSON of OpenAI's costs or Anthropic's cost report, a CSV with a header, or Parquet"


def read_invoice(path: Path, told: Mapping[str, str], provider: str | None) -> tuple[list[Line], str]:
    """The lines, and a digest that names the file. `told`: columns by role. Raises CliError, with advice."""
    try:
        if path.stat().st_size > BYTES_MAX:
            raise CliError(f"{path} has more than {BYTES_MAX >> 20} MiB", advice="cut it into months")
        raw = path.read_bytes()
        lines = _lines(path, raw, told, provider)
    except OSError as error:
        raise CliError(f"{path} cannot be read: {error.strerror}") from error
    except (InvoiceError, pa.ArrowException, csv.Error, UnicodeDecodeError) as error:
        raise CliError(f"{path}: {error}", advice=f"an invoice is {KINDS}; nothing was changed") from error
    if not lines:
        raise CliError(f"{path} has no lines", advice=f"an invoice is {KINDS}")
    if not any(line.model for line in lines):
        raise CliError(
            f"{path}: no line says which model it was for, so nothing can be compared",
            advice="export it by line item (OpenAI) or by model, or name the column with --model-column",
        )
    return lines, sha256(raw).hexdigest()[:16]


def _lines(path: Path, raw: bytes, told: Mapping[str, str], provider: str | None) -> list[Line]:
    found: list[Line] = []
    rows = _read(path, raw, told, provider)
    for line in rows:
        found.append(line)
        if len(found) > LINES_MAX:
            raise InvoiceError(f"it has more than {LINES_MAX:,} lines: cut it into months")
    return found


def _read(path: Path, raw: bytes, told: Mapping[str, str], provider: str | None) -> Any:
    if raw.startswith(b"PAR1"):
        table = pq.read_table(pa.BufferReader(raw))
        columns = columns_of(table.column_names, told)
        return read_table(table.to_pylist(), columns, provider=provider)
    text = raw.decode("utf-8-sig")
    if text.lstrip()[:1] in ("{", "["):
        return _json(text)
    table_of = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    header = table_of.fieldnames or ()
    return read_table(table_of, columns_of(header, told), provider=provider or provider_of(header) or _whose(path))


def _json(text: str) -> Any:
    try:
        document = json.loads(text, parse_float=Decimal)
    except (ValueError, RecursionError) as error:
        raise InvoiceError(f"it is not JSON: {error}") from error
    pages = document if isinstance(document, list) else [document]
    if is_openai(pages):
        return read_openai(pages)
    if is_anthropic(pages):
        return read_anthropic(pages)
    raise InvoiceError("it is JSON, and neither OpenAI's costs nor Anthropic's cost report")


def _whose(path: Path) -> str | None:
    """Whose export it is by the name that the provider's console gives it."""
    name = path.name.lower()
    return next((each for each in ("openai", "anthropic", "google") if each in name), None)
