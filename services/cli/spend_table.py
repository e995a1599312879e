"""An answer about spending for the terminal, and as a Parquet file."""

from __future__ import annotations

import io
from decimal import Decimal
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from rich.text import Text

from services.cli.render import dollars, percent, table
from services.core.attribution import Spending, SpendRow
from services.core.money import round_half_even
from services.core.spend_text import COUNTS, labelled

USD: Final = pa.decimal128(38, 9)
ROWS_SHOWN: Final = 200
COLUMNS: Final = (">requests", ">unpriced", ">unconfirmed", ">input tokens", ">output tokens")


def print_spending(spending: Spending, out: Console) -> None:
    """For people: rounded, with shares, what has changed, and a total."""
    query = spending.query
    total = spending.total
    compared = (">before", ">change") if query.compare is not None else ()
    period = f"{query.period.begin:%Y-%m-%d %H:%M} to {query.period.end:%Y-%m-%d %H:%M} {query.period.zone.key}"
    only = "".join(f", only {each.dimension}:{' or '.join(each.values)}" for each in query.filters)
    made = table(
        f"{query.organization} by {query.by}, {period}{only}",
        (str(query.by), ">spent", ">share", *compared, *COLUMNS),
    )
    lines = list(labelled(spending))
    for name, row in lines[:ROWS_SHOWN]:
        share = percent(row.cost_nanousd * 10_000 // total.cost_nanousd) if total.cost_nanousd > 0 else ""
        made.add_row(Text(name), *_cells(row, share, compared=bool(compared)))
    if len(lines) > ROWS_SHOWN:
        made.caption = f"{len(lines) - ROWS_SHOWN:,} more rows: --top makes one of them, --format csv shows all\n"
    made.add_section()
    made.add_row("total", *_cells(total, "", compared=bool(compared)))
    out.print(made)
    if not lines:
        out.print("nothing was charged in this period; a charge takes about a second to arrive here")


def as_parquet(spending: Spending) -> bytes:
    """One row a row, the rest last; money in DECIMAL(38, 9) dollars, exact."""
    lines = list(labelled(spending))
    columns: dict[str, pa.Array] = {
        str(spending.query.by): pa.array([name for name, _ in lines], pa.string()),
        "cost_usd": _money(row.cost_nanousd for _, row in lines),
        "unconfirmed_usd": _money(row.unconfirmed_nanousd for _, row in lines),
        **{name: pa.array([getattr(row, name) for _, row in lines], pa.int64()) for name in COUNTS},
    }
    if spending.query.compare is not None:
        columns["previous_usd"] = _money(row.previous_nanousd or 0 for _, row in lines)
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out)
    return out.getvalue()


def _cells(row: SpendRow, share: str, *, compared: bool) -> tuple[str, ...]:
    before: tuple[str, ...] = ()
    if compared:
        past = row.previous_nanousd or 0
        before = (dollars(past, places=2, unpriced=row.previous_unpriced or 0), change(row.cost_nanousd, past))
    return (
        dollars(row.cost_nanousd, places=4, unpriced=row.unpriced),
        share,
        *before,
        f"{row.requests:,}",
        f"{row.unpriced:,}",
        dollars(row.unconfirmed_nanousd),
        f"{row.input_tokens:,}",
        f"{row.output_tokens:,}",
    )


def change(now_nanousd: int, past_nanousd: int) -> str:
    """`+12.5%`, `new`, or nothing where nothing was spent either time."""
    if past_nanousd <= 0:
        return "new" if now_nanousd > 0 else ""
    tenths = round_half_even((now_nanousd - past_nanousd) * 1000, past_nanousd)
    whole, rest = divmod(abs(tenths), 10)
    return f"{'-' if tenths < 0 else '+'}{whole:,}.{rest}%"


def _money(amounts: Any) -> pa.Array:
    return pa.array([Decimal(nanos).scaleb(-9) for nanos in amounts], USD)
