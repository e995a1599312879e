"""An answer about spending as documents: JSON for programs, CSV for spreadsheets; the console and the CLI agree."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any, Final

from services.core.attribution import By, Dimension, Spending, SpendRow
from services.core.events import iso
from services.core.money import format_usd
from services.core.period import Period

COUNTS: Final = (
    "requests",
    "errors",
    "unpriced",
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
)
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet runs a text that begins so; names come from whoever calls the gateway."""


def label(row: SpendRow, by: Dimension) -> str:
    """What people read: `(no user)` where there is none, a team with its project."""
    name = row.name or f"(no {'class' if by.by is By.TOKEN_CLASS else by})"
    if by.by is By.TEAM and (row.parent or row.name):
        return f"{row.parent or '(no project)'}/{name}"
    return name


def rest_label(row: SpendRow) -> str:
    """The row of all the names that have none of their own."""
    return f"({row.names:,} more)"


def as_document(spending: Spending) -> dict[str, Any]:
    """The answer for JSON: money in exact decimal dollars, instants in ISO 8601, an absent name empty."""
    query = spending.query
    return {
        "organization": query.organization,
        "by": str(query.by),
        "zone": query.period.zone.key,
        **_bounds(query.period),
        "compared_with": None if query.compare is None else _bounds(query.compare),
        "only": [f"{each.dimension}:{value}" for each in query.filters for value in each.values],
        "total_usd": format_usd(spending.total.cost_nanousd),
        "total": _figures(spending.total),
        "rows": [_row(row, query.by) for row in spending.rows],
        "rest": None
        if spending.rest is None
        else {"names": spending.rest.names, "label": rest_label(spending.rest), **_figures(spending.rest)},
    }


def as_csv(spending: Spending) -> str:
    """One line a row, the rest last; money in exact decimal dollars."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow((str(spending.query.by), *_figures(spending.total)))
    writer.writerows((_safe(name), *_figures(row).values()) for name, row in labelled(spending))
    return out.getvalue()


def labelled(spending: Spending) -> Iterator[tuple[str, SpendRow]]:
    """All rows with what people call them, the rest last."""
    for row in spending.rows:
        yield label(row, spending.query.by), row
    if spending.rest is not None:
        yield rest_label(spending.rest), spending.rest


def _row(row: SpendRow, by: Dimension) -> dict[str, Any]:
    named: dict[str, Any] = {str(by): row.name, "label": label(row, by)}
    if by.by is By.TEAM:
        named["project"] = row.parent
    if row.start_ms is not None:
        named["start"] = iso(row.start_ms)
    return named | _figures(row)


def _figures(row: SpendRow) -> dict[str, str | int]:
    figures: dict[str, str | int] = {
        "cost_usd": format_usd(row.cost_nanousd),
        "unconfirmed_usd": format_usd(row.unconfirmed_nanousd),
        **{name: getattr(row, name) for name in COUNTS},
    }
    if row.previous_nanousd is not None:
        figures["previous_usd"] = format_usd(row.previous_nanousd)
        figures["change_usd"] = format_usd(row.cost_nanousd - row.previous_nanousd)
        figures["previous_requests"] = row.previous_requests or 0
        figures["previous_unpriced"] = row.previous_unpriced or 0
    return figures


def _bounds(period: Period) -> dict[str, str]:
    return {"since": period.begin.isoformat(), "until": period.end.isoformat()}


def _safe(name: str) -> str:
    return f"'{name}" if name.startswith(_FORMULA) else name
