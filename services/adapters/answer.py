"""The answer of a hot route: 200 and JSON in one write, for a third of the time of aiohttp's general response."""

from __future__ import annotations

from email.utils import formatdate
from functools import lru_cache
from typing import Final

from aiohttp import HttpVersion11, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import SERVER_SOFTWARE

from services.adapters.clock import now_ms

CONTENT_TYPE: Final = "application/json; charset=utf-8"


def answer(request: web.Request, body: bytes) -> web.StreamResponse:
    """200 with a JSON body; who does not speak HTTP/1.1 with keep-alive gets the same from aiohttp itself."""
    if request.version == HttpVersion11 and request.keep_alive:
        return _Answer(body)
    return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE})


class _Answer(web.StreamResponse):
    """What aiohttp's server asks of a response: `prepare`, `write_eof` and `keep_alive`. All is sent by the first.

    Nothing else of a response is there: what aiohttp would make for headers that may yet be set costs as much again.
    """

    keep_alive = True
    status = 200

    def __init__(self, body: bytes) -> None:
        self._answer = body

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Send the head and the body. Raises ConnectionError when the client has gone."""
        transport = request.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client has gone")
        transport.write(b"%b%d\r\n\r\n%b" % (_head(now_ms() // 1000), len(self._answer), self._answer))
        if transport.get_write_buffer_size():
            await request.writer.drain()
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        """Nothing is left to send."""


@lru_cache(maxsize=1)
def _head(second: int) -> bytes:
    """All of the head but the length, which is a second's for all answers."""
    lines = [
        "HTTP/1.1 200 OK",
        f"Content-Type: {CONTENT_TYPE}",
        f"Date: {formatdate(second, usegmt=True)}",
        f"Server: {SERVER_SOFTWARE}",
        "Content-Length: ",
    ]
    return "\r\n".join(lines).encode()
