"""Numbered SQL files that bring a ClickHouse database to the shape this version needs, each applied once."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from clickhouse_connect.driver import Client

from services.adapters import logs
from services.adapters.clickhouse import database_of, open_client

FILE_NAME = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")
STATEMENT_END = re.compile(r";[ \t]*$", re.MULTILINE)
COMMENT_LINE = re.compile(r"^\s*--.*$", re.MULTILINE)

APPLIED_TABLE = """
CREATE TABLE IF NOT EXISTS schema_migrations
(
    number     UInt16,
    name       String,
    checksum   String,
    applied_at DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC')
)
ENGINE = MergeTree
ORDER BY number
"""

log = logs.logger(__name__)


class MigrationError(Exception):
    """The files or the database are not what the other expects; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file. Its statements end with a semicolon at the end of a line, and each may be repeated without harm."""

    number: int
    name: str
    text: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the text."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def statements(self) -> tuple[str, ...]:
        """The statements, in order, without comment lines."""
        parts = STATEMENT_END.split(COMMENT_LINE.sub("", self.text))
        return tuple(part.strip() for part in parts if part.strip())


def read_migrations(directory: Path) -> tuple[Migration, ...]:
    """The migrations of a directory, in order. Raises `MigrationError` when numbers are missing or taken twice."""
    found = [
        Migration(int(match[1]), match[2], path.read_text("utf-8"))
        for path in sorted(directory.glob("*.sql"))
        if (match := FILE_NAME.fullmatch(path.name))
    ]
    numbers = [migration.number for migration in found]
    if not found or numbers != list(range(1, len(found) + 1)):
        raise MigrationError(f"{directory} must hold migrations 0001, 0002, ... without a gap, it holds {numbers}")
    return tuple(found)


def migrate(address: str, migrations: Sequence[Migration]) -> tuple[int, ...]:
    """Create the database if needed and apply what is missing; gives the numbers applied now.

    ClickHouse has no transactions around definitions: a file that was interrupted is run again from its start, and two
    processes may run one at the same time, so every statement is an `IF NOT EXISTS` or equally harmless to repeat.
    Raises `MigrationError` before anything is changed when the database has drifted, and `clickhouse.FAILURES`.
    """
    database = database_of(address)
    with open_client(address, database="default") as server:
        server.command("CREATE DATABASE IF NOT EXISTS {name:Identifier}", parameters={"name": database})
    with open_client(address) as client:
        client.command(APPLIED_TABLE)
        applied = _applied(client)
        _check_drift(database, migrations, applied)
        missing = [migration for migration in migrations if migration.number not in applied]
        for migration in missing:
            _apply(client, migration)
        return tuple(migration.number for migration in missing)


def _applied(client: Client) -> Mapping[int, tuple[str, str]]:
    rows = client.query("SELECT number, any(name), any(checksum) FROM schema_migrations GROUP BY number").result_rows
    return {number: (name, checksum) for number, name, checksum in rows}


def _check_drift(database: str, migrations: Sequence[Migration], applied: Mapping[int, tuple[str, str]]) -> None:
    known = {migration.number: migration for migration in migrations}
    newer = sorted(applied.keys() - known.keys())
    if newer:
        raise MigrationError(
            f"database {database} has migrations {newer} that this version does not know: "
            "a newer Spendgate made it, run that one or choose another database"
        )
    for number, (name, checksum) in sorted(applied.items()):
        if checksum != known[number].checksum:
            raise MigrationError(
                f"migration {number:04}_{name} was edited after database {database} had applied it: "
                "restore the file and put the change into a new migration with the next number"
            )


def _apply(client: Client, migration: Migration) -> None:
    for statement in migration.statements:
        client.command(statement)
    client.insert(
        "schema_migrations",
        [[migration.number, migration.name, migration.checksum]],
        column_names=["number", "name", "checksum"],
        column_type_names=["UInt16", "String", "String"],
    )
    log.info("migration applied", number=migration.number, name=migration.name, statements=len(migration.statements))
