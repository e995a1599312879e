"""Budgets and how full they are, laid out for the width that there is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from services.cli.board import BudgetLine
from services.cli.render import bar, dollars, percent, short_scope, table
from services.core.policy import ANY
from services.core.scope import parse_scope

WIDE = 120
MONITORED = " †"
FOOTNOTE = "† monitored: over the limit, requests are allowed with a warning"


class BudgetTable:
    """A renderable. Of a budget that has many balances, it shows the fullest: the lines come in this order."""

    def __init__(self, title: str, lines: Iterable[BudgetLine], *, per_budget: int = 3) -> None:
        self._title = title
        self._lines = _fullest(lines, per_budget)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield self.wide() if options.max_width >= WIDE else self.narrow()

    def wide(self) -> Table:
        """Everything about each budget."""
        made = self._table("budget", "scope", "window", ">spent", ">limit", "", ">used", ">alerted")
        for line in self._lines:
            alerted = "" if line.alerted_bp is None else f"{line.alerted_bp / 100:g}%"
            made.add_row(_name(line), short_scope(line.scope), line.window, *_amounts(line), *_used(line), alerted)
        return made

    def narrow(self) -> Table:
        """What fits into 80 columns: of a scope, only what the budget leaves open."""
        made = self._table("budget", ">spent", ">limit", "", ">used")
        for line in self._lines:
            made.add_row(" ".join((_name(line), *_open_values(line))), *_amounts(line), *_used(line))
        return made

    def _table(self, *columns: str) -> Table:
        monitored = any(line.budget.on_hard == "monitor" for line in self._lines)
        return table(self._title, columns, caption=FOOTNOTE if monitored else None)


def _name(line: BudgetLine) -> str:
    return line.budget.name + (MONITORED if line.budget.on_hard == "monitor" else "")


def _open_values(line: BudgetLine) -> list[str]:
    values = parse_scope(line.scope)
    return [values[dimension] for dimension, wanted in line.budget.pattern if wanted == ANY]


def _amounts(line: BudgetLine) -> tuple[str, str]:
    balance = line.balance
    return dollars(balance.settled_nanousd, unpriced=balance.unpriced), dollars(line.limit_nanousd)


def _used(line: BudgetLine) -> tuple[Text, str]:
    return bar(line.utilization_bp), percent(line.utilization_bp)


def _fullest(lines: Iterable[BudgetLine], per_budget: int) -> Sequence[BudgetLine]:
    shown: dict[str, int] = {}
    kept = []
    for line in lines:
        name = line.budget.name
        shown[name] = shown.get(name, 0) + 1
        if shown[name] <= per_budget:
            kept.append(line)
    return kept
