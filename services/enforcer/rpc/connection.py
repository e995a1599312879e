"""One connection: frames in, calls made in their order, answers out in one write per loop tick."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from time import perf_counter
from types import CoroutineType
from typing import Any, Final, Protocol, cast

import msgspec
from msgspec import Struct

from schemas.rpc import ABOUT_THE_CONNECTION, HEADER, HEADER_BYTES, HELLO_BYTES_MAX, Call, FrameError, Frames
from services.adapters import logs
from services.adapters.keys import Principal
from services.adapters.web_errors import ApiError
from services.enforcer.rpc.calls import Calls, Instant
from services.enforcer.rpc.meters import Meters

HELLO_WITHIN_S: Final = 5.0
WAITING_MAX: Final = 1_024
"""Calls of one connection that wait for something at a time; beyond, nothing more is read from it."""
FLUSH_BYTES: Final = 64 << 10
_ROOM: Final = bytes(HEADER_BYTES)

log = logs.logger(__name__)
_call = msgspec.msgpack.Decoder(Call)
_encode_into = msgspec.msgpack.Encoder().encode_into


class Reply(Struct, frozen=True, gc=False):
    """`schemas.rpc.Answer`, with a body that is yet to be encoded."""

    id: int
    status: int
    body: Any


class House(Protocol):
    """What the connections of one server share."""

    calls: Calls
    meters: Meters
    frame_bytes_max: int
    draining: bool

    def joined(self, connection: Connection) -> None:
        """A connection was made."""

    def left(self, connection: Connection) -> None:
        """A connection was lost."""

    def spawn(self, work: Coroutine[None, None, None]) -> None:
        """Run something that outlives its connection: what is being settled will be settled."""


class Connection(asyncio.Protocol):
    """Serves one client. It must say hello first; whatever is no frame or no call ends the connection."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._loop = asyncio.get_running_loop()
        self._frames = Frames(HELLO_BYTES_MAX)
        self._principal: Principal | None = None
        self._instant: Mapping[str, Instant] = {}
        self._outbox = bytearray()
        self._flushing = False
        self._full = self._unread = False
        self._transport: asyncio.Transport
        self.waiting = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._impatience = self._loop.call_later(HELLO_WITHIN_S, self._no_hello)
        self._house.joined(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._impatience.cancel()
        if self._frames.waiting and exc is None:
            self._house.meters.refused("truncated_frame")
        self._house.left(self)

    def data_received(self, data: bytes) -> None:
        """Answer every call that is complete."""
        if self._transport.is_closing():
            return
        clock = perf_counter()
        try:
            for frame in self._frames.feed(data):
                clock = self._serve(frame, clock)
                if len(self._outbox) > FLUSH_BYTES:
                    self._flush()
        except FrameError as error:
            self.end(ApiError(400, error.code, str(error)))
        if self._outbox:
            self._flush()

    def pause_writing(self) -> None:
        self._unread = True
        self._steer()

    def resume_writing(self) -> None:
        self._unread = False
        self._steer()

    def end(self, why: ApiError, call_id: int = ABOUT_THE_CONNECTION) -> None:
        """Say why, and close: nothing that comes after is read."""
        self._house.meters.refused(why.code)
        self._answer(call_id, why.status, why.body())
        self._flush()
        self._transport.close()

    def say_goodbye(self) -> None:
        """Tell the client to go elsewhere. Answers that it waits for still come."""
        if self._principal is not None:
            why = going_away()
            self._answer(ABOUT_THE_CONNECTION, why.status, why.body())
            self._flush()

    def close(self) -> None:
        """Close once everything is written."""
        self._transport.close()

    def abort(self) -> None:
        """Close although the client does not read what is written."""
        self._transport.abort()

    def _serve(self, frame: memoryview, started: float) -> float:
        """Answer one call; the time at which that was done."""
        if self._transport.is_closing():
            return started
        try:
            call = _call.decode(frame)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise FrameError("invalid_call", f"a frame holds no call {{id, method, body}}: {error}") from error
        if self._principal is None:
            self._greet(call)
            return perf_counter()
        try:
            handler = None if self._house.draining else self._instant.get(call.method)
            if handler is None:
                self._admit(self._principal, call.method)
                later = self._house.calls.later[call.method]
                self._wait_for(call, later(self._principal, call.body), started)
                return perf_counter()
            status, body = 200, handler(self._principal, call.body)
            if isinstance(body, CoroutineType):
                self._wait_for(call, body, started)
                return perf_counter()
        except Exception as error:  # noqa: BLE001 - whatever a handler raises, the caller gets an answer
            status, body = self._refusal(call.method, error)
        self._answer(call.id, status, body)
        now = perf_counter()
        self._house.meters.of(call.method).answered(status, now - started)
        return now

    def _greet(self, call: Call) -> None:
        try:
            if call.method != "hello":
                raise ApiError(401, "hello_expected", "the first call of a connection is hello, with an API key")
            self._principal, welcome = self._house.calls.welcome(call.body, self._house.frame_bytes_max)
            self._instant = self._house.calls.instant_for(self._principal)
        except ApiError as error:
            self.end(error, call.id)
            return
        self._impatience.cancel()
        self._frames.bytes_max = self._house.frame_bytes_max
        self._answer(call.id, 200, welcome)
        if self._house.draining:
            self.say_goodbye()

    def _admit(self, principal: Principal, method: str) -> None:
        if self._house.draining:
            raise going_away()
        self._house.calls.require_allowed(principal, method)

    def _wait_for(self, call: Call, answer: Coroutine[None, None, object], started: float) -> None:
        self.waiting += 1
        self._house.spawn(self._later(call, answer, started))
        self._steer()

    async def _later(self, call: Call, answer: Coroutine[None, None, object], started: float) -> None:
        status, body = 200, None
        try:
            body = await answer
        except Exception as error:  # noqa: BLE001 - as above
            status, body = self._refusal(call.method, error)
        self._house.meters.of(call.method).answered(status, perf_counter() - started)
        self.waiting -= 1
        if self._transport.is_closing():
            return
        self._steer()
        self._answer(call.id, status, body)
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush)

    def _refusal(self, method: str, error: Exception) -> tuple[int, Any]:
        if isinstance(error, ApiError):
            return error.status, error.body()
        self._house.meters.failed()
        log.error("call failed", method=method, exc_info=error)
        return 500, ApiError(500, "internal", "the service failed; the failure was logged").body()

    def _answer(self, call_id: int, status: int, body: Any) -> None:
        outbox = self._outbox
        start = len(outbox)
        outbox += _ROOM
        _encode_into(Reply(call_id, status, body), outbox, -1)
        HEADER.pack_into(outbox, start, len(outbox) - start - HEADER_BYTES)

    def _flush(self) -> None:
        self._flushing = False
        outbox, self._outbox = self._outbox, bytearray()
        if outbox and not self._transport.is_closing():
            self._transport.write(outbox)

    def _steer(self) -> None:
        """Read on, unless the client does not read its answers or too many of its calls wait."""
        full = self._unread or self.waiting >= WAITING_MAX
        if full is self._full or self._transport.is_closing():
            return
        self._full = full
        if full:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def _no_hello(self) -> None:
        self.end(ApiError(401, "hello_expected", f"no hello came within {HELLO_WITHIN_S:.0f} seconds"))


def going_away() -> ApiError:
    """The answer to calls that come after the goodbye: nothing was done."""
    return ApiError(503, "draining", "this enforcer is going away: connect again, and ask there")
