"""`spendgate top`: who spends right now, refreshed as the aggregator counts it."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import aclosing
from typing import Annotated, Literal

import typer
from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table

from services.adapters.clock import monotonic_ms, now_ms
from services.cli import options
from services.cli.board import Board, SpendLine, follow
from services.cli.budget_table import BudgetTable
from services.cli.connection import Connection
from services.cli.render import console, dollars, short_scope, table
from services.core.scope import Level
from services.core.window import WindowKind

Window = Literal["hour", "day", "month"]
RATE_OVER_MS = 10_000


class Rates:
    """How fast scopes spend: the difference over the last ten seconds."""

    def __init__(self) -> None:
        self._samples: dict[str, deque[tuple[int, int]]] = {}

    def per_minute(self, scope: str, settled_nanousd: int, at_ms: int) -> int:
        """Nano-dollars a minute, after noting the present amount."""
        samples = self._samples.setdefault(scope, deque())
        samples.append((at_ms, settled_nanousd))
        while samples[0][0] < at_ms - RATE_OVER_MS:
            samples.popleft()
        then_ms, then = samples[0]
        elapsed_ms = at_ms - then_ms
        return max(0, settled_nanousd - then) * 60_000 // elapsed_ms if elapsed_ms else 0


def top(
    organization: options.Organization = None,
    window: Annotated[Window, typer.Option(help="Which window to show.")] = "day",
    rows: Annotated[int, typer.Option(min=1, max=100, help="Rows in each table.")] = 8,
    every: Annotated[float, typer.Option(min=0.2, max=60, help="Seconds between two refreshes.")] = 1.0,
    once: Annotated[
        bool, typer.Option("--once", help="Print once and stop: also what happens without a terminal.")
    ] = False,
    data: options.Data = None,
) -> None:
    """Watch projects, teams, users and budgets live, straight from the aggregator's changelog. Ctrl-C ends it."""
    connection = options.connection_of(data)
    out = console()
    if once or not out.is_terminal:
        board = options.run(options.board_of(connection), connection)
        name = options.the_organization(board.organizations, organization)
        out.print(view(board, name, WindowKind(window), rows, Rates()))
        return
    name = options.need_organization(organization, connection)
    try:
        options.run(_watch(connection, name, WindowKind(window), rows, every), connection)
    except KeyboardInterrupt:
        return


def view(board: Board, organization: str, kind: WindowKind, rows: int, rates: Rates) -> RenderableType:
    """Everything on one screen."""
    at_ms, ticks_ms = now_ms(), monotonic_ms()
    tables: list[RenderableType] = []
    for title, level in (
        (organization, Level.ORGANIZATION),
        ("projects", Level.PROJECT),
        ("teams", Level.TEAM),
        ("users", Level.USER),
    ):
        lines = board.spend(organization, level, kind, at_ms)
        if lines:
            tables.append(_spenders(f"{title}, {lines[0].window}", lines, rows, rates, ticks_ms))
    budgets = sorted(board.budgets(organization, at_ms), key=lambda line: -line.utilization_bp)[:rows]
    return Group(*tables, BudgetTable("fullest budgets", budgets, per_budget=rows))


def _spenders(title: str, lines: list[SpendLine], rows: int, rates: Rates, ticks_ms: int) -> Table:
    made = table(title, ("scope", ">spent", ">a minute", ">requests"))
    for line in lines[:rows]:
        balance = line.balance
        rate = rates.per_minute(f"{line.scope}@{line.window}", balance.settled_nanousd, ticks_ms)
        amount = dollars(balance.settled_nanousd, places=4, unpriced=balance.unpriced)
        made.add_row(short_scope(line.scope), amount, dollars(rate, places=4), f"{balance.requests:,}")
    return made


async def _watch(connection: Connection, organization: str, kind: WindowKind, rows: int, every: float) -> None:
    board, rates = Board(), Rates()
    following = asyncio.create_task(_follow(connection, board))
    try:
        with Live(console=console(), auto_refresh=False, screen=True) as live:
            while not following.done():
                live.update(view(board, organization, kind, rows, rates), refresh=True)
                await asyncio.sleep(every)
        await following
    finally:
        following.cancel()


async def _follow(connection: Connection, board: Board) -> None:
    async with aclosing(follow(connection.settings, board)) as changes:
        async for _ in changes:
            pass
