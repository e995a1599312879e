"""HTTP for hot routes: plain requests are answered from the bytes that arrived, all others by aiohttp.

What a plain request is, `_REQUEST` and `_plain` say, and strictly. If there is anything else about one (a body that is
chunked, compressed or too large, another version, an upgrade, a header that comes twice), aiohttp gets the connection
with all that arrived and was not answered, and keeps it. So nothing is understood here in another way than there.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Coroutine
from time import perf_counter
from typing import Any, Final, NamedTuple

from aiohttp.web_protocol import RequestHandler
from aiohttp.web_server import Server

from services.adapters.answer import HttpAnswer, message
from services.adapters.keys import Principal

Answered = HttpAnswer | Coroutine[None, None, HttpAnswer]

HEAD_BYTES_MAX: Final = 4_096
HEADERS_MAX: Final = 64
BEHIND_BYTES_MAX: Final = 64 << 10
"""What may wait behind a request that is being answered; beyond, nothing more is read."""

_HEADER: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++:[\t -~]*+\r\n"
_REQUEST: Final = re.compile(rb"POST (/[a-z0-9/]++) HTTP/1\.1\r\n((?:" + _HEADER + rb")++)\r\n")
_HEADERS: Final = re.compile(rb"([^:\r\n]++):[\t ]*+([^\r]*+)\r\n")
_LENGTH: Final = re.compile(rb"[0-9]{1,9}")
_BEGUN: Final = b"POST /"
_NOT_PLAIN: Final = frozenset(
    {b"transfer-encoding", b"content-encoding", b"expect", b"upgrade", b"proxy-connection", b"te", b"trailer"}
)


class Route(NamedTuple):
    """A hot route: who a header says that asks, what is answered, and who counts it.

    `authorize` and `answer` may raise anything; `refuse` gives the answer to that.
    """

    authorize: Callable[[str], Principal]
    answer: Callable[[Principal, bytes], Answered]
    refuse: Callable[[Exception], HttpAnswer]
    answered: Callable[[int, float], None]


Routes = dict[bytes, Route]


class Plain(NamedTuple):
    """A plain request's head."""

    route: Route
    authorization: str
    body_at: int
    end: int


class Shortcut(RequestHandler):
    """One connection. Answers come in the order of the requests, and one is answered at a time."""

    __slots__ = ("_arrived", "_body_bytes_max", "_handed_over", "_held", "_needed", "_routes", "_work")

    def __init__(self, server: Server, routes: Routes, *, body_bytes_max: int, **further: Any) -> None:
        super().__init__(server, **further)
        self._routes, self._body_bytes_max = routes, body_bytes_max
        self._arrived = bytearray()
        self._needed = 0
        self._handed_over = self._held = False
        self._work: asyncio.Task[None] | None = None

    def data_received(self, data: bytes) -> None:
        """Answer what is plain, as far as it is complete."""
        if self._handed_over:
            super().data_received(data)
        elif self._close or self._force_close:
            return
        elif self._work is not None or self._paused or self._arrived:
            self._arrived += data
            if self._work is None and not self._paused:
                self._go_on()
            self._steer()
        else:
            self._serve(data)

    def resume_writing(self) -> None:
        """The client reads its answers again."""
        super().resume_writing()
        if not self._handed_over:
            self._go_on()
            self._steer()

    async def shutdown(self, timeout: float | None = 15.0) -> None:  # noqa: ASYNC109 - aiohttp's signature
        """Let what is being answered be answered, then end as aiohttp does."""
        if self._work is not None:
            await asyncio.wait([self._work], timeout=timeout)
        await super().shutdown(timeout)

    def _go_on(self) -> None:
        """Serve what has waited, unless more of it has to come first."""
        if self._arrived and self._work is None and len(self._arrived) >= self._needed:
            waited = bytes(self._arrived)
            self._arrived.clear()
            self._serve(waited)

    def _serve(self, data: bytes) -> None:
        """Answer the requests in these bytes; keep what is incomplete, and leave the rest to aiohttp."""
        at, end, answers = 0, len(data), list[bytes]()
        self._needed = 0
        while at < end and self._work is None:
            found = self._plain(data, at)
            if found is None:
                break
            if found.end > end:
                self._needed = found.end - at
                break
            answer = self._answer(found, data[found.body_at : found.end])
            if answer is not None:
                answers.append(answer)
            at = found.end
        if answers:
            self._write(b"".join(answers) if len(answers) > 1 else answers[0])
        if at == end:
            return
        rest = data[at:]
        if self._work is not None or self._needed or _may_become_plain(rest):
            self._arrived += rest
        else:
            self._handed_over = True
            super().data_received(rest)

    def _plain(self, data: bytes, at: int) -> Plain | None:
        """The plain request that begins here, whether its body is complete or not."""
        match = _REQUEST.match(data, at)
        if match is None or match.end() - at > HEAD_BYTES_MAX:
            return None
        route = self._routes.get(match[1])
        pairs = _HEADERS.findall(match[2])
        headers = {name.lower(): value for name, value in pairs}
        if route is None or len(headers) < len(pairs) or len(pairs) > HEADERS_MAX:
            return None
        if b"host" not in headers or not _NOT_PLAIN.isdisjoint(headers):
            return None
        length = headers.get(b"content-length", b"").rstrip(b"\t ")
        if not _LENGTH.fullmatch(length) or int(length) > self._body_bytes_max:
            return None
        if b"connection" in headers and headers[b"connection"].strip(b"\t ").lower() != b"keep-alive":
            return None
        body_at = match.end()
        return Plain(route, headers.get(b"authorization", b"").decode("ascii"), body_at, body_at + int(length))

    def _answer(self, plain: Plain, body: bytes) -> bytes | None:
        """The answer to a request; None when it comes later."""
        started, route = perf_counter(), plain.route
        try:
            answered = route.answer(route.authorize(plain.authorization), body)
        except Exception as error:  # noqa: BLE001 - whatever a handler raises, the caller gets an answer
            answered = route.refuse(error)
        if not isinstance(answered, HttpAnswer):
            self._work = self._loop.create_task(self._answer_later(route, answered, started))
            return None
        return self._counted(route, answered, started)

    async def _answer_later(self, route: Route, work: Coroutine[None, None, HttpAnswer], started: float) -> None:
        try:
            answered = await work
        except Exception as error:  # noqa: BLE001 - as above
            answered = route.refuse(error)
        self._write(self._counted(route, answered, started))
        self._work = None
        if self._close:
            self.force_close()
            return
        self._go_on()
        self._steer()

    def _counted(self, route: Route, answered: HttpAnswer, started: float) -> bytes:
        route.answered(answered.status, perf_counter() - started)
        return message(answered)

    def _write(self, answer: bytes) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(answer)
            self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout

    def _steer(self) -> None:
        """Read on, unless too much waits behind an answer, or the client does not read its answers."""
        waits = self._work is not None or self._paused
        hold = not self._handed_over and waits and len(self._arrived) > BEHIND_BYTES_MAX
        if hold is self._held:
            return
        self._held = hold
        if hold:
            self._pause_reading_for_buffer()
        else:
            self._resume_reading_for_buffer()


def _may_become_plain(rest: bytes) -> bool:
    """Whether more bytes can make a plain request of these: their head is incomplete, and none too long."""
    return rest[: len(_BEGUN)] == _BEGUN[: len(rest)] and len(rest) < HEAD_BYTES_MAX and b"\r\n\r\n" not in rest
