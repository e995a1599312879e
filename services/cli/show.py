"""A replay as it happens: a live view on a terminal, a line every few seconds elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from services.adapters.clock import now_ms
from services.adapters.settings import Settings
from services.cli.board import Board, follow
from services.cli.budget_table import BudgetTable
from services.cli.render import dollars, milliseconds
from services.cli.tally import Tally, percentiles
from services.core.scope import Level
from services.core.window import WindowKind

LIVE_EVERY_S = 0.5
PLAIN_EVERY_S = 5.0


class Show:
    """Draws a tally and a board. `board` is kept up to date by whoever follows the changelogs."""

    def __init__(self, console: Console, organization: str, tally: Tally, board: Board) -> None:
        self._console, self._organization, self._tally, self._board = console, organization, tally, board
        self._progress = Progress(
            TextColumn("replaying"),
            BarColumn(bar_width=40),
            MofNCompleteColumn(),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            console=console,
        )
        self._task = self._progress.add_task("replay", total=tally.planned)

    async def run(self) -> None:
        """Draw until cancelled."""
        if not self._console.is_terminal:
            await self._print_lines()
        with Live(self._view(), console=self._console, auto_refresh=False, transient=True) as live:
            while True:
                await asyncio.sleep(LIVE_EVERY_S)
                live.update(self._view(), refresh=True)

    def line(self) -> str:
        """Everything in one line, for logs."""
        tally = self._tally
        checks = percentiles(tally.check_ns)
        return (
            f"{tally.done:,} of {tally.planned:,} requests, spent {self._spent()}, allowed {tally.allowed:,} "
            f"({tally.warned:,} with a warning, {tally.fell_back:,} on another model), denied {tally.denied:,}, "
            f"throttled {tally.throttled:,}, reported afterwards {tally.reported:,}, "
            f"check p99 {milliseconds(checks.p99)}"
        )

    async def _print_lines(self) -> None:
        while True:
            await asyncio.sleep(PLAIN_EVERY_S)
            self._console.print(self.line(), soft_wrap=True)

    def _view(self) -> RenderableType:
        self._progress.update(self._task, completed=self._tally.done)
        budgets = BudgetTable("", self._board.budgets(self._organization, now_ms()))
        refused = ", ".join(f"{name} {count:,}" for name, count in self._tally.refusals.most_common(6)) or "none"
        return Group(self._progress, f"  {self.line()}", budgets, f"  refused by: {refused}")

    def _spent(self) -> str:
        lines = self._board.spend(self._organization, Level.ORGANIZATION, WindowKind.MONTH, now_ms())
        return dollars(sum(line.balance.settled_nanousd for line in lines))


@asynccontextmanager
async def showing(console: Console, settings: Settings, organization: str, tally: Tally) -> AsyncIterator[Show]:
    """Show a replay while the block runs."""
    board = Board()
    show = Show(console, organization, tally, board)
    tasks = [asyncio.create_task(_follow(settings, board)), asyncio.create_task(show.run())]
    try:
        yield show
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def _follow(settings: Settings, board: Board) -> None:
    async with aclosing(follow(settings, board)) as changes:
        async for _ in changes:
            pass
