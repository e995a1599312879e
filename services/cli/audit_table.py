"""The audit log for people: as a table in a terminal, and as CSV for a spreadsheet."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from rich.table import Table

from services.cli.render import table

Row = Mapping[str, Any]
NAMED: Final = 4
"""Budgets of a change that a line names."""
COLUMNS: Final = ("at", "action", "subject", "by", "key_id", "reason", "budgets", "before", "after", "entry")
FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet would take for a formula at the beginning of a cell."""

_SIGNS: Final = (("added", "new, $"), ("removed", "gone, was $"), ("raised", "+$"), ("lowered", "-$"))


def audit_table(organization: str, rows: Sequence[Row]) -> Table:
    """A line for each entry, the latest first: who did it, what changed by how much, and why."""
    made = table(f"audit log of {organization}", ("at (UTC)", "who", "did", "to", "change", "why"))
    for row in rows:
        at = f"{datetime.fromisoformat(row['at']):%Y-%m-%d %H:%M}"
        made.add_row(at, row["by"], row["action"], row["subject"], change(row), row["reason"])
    return made


def change(row: Row) -> str:
    """What an entry changed, in a few words."""
    before, after = row["before"] or {}, row["after"] or {}
    told = [*_versions(before, after), *_limits(after), *_amounts(before, after)]
    if "approved_by" in after:
        told.append(f"approved by {after['approved_by']}")
    if "made_by" in after:
        told.append(f"made by {after['made_by']}")
    return "; ".join(told)


def as_csv(rows: Iterable[Row]) -> str:
    """The entries with all they say, JSON in `before` and `after`; no cell begins as a formula does."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        writer.writerow([_cell(row[name]) for name in COLUMNS])
    return text.getvalue()


def _versions(before: Row, after: Row) -> Iterator[str]:
    if "version" in after:
        yield f"version {before.get('version', 0)} to {after['version']}"


def _limits(after: Row) -> Iterator[str]:
    found = [f"{name} {sign}{usd}" for kind, sign in _SIGNS for name, usd in after.get(kind, {}).items()]
    found += [f"{name} otherwise" for name in after.get("otherwise", ()) if not _named(after, name)]
    found += after.get("sections", ())
    yield from found[:NAMED]
    more = len(found) - NAMED + after.get("omitted", 0)
    if more > 0:
        yield f"and {more} more"


def _named(after: Row, name: str) -> bool:
    return any(name in after.get(kind, {}) for kind, _ in _SIGNS)


def _amounts(before: Row, after: Row) -> Iterator[str]:
    if "amount_usd" in after:
        yield f"${after['amount_usd']} until {after['until']}"
    if "cost_usd" in after:
        was = before.get("cost_usd")
        yield f"{'unpriced' if was is None else f'${was}'} to ${after['cost_usd']}"


def _cell(value: object) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"'{text}" if text.startswith(FORMULA) else text
