"""One connection to an enforcer: calls out in one write per loop tick, answers matched to them in any order."""

from __future__ import annotations

import asyncio
from typing import Any, Final, cast

import msgspec
from msgspec import Struct

from schemas.frames import HEADER_BYTES, FrameError, Frames
from schemas.rpc import ABOUT_THE_CONNECTION, ANSWER_BYTES_MAX, Answer
from services.client.errors import LinkLost

_ROOM: Final = bytes(HEADER_BYTES)
_answer = msgspec.msgpack.Decoder(Answer)
_encode_into = msgspec.msgpack.Encoder().encode_into


class _Call(Struct, frozen=True, gc=False):
    """`schemas.rpc.Call`, with a body that is yet to be encoded."""

    id: int
    method: str
    body: Any


class _Reserved(Struct, frozen=True, gc=False):
    """What matters of a decision that nobody waits for any more."""

    reservation: dict[str, Any] | None = None


_reserved = msgspec.msgpack.Decoder(_Reserved)


class Link(asyncio.Protocol):
    """A connection. `retired` is done once it takes no more calls: it was lost, or the enforcer said goodbye.

    When nothing at all was heard during a call that timed out, the enforcer is asked for a sign of life; without one
    the connection is given up.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._frames = Frames(ANSWER_BYTES_MAX)
        self._waiting: dict[int, tuple[str, asyncio.Future[Answer]]] = {}
        self._late: set[int] = set()
        self._last_id = 0
        self._outbox = bytearray()
        self._heard_at = self._loop.time()
        self._doubt: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport
        self.retired: asyncio.Future[None] = self._loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._believe()
        waiting, self._waiting = self._waiting, {}
        for _, future in waiting.values():
            if not future.done():
                future.set_exception(LinkLost(str(exc or "the enforcer closed the connection")))
        self.retire()

    def data_received(self, data: bytes) -> None:
        """Give each answer to whom it belongs."""
        self._heard_at = self._loop.time()
        self._believe()
        try:
            for frame in self._frames.feed(data):
                self._take(_answer.decode(frame))
        except (FrameError, msgspec.DecodeError, UnicodeDecodeError):
            self._transport.abort()

    async def call(self, method: str, body: Any, timeout_s: float) -> Answer:
        """Make a call. Raises `TimeoutError`, and `LinkLost` when the connection ends first.

        The answer to a check that nobody waits for any more is handled: what it reserved is released.
        """
        if self._transport.is_closing():
            raise LinkLost("the connection is closed")
        call_id = self._send(method, body)
        future: asyncio.Future[Answer] = self._loop.create_future()
        self._waiting[call_id] = method, future
        timer = self._loop.call_later(timeout_s, self._expire, call_id, self._loop.time(), timeout_s)
        try:
            return await future
        finally:
            timer.cancel()
            if self._waiting.pop(call_id, None) is not None and method == "check":
                self._late.add(call_id)
            if self.retired.done():
                self._close_when_idle()

    def retire(self) -> None:
        """Take no more calls, and close once those in flight are answered."""
        if not self.retired.done():
            self.retired.set_result(None)
        self._close_when_idle()

    def close(self) -> None:
        """End it now; calls in flight raise `LinkLost`."""
        self._transport.abort()

    def _send(self, method: str, body: Any) -> int:
        self._last_id += 1
        outbox = self._outbox
        if not outbox:
            self._loop.call_soon(self._flush)
        start = len(outbox)
        outbox += _ROOM
        try:
            _encode_into(_Call(self._last_id, method, body), outbox, -1)
        except BaseException:
            del outbox[start:]
            raise
        outbox[start : start + HEADER_BYTES] = (len(outbox) - start - HEADER_BYTES).to_bytes(HEADER_BYTES, "big")
        return self._last_id

    def _flush(self) -> None:
        outbox, self._outbox = self._outbox, bytearray()
        if outbox and not self._transport.is_closing():
            self._transport.write(outbox)

    def _take(self, answer: Answer) -> None:
        if answer.id == ABOUT_THE_CONNECTION:
            self.retire()
            return
        method, future = self._waiting.pop(answer.id, ("", None))
        if future is not None and not future.done():
            future.set_result(answer)
        elif method == "check" or answer.id in self._late:
            self._late.discard(answer.id)
            self._release(answer)

    def _release(self, answer: Answer) -> None:
        if answer.status == 200 and (reservation := _reserved.decode(answer.body).reservation) is not None:
            self._send("release", {"reservation": reservation["id"]})

    def _expire(self, call_id: int, asked_at: float, timeout_s: float) -> None:
        _, future = self._waiting.get(call_id, ("", None))
        if future is None:
            return  # the connection was lost in this very turn of the loop
        if not future.done():
            future.set_exception(TimeoutError())
        if self._heard_at < asked_at and self._doubt is None and not self._transport.is_closing():
            self._send("ping", {})
            self._doubt = self._loop.call_later(timeout_s, self._transport.abort)

    def _believe(self) -> None:
        if self._doubt is not None:
            self._doubt.cancel()
            self._doubt = None

    def _close_when_idle(self) -> None:
        if not self._waiting and not self._transport.is_closing():
            self._flush()
            self._transport.close()
