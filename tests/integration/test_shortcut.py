"""The shortcut answers as aiohttp does, to whatever arrives and however it is cut, and gives way to it in time."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.adapters.answer import JSON, HttpAnswer
from services.adapters.keys import Keyring, Principal, Role, new_key
from services.adapters.metrics import Metrics
from services.adapters.openapi import document
from services.adapters.settings import Settings
from services.adapters.shortcut import Answered
from services.adapters.web import SHELL, Readiness, add_hot_route, create_app, listening
from services.adapters.web_errors import ApiError

EDGE, EDGE_RECORD = new_key(Role.EDGE, "acme")
VIEWER, VIEWER_RECORD = new_key(Role.VIEWER, "acme")
LARGEST_BODY = 1_000
LARGE = b"[" + b"1," * 20_000 + b"1]"
HANGS_S = 5.0


class Doors:
    """Echoes bodies; some words do something else. `released` lets those go that wait."""

    def __init__(self) -> None:
        self.entered, self.released = asyncio.Event(), asyncio.Event()

    def echo(self, principal: Principal, body: bytes) -> Answered:
        if body == b"broken":
            raise RuntimeError("a secret detail")
        if body == b"refuse":
            raise ApiError(409, "taken", "somebody has it", headers={"X-Why": "so"})
        if body == b"large":
            return HttpAnswer(200, JSON, LARGE)
        if body == b"denied":
            return HttpAnswer(429, {**JSON, "x-should-retry": "false"}, b'{"error":{}}')
        if body in (b"wait", b"wait in vain"):
            return self._wait(body)
        return HttpAnswer(200, JSON, principal.role.encode() + b":" + body)

    async def _wait(self, body: bytes) -> HttpAnswer:
        self.entered.set()
        await self.released.wait()
        if body == b"wait in vain":
            raise ApiError(503, "gone", "nobody came")
        return HttpAnswer(200, JSON, b"waited")

    def app(self) -> web.Application:
        app = create_app(
            "test",
            keyring=Keyring.of([EDGE_RECORD, VIEWER_RECORD]),
            readiness=lambda: Readiness(True),
            openapi=document(title="test", description="", paths={}),
            metrics=Metrics(process=False),
            max_body_bytes=LARGEST_BODY,
        )
        add_hot_route(app, "/v1/echo", self.echo, roles=[Role.EDGE])
        return app


@asynccontextmanager
async def serving(doors: Doors | None = None, *, shortcuts: bool = True) -> AsyncIterator[int]:
    """A server that listens; without shortcuts it is aiohttp's from the first byte on."""
    app = (doors or Doors()).app()
    if not shortcuts:
        app[SHELL].shortcuts.clear()
    async with listening(app, Settings()) as port:
        yield port


@pytest.fixture(scope="module")
async def ports() -> AsyncIterator[tuple[int, int]]:
    """The same service with shortcuts, and without."""
    async with serving() as quick, serving(shortcuts=False) as reference:
        yield quick, reference


def post(body: bytes = b"hello", *headers: bytes, path: bytes = b"/v1/echo", key: str = EDGE) -> bytes:
    """A plain request, or one that is not quite plain."""
    told = [b"Host: x", b"Authorization: Bearer " + key.encode(), b"Content-Length: %d" % len(body)]
    return b"POST " + path + b" HTTP/1.1\r\n" + b"\r\n".join([*told, *headers]) + b"\r\n\r\n" + body


CLOSING = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
GET = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


