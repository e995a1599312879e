"""`spendgate ack`: take an alert from here, so that nobody else is asked."""

from __future__ import annotations

import getpass
from typing import Annotated

import typer

from services.cli import options
from services.cli.api import open_api
from services.cli.connection import Connection
from services.cli.render import console


def ack(
    alert: Annotated[
        str, typer.Argument(help="The alert, as messages and `spendgate alerts` name it.", metavar="ALERT")
    ],
    org: Annotated[str, typer.Option("--org", "-o", envvar="SPENDGATE_ORGANIZATION", help="Whose alert it is.")],
    note: Annotated[str, typer.Option(help="What you are going to do, for those who read the history.")] = "",
    by: Annotated[str, typer.Option(help="Who takes it; by default your login name.")] = "",
    data: options.Data = None,
    ingest_url: options.IngestUrl = None,
    token: options.Token = None,
) -> None:
    """Acknowledge ALERT: you take it from here, and whoever would be asked next is not."""
    connection = options.connection_of(data, ingest_url, None, token)
    told = {"organization": org, "alert": alert, "by": by or getpass.getuser(), "note": note}
    options.run(_acknowledge(connection, told), connection)
    console().print(f"{told['by']} has {alert} from here", style="green", markup=False, soft_wrap=True)


async def _acknowledge(connection: Connection, told: dict[str, str]) -> None:
    async with open_api(connection) as api:
        await api.acknowledge(told)
