"""`spendgate policy move`: hand money of a window from one budget to another."""

from __future__ import annotations

import getpass
from datetime import datetime
from typing import Annotated, Any

import typer

from services.cli import options
from services.cli.api import Api, Refused, open_api
from services.cli.connection import Connection
from services.cli.errors import CliError
from services.cli.render import console
from services.core.money import MoneyError, parse_usd

EXAMPLE = 'Example:  spendgate policy move reserve-month search-month 250 --why "launch week"'

app = typer.Typer()


@app.command("move", epilog=EXAMPLE)
def move(
    giver: Annotated[str, typer.Argument(metavar="FROM", help="The budget that gives.")],
    taker: Annotated[str, typer.Argument(metavar="TO", help="The budget that gets it.")],
    amount: Annotated[str, typer.Argument(help="Dollars, such as 250 or 12.50.")],
    until: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%dT%H:%M%z"], help="Give back what is free from then on."),
    ] = None,
    why: Annotated[str, typer.Option(help="For those who read the history.")] = "",
    by: Annotated[str, typer.Option(help="Who moves it.")] = "",
    organization: options.Organization = None,
    data: options.Data = None,
    ingest_url: options.IngestUrl = None,
    token: options.Token = None,
) -> None:
    """Move money from one budget to another, to the end of the window that both count in.

    Only what is neither spent nor held by enforcers can be moved, so nothing is ever spent twice. Neither budget may
    count what the other counts: give from a reserve beside it, not from its parent.
    """
    connection = options.connection_of(data, ingest_url, None, token)
    change = {
        "organization": options.need_organization(organization, connection),
        "from_budget": giver,
        "to_budget": taker,
        "amount_usd": _dollars(amount),
        "until": None if until is None else until.isoformat(),
        "by": by or getpass.getuser(),
        "reason": why,
    }
    answer = options.run(_move(connection, change), connection)
    if not answer["applied"]:
        raise CliError(
            "the move is durable, and nobody knows yet what became of it: the aggregator does not apply the ledger now",
            advice="see `spendgate policy show` in a moment; is the aggregator running?",
        )
    console().print(f"${change['amount_usd']} of {giver} is {taker}'s until their window ends", style="green")


def _dollars(text: str) -> str:
    try:
        parse_usd(text.removeprefix("$"))
    except MoneyError as error:
        raise CliError(str(error)) from error
    return text.removeprefix("$")


async def _move(connection: Connection, change: dict[str, Any]) -> dict[str, Any]:
    async with open_api(connection) as api:
        return await _asked(api, change)


async def _asked(api: Api, change: dict[str, Any]) -> dict[str, Any]:
    try:
        return await api.move(change)
    except Refused as refused:
        if refused.status == 409:
            raise CliError(f"nothing was moved: {refused.message}", advice=_ADVICE.get(refused.code)) from refused
        raise


_ADVICE = {
    "insufficient_room": "move less, or wait: enforcers give back what they do not use",
    "below_minimum": "move less, or lower its min_usd in the policy",
    "above_maximum": "move less, or raise its max_usd in the policy",
    "above_parent": "raise the parent's limit, or move from a budget beside it within the same parent",
    "unknown_budget": "`spendgate policy show` names the budgets",
}