async def exchange(port: int, *parts: bytes) -> list[bytes]:
    """All that comes back until the server closes, without dates, line by line; the parts are sent one by one."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    received = b""
    try:
        for part in parts:
            writer.write(part)
            for _ in range(4):
                await asyncio.sleep(0)  # the server runs in this loop: it reads what has been sent so far
        async with asyncio.timeout(HANGS_S):
            while some := await reader.read(1 << 20):
                received += some
    except TimeoutError:
        received += b"\r\nhangs"
    except ConnectionError:
        received += b"\r\nbroke"
    writer.close()
    return [line for line in received.split(b"\r\n") if not line.startswith(b"Date: ")]


def messages(lines: Sequence[bytes]) -> list[bytes]:
    """The same, headers in order: their order says nothing."""
    ordered: list[bytes] = []
    headers: list[bytes] = []
    for line in lines:
        if b": " in line and not line.startswith(b"{"):
            headers.append(line)
        else:
            ordered += [*sorted(headers), line]
            headers = []
    return ordered + sorted(headers)


PLAIN = {
    "a body": post(),
    "two": post(b"one") + post(b"two"),
    "another first": GET + post(),
    "another behind": post() + GET + post(),
    "no body": post(b""),
    "lower case": post(b"x", b"accept: */*", b"user-agent: some/1.0 (thing; other)"),
    "kept": post(b"x", b"Connection: Keep-Alive"),
    "spaces": post(b"x", b"X-Empty:", b"X-Tab:\ta\t"),
    "refused": post(b"refuse") + post(),
    "broken": post(b"broken") + post(),
    "denied": post(b"denied") + post(),
    "large": post(b"large") + post(),
    "unknown key": post(key="sg_edge_nobody") + post(),
    "another role": post(key=VIEWER) + post(),
    "the largest": post(b"x" * LARGEST_BODY),
}
OTHERWISE = {
    "no host": post().replace(b"Host: x\r\n", b""),
    "no key": b"POST /v1/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}",
    "closed": post(b"x", b"Connection: close"),
    "1.0": post().replace(b"HTTP/1.1", b"HTTP/1.0"),
    "1.2": post().replace(b"HTTP/1.1", b"HTTP/1.2"),
    "2.0": post().replace(b"HTTP/1.1", b"HTTP/2.0"),
    "chunked": post(b"2\r\nhi\r\n0\r\n\r\n", b"Transfer-Encoding: chunked").replace(b"Content-Length: 12\r\n", b""),
    "chunked with a length": post(b"2\r\nhi\r\n0\r\n\r\n", b"Transfer-Encoding: chunked"),
    "expecting": post(b"x", b"Expect: 100-continue"),
    "compressed": post(gzip.compress(b"hello"), b"Content-Encoding: gzip"),
    "badly compressed": post(b"hello", b"Content-Encoding: gzip"),
    "too large": post(b"x" * (LARGEST_BODY + 1)),
    "without a length": post().replace(b"Content-Length: 5\r\n", b""),
    "two lengths": post(b"hello", b"Content-Length: 5"),
    "two lengths that differ": post(b"hello", b"Content-Length: 4"),
    "two keys": post(b"hello", b"Authorization: Bearer " + VIEWER.encode()),
    "two hosts": post(b"hello", b"Host: y"),
    "a signed length": post().replace(b"Length: 5", b"Length: +5"),
    "a negative length": post().replace(b"Length: 5", b"Length: -5"),
    "no number": post().replace(b"Length: 5", b"Length: five"),
    "a list of lengths": post().replace(b"Length: 5", b"Length: 5, 5"),
    "a space before the colon": post(b"x", b"X-Odd : y"),
    "a folded header": post(b"x", b"X-Odd: y\r\n z"),
    "no name": post(b"x", b": y"),
    "no colon": post(b"x", b"nonsense"),
    "a bare line feed": post(b"x", b"X-Odd: a\nX-Even: b"),
    "a bare carriage return": post(b"x", b"X-Odd: a\rX-Even: b"),
    "a zero byte": post(b"x", b"X-Odd: a\x00b"),
    "not ASCII": post(b"x", "X-Odd: é".encode()),
    "a query": post(path=b"/v1/echo?x=1"),
    "an encoded path": post(path=b"/v1/ech%6f"),
    "an absolute path": post(path=b"http://x/v1/echo"),
    "no such path": post(path=b"/v1/nothing"),
    "another method": post().replace(b"POST", b"PUT"),
    "a small method": post().replace(b"POST", b"post"),
    "an upgrade": post(b"x", b"Connection: close, Upgrade", b"Upgrade: h2c"),
    "a web socket": post(b"x", b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13"),
    "a long header": post(b"x", b"X-Long: " + b"y" * 5_000),
    "one too long": post(b"x", b"X-Long: " + b"y" * 9_000),
    "many headers": post(b"x", *[b"X-%d: y" % number for number in range(100)]),
    "too many headers": post(b"x", *[b"X-%d: y" % number for number in range(200)]),
    "not HTTP": b"\x16\x03\x01\x02\x00",
    "an empty line first": b"\r\n" + post(),
}


@pytest.mark.parametrize("name", [*PLAIN, *OTHERWISE])
async def test_it_answers_as_aiohttp_does(name: str, ports: tuple[int, int]) -> None:
    sent = (PLAIN | OTHERWISE)[name] + CLOSING
    quick, reference = [messages(await exchange(port, sent)) for port in ports]
    assert quick == reference


@pytest.mark.parametrize("name", [*PLAIN, "compressed", "chunked", "too large"])
async def test_how_the_bytes_are_cut_does_not_matter(name: str, ports: tuple[int, int]) -> None:
    sent = (PLAIN | OTHERWISE)[name] + CLOSING
    whole = await exchange(ports[0], sent)
    step = max(1, len(sent) // 40)
    for cut in range(1, len(sent), step):
        assert await exchange(ports[0], sent[:cut], sent[cut:]) == whole
    assert await exchange(ports[0], *[sent[at : at + 7] for at in range(0, len(sent), 7)]) == whole


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_head_that_somebody_spoiled_is_judged_as_aiohttp_judges_it(
    data: st.DataObject, spoiled: asyncio.Runner
) -> None:
    head, _, body = post().partition(b"Content-Length")
    at = data.draw(st.integers(0, len(head)))
    dropped = data.draw(st.integers(0, 3))
    added = data.draw(st.binary(max_size=3) | st.sampled_from([b"\r\n", b"\n", b" ", b":", b"\t", b"\r\n\r\n", b"%"]))
    sent = head[:at] + added + head[at + dropped :] + b"Content-Length" + body + CLOSING

    async def both() -> list[list[bytes]]:
        async with serving() as quick, serving(shortcuts=False) as reference:
            return [messages(await exchange(port, sent)) for port in (quick, reference)]

    quick, reference = spoiled.run(both())
    assert quick == reference


@pytest.fixture(scope="module")
def spoiled() -> Iterator[asyncio.Runner]:
    """An event loop for a test that is none itself."""
    with asyncio.Runner() as runner:
        yield runner


async def test_answers_come_in_the_order_of_the_requests_though_the_first_waits() -> None:
    doors = Doors()
    async with serving(doors) as port:
        sent = post(b"wait") + post(b"wait in vain") + post(b"second") + CLOSING
        coming = asyncio.create_task(exchange(port, sent))
        await doors.entered.wait()
        doors.released.set()
        received = b"\r\n".join(await coming)
    found = [received.find(word) for word in (b"waited", b"nobody came", b"edge:second", b'"ok"')]
    assert found == sorted(found)
    assert found[0] > 0


async def test_a_client_that_does_not_read_gets_everything_once_it_does() -> None:
    many = 400
    async with serving() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 14)
        writer.write(post(b"large") * many + CLOSING)
        for _ in range(200):
            await asyncio.sleep(0)
        received = 0
        while some := await reader.read(1 << 20):
            received += len(some)
        writer.close()
    assert received > many * len(LARGE)


async def test_what_is_being_answered_is_answered_before_the_end() -> None:
    doors = Doors()
    server = serving(doors)
    port = await server.__aenter__()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(post(b"wait"))
    await doors.entered.wait()
    ending = asyncio.create_task(server.__aexit__(None, None, None))
    for _ in range(20):
        await asyncio.sleep(0)
    assert not ending.done()
    doors.released.set()
    assert (await reader.read()).endswith(b"waited")
    await ending
    writer.close()


async def test_a_client_that_has_gone_breaks_nothing() -> None:
    doors = Doors()
    async with serving(doors) as port:
        for body in (b"hello", b"wait", b"large"):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(post(body) * 3)
            writer.transport.abort()
        doors.released.set()
        assert b"edge:hello" in b"".join(await exchange(port, post() + CLOSING))


async def test_every_answer_is_counted() -> None:
    async with serving() as port:
        metrics = b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        received = await exchange(port, post() + post(b"refuse") + post(b"broken"), metrics)
    text = b"\n".join(received).decode()
    for status in (200, 409, 500):
        assert f'spendgate_http_requests_total{{route="/v1/echo",status="{status}"}} 1' in text
    assert 'spendgate_http_failures_total{route="/v1/echo"} 1' in text
