"""`spendgate policy simulate`: what the rules of a policy would have moved, and what that would have spared."""

from __future__ import annotations

import json
from contextlib import aclosing
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from schemas.policy import Policy
from services.adapters.clickhouse import open_async_client
from services.adapters.clock import now_ms
from services.adapters.keys import Role
from services.cli import options
from services.cli.commands.policy import read_policy
from services.cli.commands.whatif import COLUMNS, cells, plain, progress_bar, windows_begin
from services.cli.connection import Connection
from services.cli.errors import CliError
from services.cli.past_requests import past_requests
from services.cli.render import console, dollars, table
from services.cli.reports import period
from services.core.events import from_ms, iso, to_ms
from services.core.money import format_usd
from services.core.moving.simulation import Simulation
from services.core.policy import CompiledPolicy
from services.core.pricing import PriceBook

NOTES = (
    "Rules are looked at every 3 seconds, as a steward does. What was forecast then is not known now: `forecast` is "
    "spending so far, continued. Windows begin with nothing carried over."
)

app = typer.Typer()


@app.command("simulate", epilog="Example:  spendgate policy simulate acme.yaml --since 2026-11-01")
def simulate(
    file: Annotated[Path, typer.Argument(metavar="POLICY", help="The policy whose rules are tried, as YAML.")],
    since: Annotated[
        str | None, typer.Option(help="From this instant; default: the first of this month (UTC).")
    ] = None,
    until: Annotated[str | None, typer.Option(help="Until before this instant; default: the end of today.")] = None,
    top: Annotated[int, typer.Option(min=1, max=10_000, help="How many moves are shown at most.")] = 40,
    as_json: Annotated[bool, typer.Option("--json", help="Everything, for programs.")] = False,
    data: options.Data = None,
) -> None:
    """Decide the requests of a period twice, with the rules of POLICY and without, and show every move with its reason.

    The same code moves and decides as in the steward and the enforcer. Nothing is changed.
    """
    connection = options.connection_of(data, role=Role.VIEWER)
    policy = read_policy(file)
    if not policy.rules:
        raise CliError(f"{file} has no rules", advice="write some under `rules:`, or use `spendgate whatif`")
    begin, end = period(since, until, from_ms(now_ms()))
    found = options.run(_play(connection, policy, begin, min(end, from_ms(now_ms()))), connection)
    if as_json:
        typer.echo(json.dumps(_document(policy, begin, end, found), indent=2))
        return
    _print(policy, file.name, found, top)


async def _play(connection: Connection, policy: Policy, begin: datetime, end: datetime) -> Simulation:
    simulation = Simulation(policy, PriceBook.bundled())
    start_ms, end_ms = to_ms(begin), to_ms(end)
    warm_ms = windows_begin([CompiledPolicy.compile(policy, version=1)], start_ms)
    client = await open_async_client(connection.settings.clickhouse)
    try:
        with progress_bar(end_ms - warm_ms) as progress:
            task = progress.add_task("deciding twice", total=end_ms - warm_ms)
            async with aclosing(past_requests(client, policy.organization, warm_ms, end_ms)) as found:
                async for until_ms, requests in found:
                    for request in requests:
                        if request.at_ms < start_ms:
                            simulation.count(request)
                        else:
                            simulation.offer(request)
                    progress.update(task, completed=until_ms - warm_ms)
    finally:
        await client.close()
    return simulation


def _print(policy: Policy, name: str, found: Simulation, top: int) -> None:
    out = console()
    moves = table(f"{policy.organization}: what rules would have moved", ("when (UTC)", "from", "to", ">amount", "why"))
    for at_ms, move in found.moves[:top]:
        amount = dollars(move.amount_nanousd)
        moves.add_row(iso(at_ms)[:19].replace("T", " "), move.from_budget, move.to_budget, amount, move.reason)
    if len(found.moves) > top:
        moves.caption = f"{len(found.moves) - top} more: --top {len(found.moves)}"
    out.print(moves if found.moves else "no rule would have moved anything")
    made = table(f"{policy.organization} under {name}", COLUMNS)
    made.add_row("with rules", *cells(found.with_rules.all))
    made.add_row("without", *cells(found.without_rules.all))
    out.print(made)
    out.print(f"{found.refusals_avoided:,} requests would have been made that were not without rules")
    out.print(NOTES, style="dim", soft_wrap=True)


def _document(policy: Policy, begin: datetime, end: datetime, found: Simulation) -> dict[str, Any]:
    return {
        "organization": policy.organization,
        "since": begin.isoformat(),
        "until": end.isoformat(),
        "refusals_avoided": found.refusals_avoided,
        "with_rules": plain(found.with_rules.all),
        "without_rules": plain(found.without_rules.all),
        "moves": [
            {
                "at": iso(at_ms),
                "move": move.move,
                "rule": move.rule,
                "from_budget": move.from_budget,
                "to_budget": move.to_budget,
                "amount_usd": format_usd(move.amount_nanousd),
                "reason": move.reason,
            }
            for at_ms, move in found.moves
        ],
    }
