"""The HTTP shell of every service: the gate before each handler, the system routes, bodies, TLS, and a clean end."""

from __future__ import annotations

import asyncio
import gzip
import json
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from services.adapters.keys import Keyring, Role, new_key
from services.adapters.metrics import Metrics
from services.adapters.openapi import document
from services.adapters.settings import Settings, TlsError
from services.adapters.web import PRINCIPAL, Readiness, add_route, create_app, listening, require_organization
from services.adapters.web_body import gunzip, read_body
from services.adapters.web_errors import ApiError, json_response

EDGE, EDGE_RECORD = new_key(Role.EDGE, "acme")
ADMIN, ADMIN_RECORD = new_key(Role.ADMIN, "*")
TOKENS = {"edge": EDGE, "admin": ADMIN}
LARGEST_BODY = 1000


class Doors:
    """Handlers to knock at. `released` lets those go that wait."""

    def __init__(self) -> None:
        self.ready = True
        self.entered = asyncio.Event()
        self.released = asyncio.Event()

    async def echo(self, request: web.Request) -> web.Response:
        body = await read_body(request)
        return json_response({"bytes": len(body), "key": request[PRINCIPAL].role})

    async def own(self, request: web.Request) -> web.Response:
        require_organization(request[PRINCIPAL], request.match_info["organization"])
        return json_response({})

    async def broken(self, _request: web.Request) -> web.Response:
        raise RuntimeError("a secret detail")

    async def refusing(self, _request: web.Request) -> web.Response:
        raise ApiError(409, "taken", "somebody has it", field="name", headers={"X-Why": "so"}, detail={"holder": "bob"})

    async def slow(self, _request: web.Request) -> web.Response:
        self.entered.set()
        await self.released.wait()
        return json_response({"done": True})

    def app(self) -> web.Application:
        app = create_app(
            "test",
            keyring=Keyring.of([EDGE_RECORD, ADMIN_RECORD]),
            readiness=lambda: Readiness(self.ready, {"lag": 7}),
            openapi=document(title="test", description="", paths={}),
            metrics=Metrics(process=False),
            max_body_bytes=LARGEST_BODY,
        )
        add_route(app, "POST", "/echo", self.echo, roles=[Role.EDGE])
        add_route(app, "PUT", "/echo", self.echo, roles=[])
        add_route(app, "GET", "/of/{organization}", self.own, roles=[Role.EDGE])
        add_route(app, "GET", "/broken", self.broken, roles=None)
        add_route(app, "GET", "/refusing", self.refusing, roles=None)
        add_route(app, "GET", "/slow", self.slow, roles=None)
        return app


@asynccontextmanager
async def knocking(doors: Doors, **settings: Any) -> AsyncIterator[aiohttp.ClientSession]:
    async with (
        listening(doors.app(), Settings(**settings)) as port,
        aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session,
    ):
        yield session


async def knock(
    session: aiohttp.ClientSession, method: str, path: str, *, token: str = "", data: bytes = b"", **headers: str
) -> tuple[int, Any, Any]:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    if token:
        sent["Authorization"] = f"Bearer {token}"
    async with session.request(method, path, data=data, headers=sent) as response:
        return response.status, json.loads(await response.read() or b"null"), response.headers


@pytest.mark.parametrize(
    ("method", "token", "status"),
    [
        ("POST", "edge", 200),
        ("POST", "admin", 200),
        ("PUT", "admin", 200),
        ("PUT", "edge", 403),
        ("POST", "", 401),
        ("POST", "sg_edge_unknown", 401),
        ("POST", "\u00e9\u4e16", 401),
    ],
)
async def test_the_gate_knows_who_may_enter(method: str, token: str, status: int) -> None:
    async with knocking(Doors()) as session:
        answered, body, _ = await knock(session, method, "/echo", token=TOKENS.get(token, token))
    assert answered == status
    assert ("error" in body) == (status != 200)


