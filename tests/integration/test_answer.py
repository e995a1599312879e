"""The answer of a hot route is what aiohttp would have sent, whoever asks and however."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from services.adapters.answer import answer

BODY = b'{"action":"allow"}'


async def allow(request: web.Request) -> web.StreamResponse:
    return answer(request, BODY)


async def reference(_request: web.Request) -> web.Response:
    return web.Response(body=BODY, headers={"Content-Type": "application/json; charset=utf-8"})


@asynccontextmanager
async def serving() -> AsyncIterator[int]:
    app = web.Application()
    app.router.add_get("/answer", allow)
    app.router.add_get("/reference", reference)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield runner.addresses[0][1]
    await runner.cleanup()


async def exchange(port: int, sent: bytes) -> bytes:
    """All that comes back until the server has answered as often as it was asked, and the client has hung up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    received = b""
    while received.count(BODY) < sent.count(b" HTTP/"):
        received += await reader.read(65_536)
    writer.close()
    return received


def lines(received: bytes) -> tuple[bytes, set[bytes], bytes]:
    """The status line, the headers but for the date, and the body."""
    head, _, body = received.partition(b"\r\n\r\n")
    status, *headers = head.split(b"\r\n")
    assert sum(header.startswith(b"Date: ") for header in headers) == 1
    return status, {header for header in headers if not header.startswith(b"Date: ")}, body


@pytest.mark.parametrize(
    "rest",
    [
        b"HTTP/1.1\r\nHost: x\r\n\r\n",
        b"HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"HTTP/1.0\r\n\r\n",
        b"HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    ],
)
async def test_it_is_what_aiohttp_answers(rest: bytes) -> None:
    async with serving() as port:
        found = await exchange(port, b"GET /answer " + rest)
        assert lines(found) == lines(await exchange(port, b"GET /reference " + rest))


async def test_answers_to_one_connection_come_one_after_the_other() -> None:
    asked = b"GET /answer HTTP/1.1\r\nHost: x\r\n\r\n" * 2 + b"GET /reference HTTP/1.1\r\nHost: x\r\n\r\n"
    async with serving() as port:
        received = await exchange(port, asked)
    parts = received.split(BODY)
    assert (len(parts), parts[-1]) == (4, b"")
    assert all(part.startswith(b"HTTP/1.1 200 OK\r\n") for part in parts[:3])


async def test_a_client_that_has_gone_breaks_nothing() -> None:
    async with serving() as port:
        for _ in range(20):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /answer HTTP/1.1\r\nHost: x\r\n\r\n")
            writer.transport.abort()
        assert lines(await exchange(port, b"GET /answer HTTP/1.1\r\nHost: x\r\n\r\n"))[2] == BODY
