"""`spendgate status`: what a scope has spent and may still spend, as an enforcer sees it."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from services.adapters.keys import Role
from services.cli import options
from services.cli.api import AWAY, Refused, open_api
from services.cli.connection import Connection
from services.cli.errors import CliError
from services.cli.outlook_tables import outlook_table
from services.cli.render import bar, console, dollars, percent, table
from services.console.status import ScopeOutlook
from services.core.money import parse_usd
from services.core.scope import ScopeError, parse_scope, scope_key
from services.enforcer.answers import Status, WindowStatus

ROOM_FOR_BARS = 100

Scope = Annotated[
    str | None,
    typer.Argument(help="Such as org:acme, org:acme/project:search or org:acme/user:alice; default: the organization."),
]


def status(
    scope: Scope = None,
    organization: options.Organization = None,
    data: options.Data = None,
    enforcer_url: options.EnforcerUrl = None,
    console_url: options.ConsoleUrl = None,
    token: options.Token = None,
) -> None:
    """Show what a scope has spent in each window, what is reserved, the budgets on it, and where they are going.

    What is spent and reserved is an enforcer's word; what is to be expected is the console's, where there is one.
    """
    connection = options.connection_of(data, None, enforcer_url, token, console_url=console_url, role=Role.VIEWER)
    wanted = canonical(scope) if scope else scope_key({"org": options.need_organization(organization, connection)})
    found, expected = options.run(_ask(connection, wanted), connection)
    print_status(found)
    if isinstance(expected, str):
        console().print(f"nothing is known of what to expect: {expected}", style="dim")
    elif expected is not None and expected.windows:
        console().print(outlook_table(expected))


def canonical(scope: str) -> str:
    """The scope as the services write it. Raises CliError for one that is none, or names no organization."""
    try:
        dimensions = parse_scope(scope)
    except ScopeError as error:
        raise CliError(f"{scope!r} is no scope: {error}") from error
    if "org" not in dimensions:
        raise CliError(f"{scope!r} names no organization", advice=f"write org:NAME/{scope}")
    return scope_key(dimensions)


def print_status(status: Status) -> None:
    """What each window counts, then each budget on the scope."""
    out = console()
    if status.windows:
        out.print(windows_table(status))
    if any(window.budgets for window in status.windows):
        out.print(budgets_table(status, bars=out.width >= ROOM_FOR_BARS))
    if not status.windows:
        out.print(f"nothing was spent in {status.scope}, and no budget is on it", markup=False)
    if unpriced := max((window.unpriced for window in status.windows), default=0):
        out.print(f"≥: {unpriced:,} requests have no price yet; the true sum is higher", style="yellow")
    out.print(f"as of {status.as_of:%Y-%m-%d %H:%M:%S} UTC, ledger {status.ledger.partition}:{status.ledger.offset}")


def windows_table(status: Status) -> Table:
    """A line for each window."""
    title = f"{status.scope}  ({status.level}, policy version {status.policy_version})"
    made = table(title, ("window", ">spent", ">reserved", ">requests"))
    for window in status.windows:
        made.add_row(window.window, _spent(window), _usd(window.reserved_usd), f"{window.requests:,}")
    return made


def budgets_table(status: Status, *, bars: bool) -> Table:
    """A line for each budget; `bars` need a wide terminal."""
    bar_column = ("",) if bars else ()
    made = table("budgets", ("budget", "each", ">limit", ">remaining", *bar_column, ">used", "tier"))
    for window in status.windows:
        kind = window.window.partition(":")[0]
        for budget in window.budgets:
            limit, remaining = _usd(budget.limit_usd), _usd(budget.remaining_usd)
            share = 10_000 if budget.utilization is None else round(budget.utilization * 10_000)
            bar_cell = (bar(share),) if bars else ()
            made.add_row(budget.budget, kind, limit, remaining, *bar_cell, percent(share), budget.tier)
    return made


def _spent(window: WindowStatus) -> str:
    return dollars(parse_usd(window.settled_usd), places=4, unpriced=window.unpriced)


def _usd(text: str) -> str:
    return dollars(parse_usd(text), places=4)


async def _ask(connection: Connection, scope: str) -> tuple[Status, ScopeOutlook | str | None]:
    """What an enforcer knows, and what the console expects; or why it says nothing, None where nobody named one."""
    async with open_api(connection) as api:
        found = await api.status(scope)
        if connection.console_url is None:
            return found, None
        try:
            return found, await api.outlook(scope)
        except AWAY:
            return found, "the console does not answer"
        except Refused as refused:
            return found, refused.message
