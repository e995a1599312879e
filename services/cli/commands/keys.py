"""`spendgate keys`: make API keys; only their digests are stored."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from services.adapters.keys import ANY_ORGANIZATION, KeyRecord, KeysError, Role, new_key, read_keys, write_keys
from services.cli.connection import DATA_DIR, read_environment
from services.cli.errors import CliError
from services.cli.render import console, table

app = typer.Typer(no_args_is_help=True, help="Create and list the API keys that the services accept.")

KeysFile = Annotated[
    Path | None,
    typer.Option("--keys-file", envvar="SPENDGATE_KEYS_FILE", help="The keys file; default: that of the local stack."),
]
ForOrganization = Annotated[
    str,
    typer.Option(
        "--org", "--organization", "-o", help="The only organization it may touch; * for any (admins, mostly)."
    ),
]


@app.command("create", epilog="Example:  spendgate keys create --role edge --org acme")
def create(
    role: Annotated[Role, typer.Option(help="edge asks and reports, viewer reads, admin does everything.")],
    organization: ForOrganization,
    keys_file: KeysFile = None,
    data: Annotated[
        Path, typer.Option("--data", envvar="SPENDGATE_DATA", help="Data directory of a local stack.")
    ] = DATA_DIR,
) -> None:
    """Make a key and print its token, once. Services read their keys when they start."""
    path = _path(keys_file, data)
    records = _read(path) if path.exists() else []
    token, record = new_key(role, organization)
    write_keys(path, [*records, record])
    typer.echo(token)
    whose = "any organization" if organization == ANY_ORGANIZATION else organization
    notes = console(stderr=True)
    notes.print(f"{record.id} in {path}: role {role}, for {whose}. This token is not shown again.")
    notes.print("Restart the services that shall accept it.")


@app.command("list")
def list_keys(
    keys_file: KeysFile = None,
    data: Annotated[
        Path, typer.Option("--data", envvar="SPENDGATE_DATA", help="Data directory of a local stack.")
    ] = DATA_DIR,
) -> None:
    """List the keys, without their tokens: nobody has those."""
    path = _path(keys_file, data)
    made = table(str(path), ("id", "role", "organization", "created"))
    for record in _read(path):
        made.add_row(record.id, record.role, record.organization, record.created_at)
    console().print(made)


def _path(keys_file: Path | None, data: Path) -> Path:
    return keys_file or read_environment().keys_file or data / "keys" / "keys.json"


def _read(path: Path) -> list[KeyRecord]:
    try:
        return read_keys(path)
    except KeysError as error:
        raise CliError(str(error)) from error
