"""`spendgate decisions`: the last decisions that were kept, with the ids by which `spendgate explain` knows them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import typer
from rich.table import Table

from services.adapters.clock import now_ms
from services.cli import options
from services.cli.connection import Connection
from services.cli.render import console, dollars, table
from services.cli.reports import period
from services.cli.warehouse import Decided, open_warehouse
from services.core.events import from_ms


def decisions(
    denied: Annotated[bool, typer.Option("--denied", help="Only those by which no request was made.")] = False,
    since: Annotated[
        str | None, typer.Option(help="From this instant; default: the first of this month (UTC).")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many at most.")] = 20,
    organization: options.Organization = None,
    data: options.Data = None,
) -> None:
    """List the last decisions in ClickHouse, the latest first: denials, warnings, and a sample of the rest."""
    connection = options.connection_of(data)
    begin, _ = period(since, None, from_ms(now_ms()))
    name = options.need_organization(organization, connection)
    rows = options.run(_ask(connection, name, begin, denied, limit), connection)
    out = console()
    out.print(decisions_table(name, rows))
    if not rows:
        out.print("none was kept in this period; one takes about a second to arrive here")
    else:
        out.print(f"why? spendgate explain {rows[0].decision}", soft_wrap=True)


def decisions_table(organization: str, rows: Sequence[Decided]) -> Table:
    """A line for each; ids are whole, so that they can be copied."""
    made = table(f"decisions on {organization}", ("decision", "at (UTC)", "", "reason", "budget", "for", ">may cost"))
    for row in rows:
        whose = " ".join(name for name in (row.project, row.team, row.user) if name)
        cost = "unknown" if row.estimate_nanousd is None else dollars(row.estimate_nanousd, places=4)
        at, reason = f"{row.decided_at:%m-%d %H:%M:%S}", row.reason.replace("_", " ")
        made.add_row(row.decision, at, row.action, reason, row.binding_budget, f"{whose} {row.model}".strip(), cost)
    return made


async def _ask(connection: Connection, organization: str, since: datetime, denied: bool, most: int) -> list[Decided]:
    async with open_warehouse(connection.settings) as warehouse:
        return await warehouse.decisions(organization, since, denied=denied, most=most)
