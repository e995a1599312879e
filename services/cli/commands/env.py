"""`spendgate env`: a local stack as environment variables, for gateways, curl and whatever else is tried out."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from services.adapters.keys import Role
from services.cli import options
from services.cli.connection import DATA_DIR, Connection, connect, read_environment

USE = 'eval "$(spendgate env)"'


def env(
    role: Annotated[
        Role, typer.Option(help="Whose key SPENDGATE_TOKEN is: edge asks and reports, viewer reads, admin changes.")
    ] = Role.EDGE,
    data: options.Data = None,
) -> None:
    """Print where a running local stack is, as `export` lines: its URLs, a key, Kafka and ClickHouse.

    They hold secrets. Have your shell take them in:

        eval "$(spendgate env)"

    After that, curl or a gateway finds $SPENDGATE_ENFORCER_URL, $SPENDGATE_INGEST_URL and $SPENDGATE_TOKEN, a
    browser $SPENDGATE_CONSOLE_URL, and `spendgate` itself this stack from any folder, still with the key that each
    command needs.
    """
    folder = data or read_environment().data or DATA_DIR
    for name, value in variables(connect(folder, role=role), folder):
        typer.echo(f"export {name}={shlex.quote(value)}")
    typer.echo(f"# {USE} makes them yours")


def variables(connection: Connection, folder: Path) -> Iterator[tuple[str, str]]:
    """The names that services and commands read, with what a local stack has for each."""
    told = {
        "DATA": str(folder.absolute()),
        "INGEST_URL": connection.ingest_url,
        "ENFORCER_URL": connection.enforcer_url,
        "CONSOLE_URL": connection.console_url,
        "TOKEN": connection.token,
        "KAFKA": connection.settings.kafka,
        "TOPIC_PREFIX": connection.settings.topic_prefix,
        "CLICKHOUSE": connection.settings.clickhouse,
    }
    for name, value in told.items():
        if value is not None:
            yield f"SPENDGATE_{name}", value