@pytest.mark.parametrize("header", ["Basic {}", "Bearer", "bearer ", "{}", "Bearer x{}", "Bearer {} {}"])
async def test_other_authorization_headers_do_not_open(header: str) -> None:
    header = header.format(EDGE, EDGE)
    async with knocking(Doors()) as session:
        status, body, headers = await knock(session, "POST", "/echo", Authorization=header)
    assert (status, body["error"]["code"]) == (401, "invalid_api_key")
    assert headers["WWW-Authenticate"] == 'Bearer realm="spendgate"'


async def test_the_scheme_is_read_in_any_case() -> None:
    async with knocking(Doors()) as session:
        assert (await knock(session, "POST", "/echo", Authorization=f"bearer  {EDGE}"))[0] == 200


async def test_a_key_opens_its_own_organization_only() -> None:
    async with knocking(Doors()) as session:
        assert (await knock(session, "GET", "/of/acme", token=EDGE))[0] == 200
        assert (await knock(session, "GET", "/of/globex", token=ADMIN))[0] == 200
        status, body, _ = await knock(session, "GET", "/of/globex", token=EDGE)
    assert (status, body["error"]["code"], body["error"]["field"]) == (403, "other_organization", "organization")


async def test_a_refusal_says_everything_it_was_given() -> None:
    async with knocking(Doors()) as session:
        status, body, headers = await knock(session, "GET", "/refusing")
    error = {"type": "conflict", "code": "taken", "message": "somebody has it", "field": "name"}
    assert (status, body, headers["X-Why"]) == (409, {"error": error, "holder": "bob"}, "so")


async def test_a_defect_is_answered_without_its_details_and_counted() -> None:
    async with knocking(Doors()) as session:
        status, body, _ = await knock(session, "GET", "/broken")
        async with session.get("/metrics") as response:
            metrics = await response.text()
    assert (status, body["error"]["type"]) == (500, "internal")
    assert "secret" not in json.dumps(body)
    assert 'spendgate_http_failures_total{route="/broken"} 1.0' in metrics
    assert 'spendgate_http_requests_total{route="/broken",status="500"} 1.0' in metrics
    assert 'spendgate_http_request_seconds_count{route="/broken"} 1.0' in metrics


@pytest.mark.parametrize(
    ("method", "path", "status", "code", "allow"),
    [
        ("GET", "/nowhere", 404, "no_such_route", None),
        ("POST", "/of/acme/more", 404, "no_such_route", None),
        ("GET", "/echo", 405, "method_not_allowed", "POST, PUT"),
        ("DELETE", "/of/acme", 405, "method_not_allowed", "GET"),
        ("POST", "/healthz", 405, "method_not_allowed", "GET"),
    ],
)
async def test_what_is_not_there_is_refused_in_our_words(
    method: str, path: str, status: int, code: str, allow: str | None
) -> None:
    async with knocking(Doors()) as session:
        answered, body, headers = await knock(session, method, path, token=ADMIN)
    assert (answered, body["error"]["code"], headers.get("Allow")) == (status, code, allow)


async def test_readiness_is_the_services_own() -> None:
    doors = Doors()
    async with knocking(doors) as session:
        assert (await knock(session, "GET", "/readyz"))[:2] == (200, {"ready": True, "lag": 7})
        doors.ready = False
        assert (await knock(session, "GET", "/readyz"))[:2] == (503, {"ready": False, "lag": 7})
        assert (await knock(session, "GET", "/healthz"))[0] == 200


async def test_requests_in_flight_are_finished_before_the_end() -> None:
    doors = Doors()
    async with aiohttp.ClientSession() as session:
        async with listening(doors.app(), Settings()) as port:
            pending = asyncio.create_task(knock(session, "GET", f"http://127.0.0.1:{port}/slow"))
            await doors.entered.wait()
            asyncio.get_running_loop().call_later(0.05, doors.released.set)
        assert (await pending)[:2] == (200, {"done": True})


