"""`spendgate policy log`: who changed a limit, when, by how much, and why."""

from __future__ import annotations

import json
from typing import Annotated, Literal

import typer

from services.adapters.keys import Role
from services.cli import options
from services.cli.api import open_api
from services.cli.audit_table import Row, as_csv, audit_table
from services.cli.connection import Connection
from services.cli.render import console

app = typer.Typer()


@app.command("log", epilog="Example:  spendgate policy log --budget company-month --since 2026-11-01T00:00:00Z")
def log(
    budget: Annotated[str | None, typer.Option(help="Only what concerns this budget.")] = None,
    since: Annotated[str | None, typer.Option(help="From this instant, with its offset; default: everything.")] = None,
    by: Annotated[str | None, typer.Option(help="Only what this person did.")] = None,
    action: Annotated[str | None, typer.Option(help="Only this, such as policy.applied or boost.granted.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1_000, help="How many at most.")] = 50,
    format_: Annotated[
        Literal["table", "json", "csv"], typer.Option("--format", "-f", help="How to print it.")
    ] = "table",
    organization: options.Organization = None,
    data: options.Data = None,
    console_url: options.ConsoleUrl = None,
    token: options.Token = None,
) -> None:
    """Tell who changed what, the latest first: limits raised and lowered, boosts, proposals, corrections."""
    connection = options.connection_of(data, token=token, console_url=console_url, role=Role.VIEWER)
    whose = options.need_organization(organization, connection)
    asked = {"budget": budget, "since": since, "by": by, "action": action}
    filters = {name: value for name, value in asked.items() if value}
    rows = options.run(_ask(connection, limit, {"organization": whose, **filters}), connection)
    if format_ == "json":
        typer.echo(json.dumps({"organization": whose, "audit": rows}, indent=2, ensure_ascii=False))
    elif format_ == "csv":
        typer.echo(as_csv(rows), nl=False)
    elif rows:
        console().print(audit_table(whose, rows))
    else:
        console().print(f"nothing of {whose} is on record for this question", markup=False)


async def _ask(connection: Connection, limit: int, asked: dict[str, str]) -> list[Row]:
    async with open_api(connection) as api:
        return [*await api.foreseen("audit", limit, **asked)]
