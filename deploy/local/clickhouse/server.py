"""The HTTP server in front of the engine: `/`, `/ping`, and answers that ClickHouse's own clients understand."""

from __future__ import annotations

import asyncio
import hmac
import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import msgspec
from aiohttp import web
from multidict import CIMultiDict

from deploy.local.clickhouse.compression import Plain, choose
from deploy.local.clickhouse.engine import Answer, Engine
from deploy.local.clickhouse.errors import QueryError
from deploy.local.clickhouse.native_blocks import reframe
from deploy.local.clickhouse.request import Ask, credentials, read_ask
from deploy.local.clickhouse.statement import Insert, Query, understand

T = TypeVar("T")
MAX_BODY_BYTES = 1 << 30
WORKERS = 8
STREAMED = frozenset({"Native", "JSONEachRow", "RowBinary", "TabSeparated", "CSV"})
"""Formats whose blocks can simply follow one another; others are answered whole."""
CONTENT_TYPES = {
    "TabSeparated": "text/tab-separated-values; charset=UTF-8",
    "CSV": "text/csv; charset=UTF-8; header=absent",
    "JSON": "application/json; charset=UTF-8",
    "JSONEachRow": "application/x-ndjson; charset=UTF-8",
}


@dataclass(frozen=True, slots=True)
class Server:
    """Handlers over one engine, for the user `default` with this password."""

    engine: Engine
    password: str
    workers: ThreadPoolExecutor

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Run the request's statement and answer as a ClickHouse server does, errors included."""
        try:
            self._authenticate(request)
            ask = await read_ask(request)
            statement = understand(ask.text)
            if isinstance(statement, Insert):
                return await self._insert(ask, statement)
            if statement.format in STREAMED and not ask.buffered:
                return await self._stream(request, ask, statement, statement.format)
            return await self._query(ask, statement)
        except UnicodeDecodeError:
            return failure(QueryError.named(62, "Syntax error: the query is not valid UTF-8.", "SYNTAX_ERROR"))
        except QueryError as error:
            return failure(error)

    def _authenticate(self, request: web.Request) -> None:
        """Raise `QueryError` unless the request carries the password."""
        presented = credentials(request)
        if presented is None and self.password:
            raise QueryError.named(194, "default: Authentication failed: password required.", "REQUIRED_PASSWORD")
        user, password = presented or ("default", "")
        known = hmac.compare_digest(password.encode(), self.password.encode())
        if user != "default" or not known:
            message = f"{user}: Authentication failed: password is incorrect, or there is no such user."
            raise QueryError.named(516, message, "AUTHENTICATION_FAILED")

    async def _insert(self, ask: Ask, insert: Insert) -> web.Response:
        run = partial(self.engine.insert, insert.target, insert.format, insert.data, ask.context)
        answer = await self._in_thread(run)
        return web.Response(headers=about(ask, None) | {"X-ClickHouse-Summary": summary(answer)})

    async def _query(self, ask: Ask, query: Query) -> web.Response:
        output_format = query.format or ask.default_format or "TabSeparated"
        answer = await self._in_thread(partial(self.engine.query, query.sql, output_format, ask.context))
        encoder = choose(ask.accept_encoding, enabled=ask.compressed)
        body = encoder.add(framed(answer.body, output_format, ask.client_revision)) + encoder.end()
        headers = about(ask, output_format, encoder) | {"X-ClickHouse-Summary": summary(answer)}
        return web.Response(body=body, headers=headers)

    async def _stream(self, request: web.Request, ask: Ask, query: Query, output_format: str) -> web.StreamResponse:
        blocks = self.engine.stream(query.sql, output_format, ask.context)
        try:
            block = await self._next(blocks)
            encoder, tag = choose(ask.accept_encoding, enabled=ask.compressed), secrets.token_hex(8)
            headers = about(ask, output_format, encoder) | {"X-ClickHouse-Exception-Tag": tag}
            response = web.StreamResponse(headers=CIMultiDict(headers))
            await response.prepare(request)
            try:
                while block is not None:
                    await response.write(encoder.add(framed(block, output_format, ask.client_revision)))
                    block = await self._next(blocks)
            except QueryError as error:
                await response.write(encoder.add(late_failure(error, tag)))
            await response.write(encoder.end())
            await response.write_eof()
            return response
        finally:
            await self._in_thread(partial(_close, blocks))

    async def _next(self, blocks: Iterator[bytes]) -> bytes | None:
        return await self._in_thread(partial(next, blocks, None))

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self.workers, work)


def create_app(engine: Engine, password: str) -> web.Application:
    """The whole server as an application; closing the engine is the caller's."""
    server = Server(engine, password, ThreadPoolExecutor(WORKERS, thread_name_prefix="query"))
    app = web.Application(client_max_size=MAX_BODY_BYTES)
    app.router.add_get("/ping", _ping)
    app.router.add_route("*", "/", server.answer)
    return app


def about(ask: Ask, output_format: str | None, encoder: Plain | None = None) -> dict[str, str]:
    """Headers of every answer."""
    headers = {
        "X-ClickHouse-Query-Id": ask.query_id,
        "X-ClickHouse-Timezone": "UTC",
        "X-ClickHouse-Server-Display-Name": "local",
    }
    if output_format:
        headers["X-ClickHouse-Format"] = output_format
        headers["Content-Type"] = CONTENT_TYPES.get(output_format, "application/octet-stream")
    if encoder is not None and encoder.encoding:
        headers["Content-Encoding"] = encoder.encoding
    return headers


def summary(answer: Answer) -> str:
    """What a statement took, as the header carries it: numbers in strings."""
    counts = {
        "read_rows": answer.read_rows,
        "read_bytes": answer.read_bytes,
        "written_rows": answer.written_rows,
        "written_bytes": answer.written_bytes,
        "elapsed_ns": round(answer.elapsed_s * 1e9),
    }
    return msgspec.json.encode({name: str(count) for name, count in counts.items()}).decode()


def framed(block: bytes, output_format: str, client_revision: int) -> bytes:
    """Native blocks in the framing of the client's revision; other formats have none."""
    return reframe(block, client_revision) if output_format == "Native" and client_revision else block


def failure(error: QueryError) -> web.Response:
    """An error before the first byte of the result."""
    headers = {"X-ClickHouse-Exception-Code": str(error.code)}
    if error.status == web.HTTPUnauthorized.status_code:
        headers["WWW-Authenticate"] = 'Basic realm="ClickHouse server HTTP API"'
    return web.Response(status=error.status, text=error.text + "\n", headers=headers)


def late_failure(error: QueryError, tag: str) -> bytes:
    """An error in the middle of a result, marked with the tag that the headers announced."""
    message = error.text + "\n"
    return f"\r\n__exception__\r\n{tag}\r\n{message}{len(message.encode())} {tag}\r\n__exception__\r\n".encode()


async def _ping(_request: web.Request) -> web.Response:
    return web.Response(text="Ok.\n")


def _close(blocks: Iterator[bytes]) -> None:
    close: Callable[[], None] | None = getattr(blocks, "close", None)
    if close is not None:
        close()
