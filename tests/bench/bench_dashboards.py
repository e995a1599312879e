"""Every question of the dashboards at 50 million charges: how long ClickHouse takes to answer it, warm."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from statistics import quantiles
from time import perf_counter
from typing import Any

import clickhouse_connect
from clickhouse_connect.driver import Client
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from deploy.grafana.boards import ALL
from deploy.grafana.boards.variables import ORGANIZATIONS
from deploy.grafana.macros import Picked
from deploy.grafana.statements import Statement, statements
from services.adapters.migrations import migrate, read_migrations
from services.cli.render import console, table
from services.sink.__main__ import MIGRATIONS
from tests.bench.bench_queries import ROWS, RUNS, TARGET_MS, WARM_UP, merge
from tests.bench.warehouse_rows import END_MS, fill
from tests.integration.backends import running_clickhouse

DAY_S = 86_400
UNTIL_S = END_MS // 1000
COMMON = {"project": None, "tag": "feature", "period": "month", "budget": None, "zone": "America/New_York"}
SCOPE = "org:acme"


def _picked(days: int, organization: str | None) -> Picked:
    """What a viewer has picked; a screen has about 700 points, the roll-ups none of less than an hour."""
    interval_s = max(3600, days * DAY_S // 700 // 3600 * 3600)
    values = {**COMMON, "organization": organization, "scope": SCOPE}
    return Picked(UNTIL_S - days * DAY_S, UNTIL_S, interval_s, values)


PICKED: Mapping[str, Picked] = {
    "acme, 30 days": _picked(30, "acme"),
    "acme, 90 days": _picked(90, "acme"),
    "all, 7 days": _picked(7, None),
    "all, 30 days": _picked(30, None),
}
"""The largest organization in a month; and everything, on the dashboards that show several organizations at once."""
OF_SEVERAL = [board for board in ALL if ORGANIZATIONS in board.variables]


def measure(rows: int = ROWS) -> dict[str, dict[str, Any]]:
    """`panels_CHOICE`: the slowest 95th percentile in milliseconds; the ratio is to the target of 300 ms."""
    with tempfile.TemporaryDirectory() as folder:
        slowest = asyncio.run(_measure(Path(folder), rows))
    return {
        f"panels_{choice}": {"value": p95, "unit": "ms p95", "floor": TARGET_MS, "ratio": p95 / TARGET_MS}
        for choice, p95 in slowest.items()
    }


async def _measure(folder: Path, rows: int) -> dict[str, float]:
    async with running_clickhouse(folder) as server:
        return await asyncio.to_thread(_timed, server.address("bench"), rows)


def _timed(address: str, rows: int) -> dict[str, float]:
    """Fill the tables, then time every statement for each choice, and print a table."""
    migrate(address, read_migrations(MIGRATIONS))
    bar = Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with clickhouse_connect.get_client(dsn=address, autogenerate_session_id=False, send_receive_timeout=3600) as client:
        with bar:
            made = bar.add_task("charges", total=rows)
            fill(client, rows, lambda count: bar.advance(made, count))
            merge(client)
        return {choice: _time_all(client, choice, _asked(picked)) for choice, picked in PICKED.items()}


def _asked(picked: Picked) -> list[Statement]:
    return statements(picked, ALL if picked.values["organization"] else OF_SEVERAL)


def _time_all(client: Client, choice: str, asked: list[Statement]) -> float:
    made = table(f"Panels: {choice}", ("panel or variable", ">p50 ms", ">p95 ms", ">rows", ""))
    slowest = 0.0
    for name, sql in asked:
        times = []
        rows = 0
        for run in range(WARM_UP + RUNS):
            started = perf_counter()
            rows = len(client.query(sql).result_rows)
            if run >= WARM_UP:
                times.append((perf_counter() - started) * 1000)
        p50, p95 = quantiles(times, n=100)[49], quantiles(times, n=20)[18]
        slowest = max(slowest, p95)
        made.add_row(name, f"{p50:.0f}", f"{p95:.0f}", f"{rows:,}", "" if p95 < TARGET_MS else "[red]slow[/red]")
    console().print(made)
    return slowest


def main() -> int:
    """Measure with as many rows as are asked for; 1 when a panel is slower than the target."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.bench_dashboards", description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS, help=f"how many charges (default: {ROWS:,}, about 15 GB)")
    measured = measure(parser.parse_args().rows)
    return int(any(found["ratio"] >= 1 for found in measured.values()))


if __name__ == "__main__":
    sys.exit(main())
