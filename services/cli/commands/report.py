"""`spendgate report`: what an organization spent in a period, by anything, as a table or a file."""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from services.adapters.clickhouse import FAILURES, AddressError, explain
from services.adapters.clock import now_ms
from services.adapters.warehouse.warehouse import Warehouse
from services.cli import options
from services.cli.connection import Connection
from services.cli.errors import CliError, Unreachable
from services.cli.org_zone import zone_for
from services.cli.render import console
from services.cli.reports import named_period
from services.cli.spend_table import as_parquet, print_spending
from services.core.attribution import (
    CHOICES,
    TOP_MAX,
    QuestionError,
    Spending,
    SpendQuery,
    parse_dimension,
    parse_filters,
)
from services.core.period import EXAMPLES, PeriodError, previous_so_far
from services.core.spend_text import as_csv, as_document


class Format(StrEnum):
    """How a report is written."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    PARQUET = "parquet"


def report(
    context: typer.Context,
    by: Annotated[str, typer.Option(help=f"What to group by: {CHOICES}.")] = "project",
    period: Annotated[
        str | None, typer.Option("--period", "-p", help=f"When: {EXAMPLES}. Default: this-month.")
    ] = None,
    since: Annotated[str | None, typer.Option(help="From this day or time, instead of a period.")] = None,
    until: Annotated[str | None, typer.Option(help="Until before this day or time; default: the end of today.")] = None,
    compare: Annotated[
        bool, typer.Option("--compare", help="Beside the period before, up to where this one has got.")
    ] = False,
    top: Annotated[int, typer.Option(min=1, max=TOP_MAX, help="So many rows; the rest is one more.")] = TOP_MAX,
    only: Annotated[
        list[str] | None,
        typer.Option(help="Only user:alice, tag.feature:search, project: (without one) ... Repeat it for more."),
    ] = None,
    zone: Annotated[
        str | None,
        typer.Option(help="Time zone of the period and of days; default: the organization's."),
    ] = None,
    format_: Annotated[Format, typer.Option("--format", "-f", help="How to write it.")] = Format.TABLE,
    output: options.Output = None,
    organization: options.Organization = None,
    data: options.Data = None,
) -> None:
    """Report spending from ClickHouse, the largest first. Money in files is exact, in dollars.

    Requests without a price are counted beside each sum, and so is what is still charged at an estimate.
    """
    if context.invoked_subcommand is not None:
        return
    connection = options.connection_of(data)
    name = options.need_organization(organization, connection)
    at_ms = now_ms()
    try:
        dimension, filters = parse_dimension(by), parse_filters(only or ())
        asked_zone = options.run(zone_for(zone, name, connection), connection)
        asked = named_period(period, since, until, asked_zone, at_ms)
        before = previous_so_far(asked, at_ms) if compare else None
        query = SpendQuery(name, dimension, asked, filters, top, before)
        found = options.run(_ask(connection, query), connection)
    except (PeriodError, QuestionError) as error:
        raise CliError(str(error)) from error
    write(found, format_, output)


def write(spending: Spending, format_: Format, output: Path | None) -> None:
    """Put a report where it is wanted. Raises CliError."""
    if format_ is Format.TABLE and output is None:
        print_spending(spending, console())
        return
    content = _content(spending, format_)
    if output is not None:
        try:
            output.write_bytes(content)
        except OSError as error:
            raise CliError(f"{output} cannot be written: {error.strerror}") from error
        console(stderr=True).print(f"{len(spending.rows):,} rows written to {output}", markup=False)
    elif format_ is Format.PARQUET and sys.stdout.isatty():
        raise CliError("Parquet is no text", advice="name a file: --output report.parquet")
    else:
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()


def _content(spending: Spending, format_: Format) -> bytes:
    if format_ is Format.CSV:
        return as_csv(spending).encode()
    if format_ is Format.JSON:
        return (json.dumps(as_document(spending), indent=2, ensure_ascii=False) + "\n").encode()
    if format_ is Format.PARQUET:
        return as_parquet(spending)
    raise CliError("a table is for the screen", advice="add --format csv, json or parquet")


async def _ask(connection: Connection, query: SpendQuery) -> Spending:
    try:
        async with await Warehouse.open(connection.settings) as warehouse:
            return await warehouse.spend(query)
    except AddressError as error:
        raise CliError(str(error)) from error
    except FAILURES as error:
        raise Unreachable(f"ClickHouse: {explain(error)}", advice="is the stack running? `spendgate up`") from error
