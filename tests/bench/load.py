"""A load generator on raw sockets: keep-alive connections, one request at a time on each."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from time import perf_counter_ns
from typing import cast

_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_END = b"\r\n\r\n"
TIMEOUT_S = 120

Answered = Callable[[bytes, bytes], bytes | None]
"""Given a status line and a body: what to send next on this connection instead of the next request, if anything."""


@dataclass(slots=True)
class Tally:
    """What came back: statuses by their first digit's class, and how long each took."""

    nanoseconds: list[int] = field(default_factory=list)
    statuses: dict[bytes, int] = field(default_factory=dict)

    def percentile_us(self, share: float) -> float:
        """The latency that this share of requests stayed within."""
        ordered = sorted(self.nanoseconds)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] / 1000


class Connection(asyncio.Protocol):
    """Sends the next request as soon as an answer is complete."""

    def __init__(self, requests: Iterator[bytes], tally: Tally, answered: Answered | None) -> None:
        self._requests, self._tally, self._answered = requests, tally, answered
        self._received = b""
        self._needed = 0
        self._sent_ns = 0
        self._transport: asyncio.Transport
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._send(None)

    def data_received(self, data: bytes) -> None:
        self._received += data
        if not self._needed:
            end = self._received.find(_END)
            if end < 0:
                return
            length = _LENGTH.search(self._received, 0, end)
            assert length is not None, self._received[:end]
            self._needed = end + len(_END) + int(length[1])
        if len(self._received) >= self._needed:
            self._complete()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(exc or ConnectionError("the server closed the connection"))

    def _complete(self) -> None:
        answer, self._received, self._needed = self._received, b"", 0
        self._tally.nanoseconds.append(perf_counter_ns() - self._sent_ns)
        status = answer[9:12]
        self._tally.statuses[status] = self._tally.statuses.get(status, 0) + 1
        self._send(self._answered(status, answer) if self._answered else None)

    def _send(self, request: bytes | None) -> None:
        request = request or next(self._requests, None)
        if request is None:
            self.done.set_result(None)
            self._transport.close()
            return
        self._sent_ns = perf_counter_ns()
        self._transport.write(request)


async def run(
    port: int, requests: Sequence[bytes], *, connections: int, answered: Answered | None = None
) -> tuple[float, Tally]:
    """Send all requests; requests per second, those that `answered` added included."""
    tally, source = Tally(), iter(requests)
    loop = asyncio.get_running_loop()
    started = perf_counter_ns()
    made = [
        await loop.create_connection(lambda: Connection(source, tally, answered), "127.0.0.1", port)
        for _ in range(connections)
    ]
    async with asyncio.timeout(TIMEOUT_S):
        await asyncio.gather(*[connection.done for _, connection in made])
    return len(tally.nanoseconds) * 1e9 / (perf_counter_ns() - started), tally


def request(path: str, token: str, body: bytes) -> bytes:
    """The bytes of a POST."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
