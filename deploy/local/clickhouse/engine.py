"""The ClickHouse engine of one data folder: queries, streams of blocks, inserts, each in a context of its own."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import chdb
from chdb.state.sqlitelike import Connection

from deploy.local.clickhouse.errors import QueryError
from deploy.local.clickhouse.sessions import Sessions

NAME = re.compile(r"\w+")
APPEND_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Context:
    """What surrounds a statement: where it runs, with which settings and bound parameters."""

    database: str | None = None
    session: str | None = None
    session_timeout_s: float = 60.0
    session_must_exist: bool = False
    readonly: bool = False
    settings: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole result, and what it took."""

    body: bytes = b""
    read_rows: int = 0
    read_bytes: int = 0
    written_rows: int = 0
    written_bytes: int = 0
    elapsed_s: float = 0.0


class Engine:
    """Thread-safe: each statement runs on a connection of its own (0.4 ms), or on its session's.

    Every method raises `QueryError`.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = str(folder)
        self._anchor = self._connect()  # the engine lives as long as one connection does
        self._sessions = Sessions(self._connect)

    def query(self, sql: str, output_format: str, context: Context) -> Answer:
        """Run a statement and wait for all of its result."""
        with self._connection(context) as connection, engine_errors():
            result = connection.query(sql, output_format, params=dict(context.parameters))
            return Answer(
                result.bytes() or b"",
                read_rows=result.rows_read(),
                read_bytes=result.bytes_read(),
                elapsed_s=result.elapsed(),
            )

    def stream(self, sql: str, output_format: str, context: Context) -> Iterator[bytes]:
        """Run a statement block by block; close the iterator early to cancel it."""
        with (
            self._connection(context) as connection,
            engine_errors(),
            connection.send_query(sql, output_format, params=dict(context.parameters)) as blocks,
        ):
            for block in blocks:
                yield block.bytes()

    def insert(self, target: str, input_format: str, data: bytes, context: Context) -> Answer:
        """Insert rows; when this returns they are in the table."""
        with self._connection(context) as connection, engine_errors():
            with connection.send_insert(target, input_format) as stream:
                for start in range(0, len(data), APPEND_BYTES):
                    stream.append(data[start : start + APPEND_BYTES])
                done = stream.finish()
            return Answer(written_rows=done.rows_written, written_bytes=done.bytes_written, elapsed_s=done.elapsed)

    def close(self) -> None:
        """Close every connection; the engine flushes and lets go of its folder."""
        self._sessions.close()
        self._anchor.close()

    def _connect(self) -> Connection:
        return chdb.connect(self._folder)

    @contextmanager
    def _connection(self, context: Context) -> Iterator[Connection]:
        if context.session is None:
            connection = self._connect()
            try:
                prepare(connection, context)
                yield connection
            finally:
                connection.close()
            return
        timeout_ms = round(context.session_timeout_s * 1000)
        with self._sessions.borrow(context.session, timeout_ms, must_exist=context.session_must_exist) as connection:
            prepare(connection, context)
            yield connection


@contextmanager
def engine_errors() -> Iterator[None]:
    """What the engine raises, as `QueryError`."""
    try:
        yield
    except RuntimeError as error:
        raise QueryError.of_engine(error) from error


def prepare(connection: Connection, context: Context) -> None:
    """Choose the database and the settings, in the order that a server does."""
    with engine_errors():
        if context.database:
            connection.query("USE `" + context.database.replace("\\", "\\\\").replace("`", "\\`") + "`")
        if context.settings:
            connection.query("SET " + ", ".join(f"{_name(n)} = {_literal(v)}" for n, v in context.settings.items()))
        if context.readonly:
            connection.query("SET readonly = 2")


def _name(setting: str) -> str:
    if not NAME.fullmatch(setting):
        raise QueryError.named(115, f"Unknown setting '{setting}'", "UNKNOWN_SETTING")
    return setting


def _literal(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
