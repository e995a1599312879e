"""`spendgate enforcer`: see which enforcers the ledger knows, and give up one that is gone for good."""

from __future__ import annotations

import getpass
from typing import Annotated

import typer

from services.cli import options
from services.cli.api import open_api
from services.cli.connection import Connection
from services.cli.render import console, table
from services.enforcer.answers import EnforcerLine

app = typer.Typer(no_args_is_help=True, help="List enforcers, and give up one that is gone for good.")

Name = Annotated[str, typer.Argument(help="An enforcer as `spendgate enforcer list` names it.")]


@app.command("list", epilog="Example:  spendgate enforcer list")
def enforcers(data: options.Data = None, enforcer_url: options.EnforcerUrl = None, token: options.Token = None) -> None:
    """List the enforcers that the ledger knows, and how long each has been silent."""
    connection = options.connection_of(data, None, enforcer_url, token)
    lines = options.run(_list(connection), connection)
    found = table("Enforcers", ("enforcer", "heard at (UTC)", ">silent for", "state"))
    for line in lines:
        found.add_row(
            line.enforcer, f"{line.heard_at:%Y-%m-%d %H:%M:%S}", f"{line.silent_ms / 1000:.0f} s", _state(line)
        )
    console().print(found)


@app.command("forget", epilog='Example:  spendgate enforcer forget enforcer-1f0c9a2b --reason "its machine is gone"')
def forget(
    enforcer: Name,
    reason: Annotated[str, typer.Option(help="Why, for those who read the history.")] = "",
    by: Annotated[str, typer.Option(help="Who says so.")] = "",
    data: options.Data = None,
    ingest_url: options.IngestUrl = None,
    token: options.Token = None,
) -> None:
    """Give the shares of an enforcer to the others at once, instead of after its long silence.

    Only for one that does not run any more: what a live one has reserved may then be spent twice.
    """
    connection = options.connection_of(data, ingest_url, None, token)
    options.run(_forget(connection, enforcer, by or getpass.getuser(), reason), connection)
    console().print(f"{enforcer} is forgotten: its shares are free as soon as the ledger has been read")


def _state(line: EnforcerLine) -> str:
    if line.reclaimed:
        return "given up"
    if line.reclaim_after_ms is None:
        return "never given up by itself"
    return f"given up after {line.reclaim_after_ms // 1000} s of silence"


async def _list(connection: Connection) -> list[EnforcerLine]:
    async with open_api(connection) as api:
        return await api.enforcers()


async def _forget(connection: Connection, enforcer: str, by: str, reason: str) -> None:
    async with open_api(connection) as api:
        await api.forget({"enforcer": enforcer, "by": by, "reason": reason})
