"""The real parts that integration tests share: one broker and one ClickHouse a session, a name of its own each test."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import clickhouse_connect
import pytest

from deploy.local.clickhouse.program import ClickHouse
from tests.integration.aggregating import Workers
from tests.integration.backends import running_clickhouse, running_kafka


@pytest.fixture(scope="session")
def stack_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the shared parts keep their data and logs."""
    return tmp_path_factory.mktemp("parts")


@pytest.fixture(scope="session")
async def broker(stack_folder: Path) -> AsyncIterator[str]:
    """Bootstrap address of a real Kafka broker, shared by the session; use `prefix` for names of your own."""
    async with running_kafka(stack_folder) as bootstrap:
        yield bootstrap


@pytest.fixture
def prefix() -> str:
    """What the names of a test's topics start with, so that tests share one broker without meeting."""
    return f"t{secrets.token_hex(4)}."


@pytest.fixture(scope="session")
async def clickhouse_server(stack_folder: Path) -> AsyncIterator[ClickHouse]:
    """A real ClickHouse engine behind HTTP, shared by the session."""
    async with running_clickhouse(stack_folder) as server:
        yield server


@pytest.fixture
async def clickhouse(clickhouse_server: ClickHouse) -> AsyncIterator[str]:
    """Address of an empty database of the test's own, dropped afterwards."""
    database = f"t{secrets.token_hex(4)}"
    admin = await clickhouse_connect.get_async_client(dsn=clickhouse_server.address("default"))
    await admin.command(f"CREATE DATABASE {database}")
    yield clickhouse_server.address(database)
    await admin.command(f"DROP DATABASE IF EXISTS {database}")
    await admin.close()


@pytest.fixture
async def workers(tmp_path: Path) -> AsyncIterator[Workers]:
    """Starts aggregator workers, and leaves none running."""
    started = Workers(tmp_path)
    yield started
    await started.kill_all()
