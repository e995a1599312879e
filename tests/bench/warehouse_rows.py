"""A warehouse that has seen much: millions of charges made by ClickHouse itself, in the order they would arrive in.

Twenty organizations of very different size (the largest, `acme`, has a quarter of everything), 40 projects, 200 teams,
20,000 users, 30 models, 5 tags, over the 13 months that end with November 2026; days and weeks have their rhythm. A few
charges are unpriced, estimates, adjustments or corrections. The same number gives the same row, always.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from clickhouse_connect.driver import Client

from services.core.events import to_ms

ORGANIZATIONS: Final = 20
USERS: Final = 20_000
BEGIN_MS: Final = to_ms(datetime(2025, 11, 1, tzinfo=UTC))
END_MS: Final = to_ms(datetime(2026, 12, 1, tzinfo=UTC))
CHUNK: Final = 2_000_000
"""Rows in one insert and one block: about half a month, so that little is left to merge."""
SKEW: Final = 2.2
"""An organization's share of a uniform number u is where `u ** SKEW` falls: 26, 9, 7 ... 2 percent."""

STATEMENTS: Final = Path(__file__).parent / "rows"
DECISION_OF: Final = 25
"""One of so many requests leaves a decision."""


def fill(client: Client, rows: int, progress: Callable[[int], None]) -> None:
    """Charges in chunks, through every view; then what else there is. `progress` hears of each chunk."""
    for first in range(0, rows, CHUNK):
        count = min(CHUNK, rows - first)
        add_charges(client, first, count, rows)
        progress(count)
    add_the_others(client, rows)


def add_charges(client: Client, first: int, count: int, rows: int) -> None:
    """Some of so many charges, by number."""
    whose = {"organizations": ORGANIZATIONS, "users": USERS, "skew": SKEW}
    _run(client, "charges", first=first, count=count, rows=rows, begin_ms=BEGIN_MS, end_ms=END_MS, **whose)


def add_the_others(client: Client, rows: int) -> None:
    """Decisions, forecasts, anomalies and alerts beside so many charges."""
    _run(client, "decisions", begin_ms=BEGIN_MS, end_ms=END_MS, count=rows // DECISION_OF)
    _run(client, "forecasts", scopes=1000)
    _run(client, "anomalies", end_ms=END_MS, count=20_000)
    _run(client, "alerts", end_ms=END_MS, count=20_000)


def _run(client: Client, name: str, **parameters: float) -> None:
    client.command((STATEMENTS / f"{name}.sql").read_text(), parameters=parameters)
