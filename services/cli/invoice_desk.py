"""An invoice beside the charges in ClickHouse, and the corrections that make them equal."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import msgspec
from clickhouse_connect.driver import AsyncClient

from services.adapters.warehouse.named import query
from services.core.events import Correction, UsageCorrected, from_ms, to_ms
from services.core.invoice import Cell, Correctable, Corrected, Drift, Line, Names, compare, spread
from services.core.money import format_usd, parse_cost

SOURCE: Final = "spendgate/invoice"
Row = dict[str, Any]


async def drift_of(client: AsyncClient, organization: str, lines: Sequence[Line], names: Names) -> Drift:
    """What differs in the days of the invoice. Raises `clickhouse.FAILURES`."""
    days = [line.day for line in lines]
    begin_ms, end_ms = bounds(min(days), max(days))
    rows = await query(client, "invoice_cells", organization=organization, begin_ms=begin_ms, end_ms=end_ms)
    ours = [(Line(row["day"], row["provider"], row["model"], row["cost_nanousd"]), row["unpriced"]) for row in rows]
    return compare(ours, lines, names)


async def corrections(
    client: AsyncClient, organization: str, cells: Sequence[Cell], names: Names, *, why: str, now_ms: int
) -> AsyncIterator[tuple[Cell, list[UsageCorrected], int]]:
    """For each cell that the invoice names its corrections, and what has no charge to go to. Raises `FAILURES`.

    The ids follow from the invoice, the charge and its new cost: posted twice, they count once.
    """
    for cell in cells:
        if not cell.correctable:
            continue
        rows = [row async for row in _charges(client, organization, cell, names)]
        by_name = {row["charge"]: row for row in rows}
        found = spread(cell.difference_nanousd, [_correctable(row) for row in rows])
        given = sum(each.cost_nanousd - (each.previous_nanousd or 0) for each in found)
        events = [_event(organization, by_name[each.charge], each, why, now_ms) for each in found]
        yield cell, events, cell.difference_nanousd - given


def bounds(first: date, last: date) -> tuple[int, int]:
    """The instants of UTC days, the last one included."""
    begin = datetime(first.year, first.month, first.day, tzinfo=UTC)
    return to_ms(begin), to_ms(begin + timedelta(days=(last - first).days + 1))


async def _charges(client: AsyncClient, organization: str, cell: Cell, names: Names) -> AsyncIterator[Row]:
    """The charges of a cell, under whatever names they were made."""
    begin_ms, end_ms = bounds(cell.key.day, cell.key.day)
    stretch = {"organization": organization, "begin_ms": begin_ms, "end_ms": end_ms}
    for row in await query(client, "invoice_cells", **stretch):
        if names(row["provider"], row["model"]) != (cell.key.provider, cell.key.model):
            continue
        named = {"provider": row["provider"], "model": row["model"]}
        for charge in await query(client, "invoice_charges", **stretch, **named):
            yield charge | named


def _correctable(row: Row) -> Correctable:
    return Correctable(row["charge"], _cost_now(row), row["tokens"])


def _cost_now(row: Row) -> int | None:
    """What it costs after its own corrections."""
    if row["corrected"]:
        return parse_cost(msgspec.json.decode(row["corrected"])["cost_usd"])
    cost: int | None = row["cost_nanousd"]
    return cost


def _event(organization: str, row: Row, corrected: Corrected, why: str, now_ms: int) -> UsageCorrected:
    previous = corrected.previous_nanousd
    data = Correction(
        organization=organization,
        project=row["project"] or None,
        team=row["team"] or None,
        user=row["user"] or None,
        provider=row["provider"] or None,
        model=row["model"],
        tags=dict(row["tags"]),
        charge=corrected.charge,
        charged_at=from_ms(row["charged_at_ms"]),
        previous_cost_usd=None if previous is None else format_usd(previous),
        cost_usd=format_usd(corrected.cost_nanousd),
        reason=why,
    )
    name = f"{why.partition(' ')[0]}/{corrected.charge}/{corrected.cost_nanousd}"
    return UsageCorrected(id=name, source=SOURCE, time=from_ms(now_ms), data=data)


def in_batches(events: Sequence[UsageCorrected], size: int) -> Iterator[Sequence[UsageCorrected]]:
    """So many at a time."""
    for start in range(0, len(events), size):
        yield events[start : start + size]
