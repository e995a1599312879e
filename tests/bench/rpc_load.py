"""A load generator for the RPC: connections over a Unix socket, a number of calls in flight on each."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path
from time import perf_counter
from typing import cast

import msgspec
from msgspec import Struct

from schemas.frames import Frames, framed
from schemas.rpc import ANSWER_BYTES_MAX, Answer

TIMEOUT_S = 120
_answer = msgspec.msgpack.Decoder(Answer)


class _Hold(Struct):
    id: str


class _Decided(Struct):
    """What a decision reserved."""

    reservation: _Hold


_decided = msgspec.msgpack.Decoder(_Decided)


def call(method: str, body: bytes, call_id: int = 2) -> bytes:
    """The bytes of a call. Ids may repeat: this generator only counts the answers."""
    return framed(msgspec.msgpack.encode({"id": call_id, "method": method, "body": msgspec.Raw(body)}))


class Connection(asyncio.Protocol):
    """Sends a burst of calls, and the next burst once all of it is answered.

    `settling`: after a burst of checks, one that settles what they reserved.
    """

    def __init__(self, hello: bytes, bursts: Iterator[bytes], size: int, *, settling: bool = False) -> None:
        self._hello, self._bursts, self._size, self._settling = hello, bursts, size, settling
        self._settlements: list[bytes] = []
        self._settled = False
        """Whether what is being answered are settlements."""
        self._frames = Frames(ANSWER_BYTES_MAX)
        self._due = 1
        self.answered = -1  # the hello is not counted
        self._transport: asyncio.Transport
        self.done: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(self._hello)

    def data_received(self, data: bytes) -> None:
        last = b""
        for frame in self._frames.feed(data):
            self._due -= 1
            self.answered += 1
            last = bytes(frame) if self._due == 0 else last
            if self._settling and self.answered and not self._settled:
                self._settlements.append(settlement(bytes(frame)))
        if self._due:
            return
        answer = _answer.decode(last)
        assert answer.status == 200, msgspec.msgpack.decode(answer.body)
        burst = self._next()
        if burst is None:
            self.done.set_result(bytes(answer.body))
            self._transport.close()
            return
        self._due = self._size
        self._transport.write(burst)

    def _next(self) -> bytes | None:
        self._settled = bool(self._settlements)
        if self._settlements:
            burst, self._settlements = b"".join(self._settlements), []
            return burst
        return next(self._bursts, None)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(exc or ConnectionError("the server closed the connection"))


async def run(
    path: Path, hello: bytes, calls: Sequence[bytes], *, connections: int, in_flight: int, settling: bool = False
) -> tuple[float, int]:
    """Make all calls, each connection with this many in flight; calls answered per second, and how many that were."""
    bursts = [b"".join(calls[at : at + in_flight]) for at in range(0, len(calls), in_flight)]
    source, loop = iter(bursts), asyncio.get_running_loop()
    started = perf_counter()

    def connection() -> Connection:
        return Connection(hello, source, in_flight, settling=settling)

    made = [(await loop.create_unix_connection(connection, str(path)))[1] for _ in range(connections)]
    async with asyncio.timeout(TIMEOUT_S):
        await asyncio.gather(*[connection.done for connection in made])
    answered = sum(connection.answered for connection in made)
    return answered / (perf_counter() - started), answered


def settlement(frame: bytes) -> bytes:
    """The call that settles what an answered check reserved."""
    decided = _decided.decode(_answer.decode(frame).body)
    usage = {"gen_ai.usage.input_tokens": 1, "gen_ai.usage.output_tokens": 1}
    return call("settle", msgspec.msgpack.encode({"reservation": decided.reservation.id, **usage}))


async def one(path: Path, hello: bytes, sent: bytes) -> bytes:
    """The result of one call."""
    connection = (
        await asyncio.get_running_loop().create_unix_connection(lambda: Connection(hello, iter([sent]), 1), str(path))
    )[1]
    return await connection.done
