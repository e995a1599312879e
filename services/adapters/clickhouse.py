"""ClickHouse over HTTP: one code path for a server and for the local engine; the address decides which."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

import clickhouse_connect
from clickhouse_connect.driver import AsyncClient, Client
from clickhouse_connect.driver.exceptions import ClickHouseError, Error

FAILURES = (ClickHouseError, OSError, TimeoutError)
"""What a client raises when the server is away, refuses, or fails."""

CONNECT_TIMEOUT_S = 5
ANSWER_TIMEOUT_S = 120

_ADVICE = {
    60: "the table is missing: migrations have not run on this database, start the sink once",
    81: "the database does not exist yet: start the sink once, it creates it",
    193: "check the password in SPENDGATE_CLICKHOUSE",
    194: "check the password in SPENDGATE_CLICKHOUSE",
    241: "the server is short of memory: lower SPENDGATE_BATCH_BYTES, or give it more",
    243: "the server's disk is full: free some space, rows wait in Kafka",
    252: "too many parts: the server merges slower than rows arrive, raise SPENDGATE_LINGER_MS",
    497: "the user lacks a right: grant it SELECT, INSERT, CREATE and SHOW on the database",
    516: "check the user and password in SPENDGATE_CLICKHOUSE",
}


class AddressError(ValueError):
    """SPENDGATE_CLICKHOUSE is not an address; the message says what one looks like."""


def database_of(address: str) -> str:
    """The database named in the path of an address. Raises `AddressError`."""
    parts = urlsplit(address)
    database = unquote(parts.path.strip("/"))
    if parts.scheme not in ("http", "https") or not parts.hostname or not database or "/" in database:
        raise AddressError("write SPENDGATE_CLICKHOUSE as http://user:password@host:8123/database (or https)")
    return database


def open_client(address: str, *, database: str | None = None) -> Client:
    """A client, safe to share between threads. Raises `AddressError`, and `FAILURES` when the server does not answer.

    `database` replaces the one of the address: use "default" to reach a server on which that one is still missing.
    """
    named = database_of(address)
    return clickhouse_connect.get_client(
        dsn=address,
        secure=urlsplit(address).scheme == "https",
        database=database or named,
        autogenerate_session_id=False,  # a session is used by one request at a time
        connect_timeout=CONNECT_TIMEOUT_S,
        send_receive_timeout=ANSWER_TIMEOUT_S,
        tz_mode="aware",
    )


async def open_async_client(address: str) -> AsyncClient:
    """The same for many concurrent calls of one event loop."""
    return await clickhouse_connect.get_async_client(
        dsn=address,
        secure=urlsplit(address).scheme == "https",
        database=database_of(address),
        autogenerate_session_id=False,
        connect_timeout=CONNECT_TIMEOUT_S,
        send_receive_timeout=ANSWER_TIMEOUT_S,
        compress="lz4",
        tz_mode="aware",
    )


def explain(error: BaseException) -> str:
    """A failure in one line, with advice where there is some."""
    message = str(error).strip().splitlines()
    text = f"{type(error).__name__}: {message[0][:1000] if message else 'no message'}"
    advice = _ADVICE.get(error.code or 0) if isinstance(error, Error) else None
    return f"{text} ({advice})" if advice else text