async def test_the_port_file_names_the_port(tmp_path: Path) -> None:
    async with knocking(Doors(), port_file=tmp_path / "port") as session:
        port = (tmp_path / "port").read_text()
        assert (await knock(session, "GET", f"http://127.0.0.1:{port}/healthz"))[0] == 200


@pytest.mark.parametrize(
    ("data", "encoding", "status", "answer"),
    [
        (b"a" * LARGEST_BODY, None, 200, LARGEST_BODY),
        (b"a" * (LARGEST_BODY + 1), None, 413, "body_too_large"),
        (gzip.compress(b"a" * LARGEST_BODY), "gzip", 200, LARGEST_BODY),
        (gzip.compress(b"a" * (LARGEST_BODY + 1)), "gzip", 413, "body_too_large"),
        (gzip.compress(b"a" * 600) * 2, "gzip", 413, "body_too_large"),
        (gzip.compress(b"abc"), "GZIP", 200, 3),
        (b"abc", "identity", 200, 3),
        (b"abc", "deflate", 415, "unsupported_encoding"),
        (b"", "gzip", 200, 0),
        (gzip.compress(b"abc") + b"trailing", "gzip", 400, "invalid_gzip"),
    ],
    ids=lambda value: f"{len(value)} bytes" if isinstance(value, bytes) else str(value),
)
async def test_bodies_are_read_within_a_bound(data: bytes, encoding: str | None, status: int, answer: Any) -> None:
    headers = {"Content_Encoding": encoding} if encoding else {}
    async with knocking(Doors()) as session:
        answered, body, _ = await knock(session, "POST", "/echo", token=EDGE, data=data, **headers)
    assert answered == status
    assert (body["bytes"] if status == 200 else body["error"]["code"]) == answer


async def test_a_chunked_body_without_a_length_is_bounded_too() -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"a" * 100

    async with (
        knocking(Doors()) as session,
        session.post("/echo", data=endless(), headers={"Authorization": f"Bearer {EDGE}"}) as response,
    ):
        assert response.status == 413


@given(st.lists(st.binary(max_size=300), max_size=5))
def test_gzip_in_any_number_of_members_is_the_whole(parts: list[bytes]) -> None:
    compressed = b"".join(map(gzip.compress, parts))
    assert gunzip(compressed, 2000) == b"".join(parts)


def make_certificates(folder: Path) -> None:
    """An authority, and a server's and a client's certificate signed by it."""

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    new = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    openssl(*new, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=test authority",
            "-addext", "keyUsage=critical,keyCertSign")  # fmt: skip
    for name in ("server", "client"):
        openssl(*new, "-keyout", f"{name}.key", "-out", f"{name}.pem", "-subj", f"/CN={name}", "-CA", "ca.pem",
                "-CAkey", "ca.key", "-addext", "subjectAltName=IP:127.0.0.1",
                "-addext", "basicConstraints=critical,CA:FALSE")  # fmt: skip


async def test_tls_and_client_certificates_are_asked_for_when_configured(tmp_path: Path) -> None:
    make_certificates(tmp_path)
    files: dict[str, Any] = {"tls_certificate": tmp_path / "server.pem", "tls_key": tmp_path / "server.key"}
    trusting = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
    known = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
    known.load_cert_chain(tmp_path / "client.pem", tmp_path / "client.key")

    async def answers(port: int, context: ssl.SSLContext) -> bool:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session:
            try:
                async with session.get(f"https://127.0.0.1:{port}/healthz") as response:
                    return response.status == 200
            except aiohttp.ClientError:
                return False

    async with listening(Doors().app(), Settings(**files)) as port:
        assert await answers(port, trusting)
        assert not await answers(port, ssl.create_default_context())
    async with listening(Doors().app(), Settings(**files, tls_client_ca=tmp_path / "ca.pem")) as port:
        assert await answers(port, known)
        assert not await answers(port, trusting)


def test_certificates_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    with pytest.raises(TlsError, match=r"missing\.pem.*SPENDGATE_TLS_"):
        Settings(tls_certificate=tmp_path / "missing.pem").tls()
