"""The tables that several commands show: spending, sums, latencies."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.table import Table
from rich.text import Text

from services.cli.board import SpendLine
from services.cli.reconcile import Sums
from services.cli.render import dollars, exact_dollars, milliseconds, short_scope, table
from services.cli.tally import Percentiles


def spend_table(title: str, lines: Sequence[SpendLine], *, limit: int = 12) -> Table:
    """Spending by scope, the largest first."""
    more = len(lines) - limit
    made = table(title, ("scope", ">spent", ">requests", ">unpriced"), caption=f"and {more} more" if more > 0 else None)
    for line in lines[:limit]:
        balance = line.balance
        amount = dollars(balance.settled_nanousd, places=4, unpriced=balance.unpriced)
        made.add_row(short_scope(line.scope), amount, f"{balance.requests:,}", f"{balance.unpriced:,}")
    return made


def sums_table(sums: Sums) -> Table:
    """Four sums side by side, and whether they agree."""
    verdict = (
        Text("equal to the nano-dollar", style="bold green") if sums.equal else Text("NOT EQUAL", style="bold red")
    )
    made = table("Reconciliation", ("added up by", ">sum", ">difference"))
    for name, sum_nanousd in (
        ("the trace, priced by genai-prices itself", sums.offline),
        ("balances of the aggregator", sums.balances),
        ("charges in ClickHouse, row by row", sums.clickhouse_raw),
        ("roll-up in ClickHouse, by hour", sums.clickhouse_rollup),
    ):
        made.add_row(name, exact_dollars(sum_nanousd), exact_dollars(sum_nanousd - sums.offline))
    made.add_section()
    made.add_row(verdict)
    return made


def latency_table(rows: Iterable[tuple[str, Percentiles]]) -> Table:
    """Median and 99th percentile of each measured thing."""
    made = table("Latencies", ("", ">p50", ">p99", ">measured"))
    for name, found in rows:
        made.add_row(name, milliseconds(found.p50), milliseconds(found.p99), f"{found.count:,}")
    return made
