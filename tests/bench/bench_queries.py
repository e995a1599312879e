"""Every named query at 50 million charges: how long ClickHouse takes to answer, through the client, warm."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from statistics import quantiles
from time import perf_counter
from typing import Any

import clickhouse_connect
from clickhouse_connect.driver import Client
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from services.adapters.migrations import migrate, read_migrations
from services.adapters.settings import Settings
from services.adapters.warehouse import named
from services.adapters.warehouse.warehouse import Warehouse
from services.cli.render import console, table
from services.sink.__main__ import MIGRATIONS
from tests.bench.warehouse_rows import fill
from tests.integration.backends import running_clickhouse

ROWS = 50_000_000
RUNS = 25
WARM_UP = 3
TARGET_MS = 300.0
ROLL_UPS = (
    "SELECT name FROM system.tables WHERE database = currentDatabase() AND engine = 'SummingMergeTree' ORDER BY name"
)


def measure(rows: int = ROWS, only: Iterable[str] = ()) -> dict[str, dict[str, Any]]:
    """`query_NAME`: the 95th percentile in milliseconds; the ratio is to the target of 300 ms."""
    with tempfile.TemporaryDirectory() as folder:
        timings = asyncio.run(_measure(Path(folder), rows, only))
    return {
        f"query_{name}": {"value": p95, "unit": "ms p95", "floor": TARGET_MS, "ratio": p95 / TARGET_MS}
        for name, (_, p95) in timings.items()
    }


async def _measure(folder: Path, rows: int, only: Iterable[str]) -> dict[str, tuple[float, float]]:
    async with running_clickhouse(folder) as server:
        address = server.address("bench")
        await asyncio.to_thread(_prepare, address, rows)
        return await timed(address, only)


def _prepare(address: str, rows: int) -> None:
    """Fill the tables and let the roll-ups merge, as they would have over 13 months."""
    migrate(address, read_migrations(MIGRATIONS))
    bar = Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with _patient(address) as client, bar:
        made = bar.add_task("charges", total=rows)
        fill(client, rows, lambda count: bar.advance(made, count))
        merge(client)


def _patient(address: str) -> Client:
    """A client that waits for millions of rows."""
    return clickhouse_connect.get_client(dsn=address, autogenerate_session_id=False, send_receive_timeout=3600)


def merge(client: Client) -> None:
    """Merge the roll-ups."""
    for (name,) in client.query(ROLL_UPS).result_rows:
        client.command("OPTIMIZE TABLE {name:Identifier} FINAL", parameters={"name": name})


async def timed(address: str, only: Iterable[str] = ()) -> dict[str, tuple[float, float]]:
    """Median and 95th percentile of each query with its example, and a table of them; raises when one has no rows."""
    found = {}
    made = table("Named queries", ("query", ">p50 ms", ">p95 ms", ">rows", ""))
    async with await Warehouse.open(Settings(clickhouse=address)) as warehouse:
        for name in only or named.names():
            times, rows = await _times(warehouse, name)
            p50, p95 = quantiles(times, n=100)[49], quantiles(times, n=20)[18]
            found[name] = p50, p95
            made.add_row(name, f"{p50:.0f}", f"{p95:.0f}", f"{rows:,}", "" if p95 < TARGET_MS else "[red]slow[/red]")
    console().print(made)
    return found


async def _times(warehouse: Warehouse, name: str) -> tuple[list[float], int]:
    example, times, rows = named.read(name).example, [], 0
    for run in range(WARM_UP + RUNS):
        started = perf_counter()
        rows = len(await warehouse.rows(name, **example))
        if run >= WARM_UP:
            times.append((perf_counter() - started) * 1000)
    return times, rows


def main() -> int:
    """Measure with as many rows as are asked for; 1 when a query is slower than the target."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.bench_queries", description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS, help=f"how many charges (default: {ROWS:,}, about 15 GB)")
    parser.add_argument("--only", nargs="*", default=(), help="which queries (default: all)")
    arguments = parser.parse_args()
    measured = measure(arguments.rows, arguments.only)
    return int(any(found["ratio"] >= 1 for found in measured.values()))


if __name__ == "__main__":
    sys.exit(main())
