"""`spendgate alerts`, `spendgate anomalies` and `spendgate forecast show`: what was foreseen, by the console."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal

import typer
from rich.table import Table

from services.adapters.keys import Role
from services.cli import options
from services.cli.api import open_api
from services.cli.commands.status import canonical
from services.cli.connection import Connection
from services.cli.outlook_tables import alerts_table, anomalies_table, forecasts_table
from services.cli.render import console

Rows = Sequence[dict[str, Any]]
Limit = Annotated[int, typer.Option(min=1, max=1_000, help="How many at most.")]
Since = Annotated[str | None, typer.Option(help="From this instant, with its offset; default: 31 days ago.")]
Scope = Annotated[str | None, typer.Option(help="Only this scope, such as org:acme/project:search.")]


def forecast_show(
    scope: Scope = None,
    window: Annotated[str, typer.Option(help="Windows of this kind, or this one, as month:2026-11.")] = "month",
    limit: Limit = 20,
    format_: options.Format = "table",
    organization: options.Organization = None,
    data: options.Data = None,
    console_url: options.ConsoleUrl = None,
    token: options.Token = None,
) -> None:
    """Show what scopes are expected to spend by the end of their windows, with 80% intervals and budgets at risk."""
    connection = options.connection_of(data, token=token, console_url=console_url, role=Role.VIEWER)
    asked = {"window": window, **({"scope": canonical(scope)} if scope else {})}
    _show("forecasts", connection, organization, limit, asked, format_, forecasts_table)


def alerts(
    kind: Annotated[
        Literal["threshold", "projection", "unpriced"] | None,
        typer.Option(help="Only thresholds that were crossed, or only limits that are expected to be."),
    ] = None,
    since: Since = None,
    limit: Limit = 20,
    format_: options.Format = "table",
    organization: options.Organization = None,
    data: options.Data = None,
    console_url: options.ConsoleUrl = None,
    token: options.Token = None,
) -> None:
    """List the last alerts: thresholds that budgets have crossed, and limits that they are expected to cross."""
    connection = options.connection_of(data, token=token, console_url=console_url, role=Role.VIEWER)
    asked = {**({"kind": kind} if kind else {}), **({"since": since} if since else {})}
    _show("alerts", connection, organization, limit, asked, format_, alerts_table)


def anomalies(
    scope: Scope = None,
    since: Since = None,
    limit: Limit = 20,
    format_: options.Format = "table",
    organization: options.Organization = None,
    data: options.Data = None,
    console_url: options.ConsoleUrl = None,
    token: options.Token = None,
) -> None:
    """List spending that was not like its past: since when, how much more, and which user, model or feature moved."""
    connection = options.connection_of(data, token=token, console_url=console_url, role=Role.VIEWER)
    asked = {**({"scope": canonical(scope)} if scope else {}), **({"since": since} if since else {})}
    _show("anomalies", connection, organization, limit, asked, format_, anomalies_table)


def _show(
    name: str,
    connection: Connection,
    organization: str | None,
    limit: int,
    asked: dict[str, str],
    format_: str,
    lay_out: Callable[[str, Rows], Table],
) -> None:
    whose = options.need_organization(organization, connection)
    rows = options.run(_ask(connection, name, limit, {"organization": whose, **asked}), connection)
    if format_ == "json":
        typer.echo(json.dumps({"organization": whose, name: rows}, indent=2, ensure_ascii=False))
    elif rows:
        console().print(lay_out(whose, rows))
    else:
        console().print(f"there are no {name} of {whose} to show", markup=False)


async def _ask(connection: Connection, name: str, limit: int, asked: dict[str, str]) -> Rows:
    async with open_api(connection) as api:
        return await api.foreseen(name, limit, **asked)
