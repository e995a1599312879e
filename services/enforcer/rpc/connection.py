"""One connection: frames in, calls made in their order, answers out in one write per loop tick."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from time import perf_counter
from typing import TYPE_CHECKING, Final, cast

import msgspec

from schemas.frames import HEADER_BYTES, FrameError, Frames
from schemas.rpc import ABOUT_THE_CONNECTION, HELLO_BYTES_MAX, Call
from services.adapters import logs
from services.adapters.keys import Principal
from services.adapters.web_errors import ApiError
from services.core.ask import Ask
from services.enforcer.rpc.calls import Answer, Method

if TYPE_CHECKING:
    from services.enforcer.rpc.house import House

HELLO_WITHIN_S: Final = 5.0
WAITING_MAX: Final = 1_024
"""Calls of one connection that wait for something at a time; beyond, nothing more is read from it."""
FLUSH_BYTES: Final = 64 << 10
_ID: Final = b"\x83\xa2id"
_OK: Final = b"\xa6status\xcc\xc8\xa4body"

log = logs.logger(__name__)
_call = msgspec.msgpack.Decoder(Call)
_encode = msgspec.msgpack.Encoder().encode


class Connection(asyncio.Protocol):
    """Serves one client. It must say hello first; whatever is no frame or no call ends the connection."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._loop = asyncio.get_running_loop()
        self._frames = Frames(HELLO_BYTES_MAX)
        self._principal: Principal | None = None
        self._methods: Mapping[str, Method] = {}
        self._calls, self._checks = house.calls, house.meters.of("check")
        self._may_check = False
        self._outbox: list[bytes] = []
        self._outbox_bytes = 0
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
        clock, frames = perf_counter(), self._frames
        frames.add(data)
        try:
            while (frame := frames.take()) is not None:
                clock = self._serve(frame, clock)
                if self._outbox_bytes > FLUSH_BYTES:
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
        self._answer(call_id, why.status, _encode(why.body()))
        self._flush()
        self._transport.close()

    def say_goodbye(self) -> None:
        """Tell the client to go elsewhere. Answers that it waits for still come."""
        if self._principal is not None:
            why = going_away()
            self._answer(ABOUT_THE_CONNECTION, why.status, _encode(why.body()))
            self._flush()

    def close(self) -> None:
        """Close once everything is written."""
        self._transport.close()

    def abort(self) -> None:
        """Close although the client does not read what is written."""
        self._transport.abort()

    def _serve(self, frame: bytes, started: float) -> float:
        """Answer one call; the time at which that was done."""
        if self._transport.is_closing():
            return started
        if self._may_check and not self._house.draining:
            check = self._calls.read_check(frame)
            if check is not None:
                return self._check(check.id, check.body, started)
        try:
            call = _call.decode(frame)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise FrameError("invalid_call", f"a frame holds no call {{id, method, body}}: {error}") from error
        if self._principal is None:
            self._greet(call)
            return perf_counter()
        try:
            if self._house.draining or call.method not in self._methods:
                self._admit(self._principal, call.method)
            answer = self._methods[call.method](self._principal, call.body)
        except Exception as error:  # noqa: BLE001 - whatever a handler raises, the caller gets an answer
            return self._refused(call.id, call.method, error, started)
        return self._answered(call.id, call.method, answer, started)

    def _check(self, call_id: int, ask: Ask, started: float) -> float:
        """The same for a check, which is most of what is asked."""
        assert self._principal is not None
        try:
            answer = self._calls.decide(self._principal, ask)
        except Exception as error:  # noqa: BLE001 - as above
            return self._refused(call_id, "check", error, started)
        if not isinstance(answer, bytes):
            return self._answered(call_id, "check", answer, started)
        self._answer(call_id, 200, answer)
        now = perf_counter()
        self._checks.answered(200, now - started)
        return now

    def _answered(self, call_id: int, method: str, answer: Answer, started: float) -> float:
        if isinstance(answer, bytes):
            return self._done(call_id, method, 200, answer, started)
        self.waiting += 1
        self._house.spawn(self._later(call_id, method, answer, started))
        self._steer()
        return perf_counter()

    def _refused(self, call_id: int, method: str, error: Exception, started: float) -> float:
        status, body = self._refusal(method, error)
        return self._done(call_id, method, status, body, started)

    def _done(self, call_id: int, method: str, status: int, body: bytes, started: float) -> float:
        self._answer(call_id, status, body)
        now = perf_counter()
        self._house.meters.of(method).answered(status, now - started)
        return now

    def _greet(self, call: Call) -> None:
        try:
            if call.method != "hello":
                raise ApiError(401, "hello_expected", "the first call of a connection is hello, with an API key")
            self._principal, welcome = self._calls.welcome(call.body, self._house.frame_bytes_max)
            self._methods = self._calls.methods_for(self._principal)
            self._may_check = "check" in self._methods
        except ApiError as error:
            self.end(error, call.id)
            return
        self._impatience.cancel()
        self._frames.bytes_max = self._house.frame_bytes_max
        self._answer(call.id, 200, _encode(welcome))
        if self._house.draining:
            self.say_goodbye()

    def _admit(self, principal: Principal, method: str) -> None:
        if self._house.draining:
            raise going_away()
        self._calls.require_allowed(principal, method)

    async def _later(self, call_id: int, method: str, answer: Coroutine[None, None, bytes], started: float) -> None:
        status, body = 200, b""
        try:
            body = await answer
        except Exception as error:  # noqa: BLE001 - as above
            status, body = self._refusal(method, error)
        self._house.meters.of(method).answered(status, perf_counter() - started)
        self.waiting -= 1
        if self._transport.is_closing():
            return
        self._steer()
        self._answer(call_id, status, body)
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush)

    def _refusal(self, method: str, error: Exception) -> tuple[int, bytes]:
        if isinstance(error, ApiError):
            return error.status, _encode(error.body())
        self._house.meters.failed()
        log.error("call failed", method=method, exc_info=error)
        return 500, _encode(ApiError(500, "internal", "the service failed; the failure was logged").body())

    def _answer(self, call_id: int, status: int, body: bytes) -> None:
        """`schemas.rpc.Answer`, around a body that is encoded already."""
        told = _OK if status == 200 else b"\xa6status" + _encode(status) + b"\xa4body"
        head = _ID + _encode(call_id) + told
        size = len(head) + len(body)
        self._outbox_bytes += size
        self._outbox += (size.to_bytes(HEADER_BYTES, "big") + head, body)

    def _flush(self) -> None:
        self._flushing = False
        outbox, self._outbox, self._outbox_bytes = self._outbox, [], 0
        if outbox and not self._transport.is_closing():
            self._transport.write(b"".join(outbox))

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
