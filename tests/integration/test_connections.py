"""A peer's death as uvloop tells it: to aiokafka's background tasks it is a broken connection, and not their end."""

from __future__ import annotations

import asyncio
import socket
import struct
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import aiokafka.client
import aiokafka.conn
import pytest
import uvloop
from aiokafka.client import AIOKafkaClient, ConnectionGroup
from aiokafka.conn import create_conn
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.metadata import MetadataRequest

from services.adapters import connections

ResultT = TypeVar("ResultT")
SERVICES = ("aggregator", "enforcer", "ingest", "sink", "cli")
RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@pytest.fixture(autouse=True)
def installed() -> None:
    """As in every process that asks for a topic's name."""
    connections.install()


@asynccontextmanager
async def relay(broker: str) -> AsyncIterator[tuple[int, Callable[[], None]]]:
    """A port that leads to the broker, and what resets every connection through it, as a killed process does."""
    host, port = broker.split(":")
    writers: list[asyncio.StreamWriter] = []

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(data)

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        onward = await asyncio.open_connection(host, int(port))
        writers.append(writer)
        try:
            await asyncio.gather(pump(reader, onward[1]), pump(onward[0], writer))
        finally:
            onward[1].close()

    def reset() -> None:
        for writer in writers:
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
            writer.transport.abort()

    async with await asyncio.start_server(accept, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1], reset


def at_once(work: Coroutine[Any, Any, ResultT]) -> ResultT:
    """The result of a coroutine that need not wait for anything."""
    with pytest.raises(StopIteration) as ended:
        work.send(None)
    result: ResultT = ended.value.value
    return result


async def when_lost(broker: str, act: Callable[[AIOKafkaClient, Any], ResultT]) -> ResultT:
    """What `act` makes of a client and its connection, between the loss of the connection and the reader's notice."""
    client = AIOKafkaClient(bootstrap_servers=broker)
    await client.bootstrap()
    async with relay(broker) as (port, reset):
        connection = await create_conn("127.0.0.1", port, on_close=client._on_connection_closed)
        client._conns[client.get_random_node(), ConnectionGroup.DEFAULT] = connection
        acted: asyncio.Future[ResultT] = asyncio.get_running_loop().create_future()

        def lost(_: object) -> None:
            assert connection.connected(), "the reader has noticed: too late to prove anything"
            try:
                acted.set_result(act(client, connection))
            except Exception as error:  # noqa: BLE001 - it is the outcome
                acted.set_exception(error)

        connection._closed_fut.add_done_callback(lost)
        reset()
        outcome = await asyncio.wait_for(acted, 30)
        assert await asyncio.wait_for(client.force_metadata_update(), 30)
    await client.close()
    return outcome


def test_sending_over_a_lost_connection_raises_what_aiokafka_retries(broker: str) -> None:
    def send(_: AIOKafkaClient, connection: Any) -> object:
        return connection.send(MetadataRequest([]))

    with pytest.raises(KafkaConnectionError, match="broken"):
        uvloop.run(when_lost(broker, send))


def test_a_refresh_of_metadata_fails_on_a_lost_connection_and_raises_nothing(broker: str) -> None:
    def refresh(client: AIOKafkaClient, _: object) -> object:
        return at_once(client._metadata_update(client.cluster, []))

    assert uvloop.run(when_lost(broker, refresh)) is False


@pytest.mark.parametrize("service", SERVICES)
def test_every_service_uses_such_connections(service: str) -> None:
    program = (
        f"import services.{service}.__main__, aiokafka.conn, services.adapters.connections as ours; "
        "assert aiokafka.conn.AIOKafkaConnection is ours.Connection"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_clients_make_their_connections_where_ours_is_installed() -> None:
    assert aiokafka.client.create_conn.__globals__ is vars(aiokafka.conn)
