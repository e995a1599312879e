"""How amounts, shares, scopes and times look in a terminal; integers in, text out."""

from __future__ import annotations

import os
from collections.abc import Iterable

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from services.core.money import round_half_even

PLAIN_WIDTH = 132
BAR_CELLS = 12
TIER_STYLES = ((10_000, "bold red"), (9_000, "red"), (7_500, "yellow"), (0, "green"))


def console(*, stderr: bool = False) -> Console:
    """A console that uses colour on a terminal only, and is wide enough for a table where there is none."""
    made = Console(stderr=stderr, highlight=False)
    if not made.is_terminal and "COLUMNS" not in os.environ:
        made = Console(stderr=stderr, highlight=False, width=PLAIN_WIDTH)
    return made


def dollars(nanos: int, *, places: int = 2, unpriced: int = 0) -> str:
    """`$1,234.50`, rounded half-even to so many places; `≥` says that some requests have no price yet."""
    units = round_half_even(abs(nanos), 10 ** (9 - places))
    whole, rest = divmod(units, 10**places)
    sign = "-" if nanos < 0 and units else ""
    return f"{'≥ ' if unpriced else ''}{sign}${whole:,}{f'.{rest:0{places}d}' if places else ''}"


def exact_dollars(nanos: int) -> str:
    """All nine decimals, for amounts that are compared."""
    return dollars(nanos, places=9)


def percent(basis_points: int) -> str:
    """`87.5%`, rounded down: what is not full does not say 100%."""
    whole, tenths = divmod(basis_points // 10, 10)
    return f"{whole}.{tenths}%"


def bar(basis_points: int) -> Text:
    """A share as a bar, coloured by how full it is; what is beyond the whole shows in its colour only."""
    full = min(BAR_CELLS, basis_points * BAR_CELLS // 10_000)
    style = next(style for least, style in TIER_STYLES if basis_points >= least)
    return Text("█" * full, style=style) + Text("░" * (BAR_CELLS - full), style="dim")


def short_scope(scope: str) -> str:
    """A scope without its organization, or `organization` for the whole of it."""
    return scope.partition("/")[2] or "organization"


def milliseconds(value: float) -> str:
    """`0.62 ms`, `41 ms`, `1.9 s`: three figures are enough to read."""
    if value >= 1_000:
        return f"{value / 1_000:.1f} s"
    return f"{value:.0f} ms" if value >= 10 else f"{value:.2f} ms"


def table(title: str, columns: Iterable[str], *, caption: str | None = None) -> Table:
    """An airy table. A column whose name starts with `>` is aligned to the right."""
    made = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    made.caption, made.caption_justify = caption and f"{caption}\n", "left"
    for rank, name in enumerate(columns):
        right = name.startswith(">")
        made.add_column(name.removeprefix(">"), justify="right" if right else "left", no_wrap=right or rank == 0)
    return made
