"""What reports ask ClickHouse: each question a named query, each answer structs of the core."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date
from typing import Any, Final

import msgspec

from services.adapters.warehouse.rows import Rows
from services.core.governance.cells import Cell
from services.core.governance.review import Oddity, Outlook, Refusals, Spend
from services.core.governance.words import named, signed
from services.core.scope import TAG

FEATURE_TAG: Final = "feature"
NAMES_MAX: Final = 5_000
CELLS_MAX: Final = 500_000
LINES_MAX: Final = 50


class TooMany(Exception):
    """More spending to tell apart than a report can hold; the message says what to do."""


class Asking:
    """The questions of one organization's reports. Every method raises what `rows` raises."""

    def __init__(self, rows: Rows, organization: str) -> None:
        self._ask, self._organization = rows, organization

    async def spends(
        self, begin_ms: int, end_ms: int, before: tuple[int, int], days: Sequence[int], project: str, team: str
    ) -> list[Spend]:
        """Spending of a week and of the one before, by each dimension."""
        rows = await self._rows(
            "review_spend",
            begin_ms=begin_ms,
            end_ms=end_ms,
            before_begin_ms=before[0],
            before_end_ms=before[1],
            days=days,
            project=project,
            team=team,
            feature=FEATURE_TAG,
            most=NAMES_MAX,
        )
        return msgspec.convert(rows, list[Spend])

    async def refusals(self, begin_ms: int, end_ms: int, project: str, team: str) -> list[Refusals]:
        """What budgets did not let pass."""
        rows = await self._rows(
            "review_refusals", begin_ms=begin_ms, end_ms=end_ms, project=project, team=team, most=LINES_MAX
        )
        return msgspec.convert(rows, list[Refusals])

    async def oddities(self, begin_ms: int, end_ms: int, scope: str) -> list[Oddity]:
        """The anomalies of a period."""
        rows = await self._rows("review_anomalies", begin_ms=begin_ms, end_ms=end_ms, scope=scope, most=LINES_MAX)
        return [msgspec.convert({**row, "contributors": _contributors(row)}, Oddity) for row in rows]

    async def outlooks(self, first: date, last: date, as_of: date, scope: str) -> list[Outlook]:
        """The latest forecasts of windows in a range of days: once for each budget in danger, and once without."""
        rows = await self._rows(
            "latest_forecasts",
            **{"from": first.isoformat(), "until": last.isoformat(), "as_of": as_of.isoformat(), "scope": scope},
        )
        return [outlook for row in rows for outlook in _outlooks(row)]

    async def cells(self, windows: Sequence[int], end_ms: int, dimensions: Collection[str]) -> list[Cell]:
        """Spending from the first window until `end_ms`, by dimensions as scopes name them. Raises TooMany."""
        rows = await self._rows(
            "spend_cells",
            begin_ms=windows[0],
            end_ms=end_ms,
            windows=windows,
            dimensions=[name for name in dimensions if not name.startswith(TAG)],
            tags=[name.removeprefix(TAG) for name in dimensions if name.startswith(TAG)],
            most=CELLS_MAX + 1,
        )
        if len(rows) > CELLS_MAX:
            raise TooMany(f"more than {CELLS_MAX:,} combinations of names were spent under: ask for a shorter period")
        return [msgspec.convert({**row, "tags": _tags(row["tags"])}, Cell, strict=False) for row in rows]

    async def _rows(self, name: str, **parameters: Any) -> list[dict[str, Any]]:
        return await self._ask(name, organization=self._organization, **parameters)


def _tags(text: str) -> dict[str, str]:
    return msgspec.json.decode(text, type=dict[str, str]) if text != "{}" else {}


def _contributors(row: dict[str, Any]) -> tuple[str, ...]:
    moved = zip(row["dimensions"], row["values"], row["values_observed"], row["values_expected"], strict=True)
    return tuple(f"{d} {named(value, d)} ({signed(now - expected)})" for d, value, now, expected in moved)


def _outlooks(row: dict[str, Any]) -> list[Outlook]:
    risks = zip(row["risk_budgets"], row["risk_limits"], row["risk_chances"], row["risk_days"], strict=True)
    shared = {name: row[name] for name in Outlook.__struct_fields__ if name in row}
    return [
        Outlook(**shared),
        *(
            Outlook(**shared, budget=budget, limit_nanousd=limit, probability=chance, exhausted_on=day)
            for budget, limit, chance, day in risks
        ),
    ]
