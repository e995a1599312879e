"""`spendgate report`: spending of a period by project, team, user, feature, model, provider or day."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal

import typer

from services.adapters.clock import now_ms
from services.cli import options
from services.cli.connection import Connection
from services.cli.render import console, dollars, percent, table
from services.cli.reports import period
from services.cli.spend import Dimension, ReportRow
from services.cli.warehouse import open_warehouse
from services.core.events import from_ms
from services.core.money import format_usd

Format = Literal["table", "csv", "json"]


def report(
    context: typer.Context,
    by: Annotated[Dimension, typer.Option(help="What to group by.")] = "project",
    since: Annotated[
        str | None, typer.Option(help="From this instant; default: the first of this month (UTC).")
    ] = None,
    until: Annotated[str | None, typer.Option(help="Before this instant; default: the end of today (UTC).")] = None,
    format_: Annotated[Format, typer.Option("--format", "-f", help="How to print it.")] = "table",
    organization: options.Organization = None,
    data: options.Data = None,
) -> None:
    """Report spending from ClickHouse, the largest first. Money in CSV and JSON is exact, in dollars."""
    if context.invoked_subcommand is not None:
        return
    connection = options.connection_of(data)
    begin, end = period(since, until, from_ms(now_ms()))
    name = options.need_organization(organization, connection)
    rows = options.run(_ask(connection, by, name, begin, end), connection)
    if format_ == "table":
        print_table(by, name, begin, end, rows)
    else:
        typer.echo(as_csv(by, rows) if format_ == "csv" else as_json(by, name, begin, end, rows), nl=False)


def print_table(by: Dimension, organization: str, begin: datetime, end: datetime, rows: Sequence[ReportRow]) -> None:
    """For people: rounded, with shares and a total."""
    total = sum(row.cost_nanousd for row in rows)
    made = table(
        f"{organization} by {by}, {begin:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC",
        (by, ">spent", ">share", ">requests", ">unpriced", ">input tokens", ">output tokens"),
    )
    for row in rows:
        share = percent(row.cost_nanousd * 10_000 // total) if total else ""
        made.add_row(row.name or f"(no {by})", *_cells(row, share))
    made.add_section()
    columns = zip(
        *((r.cost_nanousd, r.requests, r.unpriced, r.input_tokens, r.output_tokens) for r in rows), strict=True
    )
    made.add_row("total", *_cells(ReportRow("total", *map(sum, columns)), "") if rows else ("$0.00",))
    console().print(made)
    if not rows:
        console().print("nothing was charged in this period; a charge takes about a second to arrive here")


def as_csv(by: Dimension, rows: Sequence[ReportRow]) -> str:
    """For spreadsheets."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow((by, "cost_usd", "requests", "unpriced", "input_tokens", "output_tokens"))
    for row in rows:
        cost = format_usd(row.cost_nanousd)
        writer.writerow((row.name, cost, row.requests, row.unpriced, row.input_tokens, row.output_tokens))
    return out.getvalue()


def as_json(by: Dimension, organization: str, begin: datetime, end: datetime, rows: Sequence[ReportRow]) -> str:
    """For programs."""
    document = {
        "organization": organization,
        "by": by,
        "since": begin.isoformat(),
        "until": end.isoformat(),
        "total_usd": format_usd(sum(row.cost_nanousd for row in rows)),
        "rows": [
            {
                by: row.name,
                "cost_usd": format_usd(row.cost_nanousd),
                "requests": row.requests,
                "unpriced": row.unpriced,
                "input_tokens": row.input_tokens,
                "output_tokens": row.output_tokens,
            }
            for row in rows
        ],
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _cells(row: ReportRow, share: str) -> tuple[str, ...]:
    return (
        dollars(row.cost_nanousd, places=4, unpriced=row.unpriced),
        share,
        f"{row.requests:,}",
        f"{row.unpriced:,}",
        f"{row.input_tokens:,}",
        f"{row.output_tokens:,}",
    )


async def _ask(
    connection: Connection, by: Dimension, organization: str, begin: datetime, end: datetime
) -> list[ReportRow]:
    async with open_warehouse(connection.settings) as warehouse:
        return await warehouse.report(by, organization, begin, end)
