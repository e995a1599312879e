"""Reads an HTTP request the way a ClickHouse server does: parameters, headers, forms and bodies."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from aiohttp import BasicAuth, BodyPartReader, web

from deploy.local.clickhouse.compression import decompress
from deploy.local.clickhouse.engine import Context
from deploy.local.clickhouse.errors import QueryError

DEFAULT_SESSION_TIMEOUT_S = 60.0
PARAMETER = "param_"
NOT_SETTINGS = frozenset(
    {
        "add_http_cors_header",
        "buffer_size",
        "cancel_http_readonly_queries_on_client_close",
        "client_protocol_version",
        "compress",
        "database",
        "decompress",
        "default_format",
        "enable_http_compression",
        "http_headers_progress_interval_ms",
        "http_write_exception_in_output_format",
        "http_zlib_compression_level",
        "network_compression_method",
        "password",
        "query",
        "query_id",
        "quota_key",
        "role",
        "send_progress_in_http_headers",
        "session_check",
        "session_id",
        "session_timeout",
        "user",
        "wait_end_of_query",
    }
)


@dataclass(frozen=True, slots=True)
class Ask:
    """One request, understood: the statement with its data, its surroundings, and how to answer."""

    text: bytes
    context: Context
    query_id: str
    default_format: str | None
    client_revision: int
    buffered: bool
    compressed: bool
    accept_encoding: str


async def read_ask(request: web.Request) -> Ask:
    """Understand a request. Raises `QueryError`."""
    values = dict(request.query)
    if request.content_type == "multipart/form-data":
        values |= await _form(request)
        body = b""
    else:
        body = decompress(await request.read(), request.headers.get("Content-Encoding"))
    _refuse_native_compression(values)
    query = values.get("query", "").encode()
    headers = request.headers
    return Ask(
        text=b"\n".join(part for part in (query, body) if part),
        context=_context(values, headers, readonly=request.method == "GET"),
        query_id=values.get("query_id") or str(uuid.uuid4()),
        default_format=values.get("default_format") or headers.get("X-ClickHouse-Format"),
        client_revision=_integer(values, "client_protocol_version"),
        buffered=values.get("wait_end_of_query") == "1",
        compressed=values.get("enable_http_compression") in ("1", "true"),
        accept_encoding=headers.get("Accept-Encoding", ""),
    )


def credentials(request: web.Request) -> tuple[str, str] | None:
    """User and password from Basic authentication, ClickHouse's own headers, or the query; None without any."""
    headers, query = request.headers, request.query
    if headers.get("Authorization", "").startswith("Basic "):
        try:
            basic = BasicAuth.decode(headers["Authorization"], encoding="utf-8")
        except ValueError as error:
            raise QueryError.named(516, "Authentication failed: malformed header.", "AUTHENTICATION_FAILED") from error
        return basic.login, basic.password
    if "X-ClickHouse-User" in headers or "X-ClickHouse-Key" in headers:
        return headers.get("X-ClickHouse-User", "default"), headers.get("X-ClickHouse-Key", "")
    if "user" in query or "password" in query:
        return query.get("user", "default"), query.get("password", "")
    return None


async def _form(request: web.Request) -> dict[str, str]:
    """Long queries and their parameters come as a form."""
    fields: dict[str, str] = {}
    async for part in await request.multipart():
        if not isinstance(part, BodyPartReader) or part.name is None or part.filename is not None:
            raise QueryError.named(48, "External tables are not supported here.", "NOT_IMPLEMENTED")
        fields[part.name] = await part.text()
    return fields


def _context(values: Mapping[str, str], headers: Mapping[str, str], *, readonly: bool) -> Context:
    own = {name: value for name, value in values.items() if name not in NOT_SETTINGS}
    session = values.get("session_id") or None
    return Context(
        database=values.get("database") or headers.get("X-ClickHouse-Database"),
        session=session,
        session_timeout_s=float(_integer(values, "session_timeout") or DEFAULT_SESSION_TIMEOUT_S),
        session_must_exist=values.get("session_check") == "1",
        readonly=readonly and session is None,
        settings={name: value for name, value in own.items() if not name.startswith(PARAMETER)},
        parameters={n.removeprefix(PARAMETER): value for n, value in own.items() if n.startswith(PARAMETER)},
    )


def _refuse_native_compression(values: Mapping[str, str]) -> None:
    if "1" in (values.get("compress"), values.get("decompress")):
        advice = "Use enable_http_compression=1 and Content-Encoding instead."
        raise QueryError.named(48, f"Native compressed frames are not supported here. {advice}", "NOT_IMPLEMENTED")


def _integer(values: Mapping[str, str], name: str) -> int:
    text = values.get(name) or "0"
    if not text.isdecimal():
        raise QueryError.named(36, f"Invalid value '{text}' of {name}", "BAD_ARGUMENTS")
    return int(text)
