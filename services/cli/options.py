"""Options that several commands share, and what each stands for."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import typer
import uvloop

from services.adapters.clickhouse import FAILURES
from services.adapters.keys import Role
from services.cli.api import AWAY
from services.cli.board import Board, read_board
from services.cli.connection import Connection, connect
from services.cli.errors import CliError, Unreachable

T = TypeVar("T")

PANEL = "Connection"
KAFKA_WITHIN_S = 15.0

# What the environment says is for `connect` to weigh: a flag must win over every variable, not just over its own.
Data = Annotated[
    Path | None,
    typer.Option("--data", rich_help_panel=PANEL, help="Data folder of a local stack. (SPENDGATE_DATA, ./.spendgate)"),
]
IngestUrl = Annotated[
    str | None,
    typer.Option("--ingest-url", rich_help_panel=PANEL, help="Where ingest listens. (SPENDGATE_INGEST_URL)"),
]
EnforcerUrl = Annotated[
    str | None,
    typer.Option("--enforcer-url", rich_help_panel=PANEL, help="Where an enforcer listens. (SPENDGATE_ENFORCER_URL)"),
]
ConsoleUrl = Annotated[
    str | None,
    typer.Option("--console-url", rich_help_panel=PANEL, help="Where the console listens. (SPENDGATE_CONSOLE_URL)"),
]
Token = Annotated[
    str | None,
    typer.Option("--token", rich_help_panel=PANEL, help="The API key; a local stack has its own. (SPENDGATE_TOKEN)"),
]
Organization = Annotated[
    str | None,
    typer.Option(
        "--org",
        "--organization",
        "-o",
        envvar="SPENDGATE_ORGANIZATION",
        help="The organization; not needed if there is only one.",
    ),
]
Output = Annotated[Path | None, typer.Option("--output", "-w", help="Write to this file instead of printing.")]
Format = Annotated[Literal["table", "json"], typer.Option("--format", "-f", help="How to print it.")]


def run(command: Coroutine[Any, Any, T], connection: Connection) -> T:
    """Run a command that talks to `connection`. Raises CliError for everything that can be expected to go wrong."""
    try:
        return uvloop.run(command)
    except CliError:
        raise
    except (*AWAY, *FAILURES) as error:
        reason = str(error) or type(error).__name__
        raise Unreachable(
            f"no answer from an installation named in {connection.found_in}: {reason}",
            advice="is it still running? `spendgate up` starts a local one",
        ) from error


def connection_of(
    data: Path | None,
    ingest_url: str | None = None,
    enforcer_url: str | None = None,
    token: str | None = None,
    *,
    console_url: str | None = None,
    role: Role = Role.ADMIN,
) -> Connection:
    """What the shared options say; of a local stack's keys, the one of `role` is enough. Raises CliError."""
    return connect(
        data, ingest_url=ingest_url, enforcer_url=enforcer_url, console_url=console_url, token=token, role=role
    )


def need_organization(named: str | None, connection: Connection) -> str:
    """The organization that was named, or the only one there is. Raises CliError."""
    return named or the_organization(run(board_of(connection), connection).organizations)


def the_organization(known: list[str], named: str | None = None) -> str:
    """The one that was named, which must be known, or else the only one. Raises CliError."""
    if named in known:
        return named
    if named is None and len(known) == 1:
        return known[0]
    if not known:
        raise CliError(
            "there is no organization yet",
            advice="apply a policy: `spendgate policy apply examples/policies/acme.yaml`",
        )
    asked = f"no organization is called {named!r}" if named else "which organization?"
    raise CliError(f"{asked}; there are: {', '.join(known)}", advice="name one with --org")


async def board_of(connection: Connection) -> Board:
    """Balances and policies from Kafka. Raises Unreachable when it does not answer in time."""
    try:
        async with asyncio.timeout(KAFKA_WITHIN_S):
            return await read_board(connection.settings)
    except TimeoutError as error:
        raise Unreachable(
            f"Kafka at {connection.settings.kafka} does not answer, or has no topics of "
            f"{connection.settings.topic_prefix}*",
            advice="check SPENDGATE_KAFKA and SPENDGATE_TOPIC_PREFIX, or start a local stack with `spendgate up`",
        ) from error
