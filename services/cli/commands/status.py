"""`spendgate status`: what a scope has spent and may still spend, as an enforcer sees it, now or as of then."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec
import typer
from msgspec import Struct
from rich.table import Table

from services.adapters.keys import Role
from services.cli import options
from services.cli.api import AWAY, Refused, open_api
from services.cli.connection import Connection
from services.cli.errors import CliError
from services.cli.outlook_tables import outlook_table
from services.cli.past import At, Verbose, mark_of, read_past
from services.cli.past_views import PastShare, PastStatus, status_then
from services.cli.render import bar, console, dollars, percent, table
from services.console.status import ScopeOutlook
from services.core.as_of import Past
from services.core.money import parse_usd
from services.core.scope import ScopeError, parse_scope, scope_key
from services.enforcer.answers import Status, WindowStatus

ROOM_FOR_BARS = 100


class Present(Struct, frozen=True, kw_only=True):
    """A scope as it stands; `outlook` is null where no console says anything."""

    status: Status
    outlook: ScopeOutlook | None


Scope = Annotated[
    str | None,
    typer.Argument(help="Such as org:acme, org:acme/project:search or org:acme/user:alice; default: the organization."),
]


def status(
    scope: Scope = None,
    at: At = None,
    format_: options.Format = "table",
    verbose: Verbose = False,
    organization: options.Organization = None,
    data: options.Data = None,
    enforcer_url: options.EnforcerUrl = None,
    console_url: options.ConsoleUrl = None,
    token: options.Token = None,
) -> None:
    """Show what a scope has spent in each window, what is reserved, the budgets on it, and where they are going.

    What is spent and reserved is an enforcer's word; what is to be expected is the console's, where there is one.

    With --at, it is the ledger's word: balances, policy, limits, and the shares that enforcers held, as they were then.
    """
    connection = options.connection_of(data, None, enforcer_url, token, console_url=console_url, role=Role.VIEWER)
    wanted = canonical(scope) if scope else scope_key({"org": options.need_organization(organization, connection)})
    if at is not None:
        _print_past(status_then(_read(connection, wanted, at, verbose=verbose), wanted), format_)
        return
    found, expected = options.run(_ask(connection, wanted), connection)
    if format_ == "json":
        _print_json(Present(status=found, outlook=None if isinstance(expected, str) else expected))
        return
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


def shares_table(shares: Sequence[PastShare]) -> Table:
    """A line for each enforcer and window."""
    columns = ("window", "enforcer", ">could still spend")
    made = table("shares of enforcers", columns, caption="reservations of requests in flight are part of them")
    for share in shares:
        made.add_row(share.window, share.enforcer, _usd(share.outstanding_usd))
    return made


def _read(connection: Connection, scope: str, at: str, *, verbose: bool) -> Past:
    reading = read_past(connection, parse_scope(scope)["org"], mark_of(at), verbose=verbose)
    return options.run(reading, connection)


def _print_past(found: PastStatus, format_: options.Format) -> None:
    if format_ == "json":
        _print_json(found)
        return
    print_status(found.status)
    out = console()
    if found.outlook.windows:
        out.print(outlook_table(found.outlook))
    if found.shares:
        out.print(shares_table(found.shares))


def _print_json(found: Struct) -> None:
    typer.echo(msgspec.json.format(msgspec.json.encode(found)).decode())


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
