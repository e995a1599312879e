"""A console served in the test's own loop, and what browsers and programs ask of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from services.adapters.keys import Role, new_key, write_keys
from services.adapters.web import listening
from services.console.app import build
from services.console.sessions import COOKIE
from services.console.settings import ConsoleSettings
from tests.integration.enforcing import SlowAggregator

WAIT_S = 60.0
NOWHERE = "http://default:@127.0.0.1:9/nothing"


@dataclass(frozen=True, slots=True)
class Tokens:
    """A viewer of each organization, and an admin of all."""

    path: Path
    acme: str
    other: str
    admin: str
    edge: str


def make_tokens(folder: Path) -> Tokens:
    """Keys, and the file that knows them."""
    made = [
        new_key(Role.VIEWER, "acme"),
        new_key(Role.VIEWER, "other"),
        new_key(Role.ADMIN, "*"),
        new_key(Role.EDGE, "acme"),
    ]
    path = folder / "keys.json"
    write_keys(path, [record for _, record in made])
    acme, other, admin, edge = (token for token, _ in made)
    return Tokens(path, acme, other, admin, edge)


def console_settings(broker: str, prefix: str, folder: Path, **more: Any) -> tuple[ConsoleSettings, Tokens]:
    """Settings of a console without a ClickHouse, unless one is named; and the keys that it knows."""
    tokens = make_tokens(folder)
    told = {"clickhouse": NOWHERE, "history_timeout_s": 5.0, **more}
    settings = ConsoleSettings(
        kafka=broker, topic_prefix=prefix, keys_file=tokens.path, data_dir=folder / "console", **told
    )
    return settings, tokens


@dataclass(frozen=True, slots=True)
class Told:
    """A server-sent event."""

    event: str
    id: str
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Console:
    """A console that is served."""

    app: web.Application
    session: aiohttp.ClientSession
    url: str

    async def get(self, path: str, token: str | None = None, **more: Any) -> tuple[int, str]:
        """Status and text, without following redirects."""
        async with self.session.get(self.url + path, headers=bearer(token), allow_redirects=False, **more) as response:
            return response.status, await response.text()

    async def json(self, path: str) -> Any:
        """The body of a system route."""
        return json.loads((await self.get(path))[1])

    async def sign_in(self, token: str) -> dict[str, str]:
        """The cookies of a browser that has signed in."""
        form, own = {"key": token, "next": "/"}, {"Sec-Fetch-Site": "same-origin"}
        async with self.session.post(f"{self.url}/sign-in", data=form, headers=own, allow_redirects=False) as response:
            assert response.status == 303, await response.text()
            return {COOKIE: response.cookies[COOKIE].value}

    async def ready(self) -> None:
        """Wait until it has read all there was."""
        async with asyncio.timeout(WAIT_S):
            while (await self.get("/readyz"))[0] != 200:
                await asyncio.sleep(0.05)

    @asynccontextmanager
    async def stream(self, query: str, token: str) -> AsyncIterator[AsyncIterator[Told]]:
        """Follow `/v1/live`."""
        async with self.session.get(f"{self.url}/v1/live?{query}", headers=bearer(token)) as response:
            assert response.status == 200, await response.text()
            yield events_of(response)


async def events_of(response: aiohttp.ClientResponse) -> AsyncIterator[Told]:
    """The events of a stream, comments and retries left out."""
    fields: dict[str, str] = {}
    async for line in response.content:
        name, _, value = line.decode().rstrip("\n").partition(": ")
        if name:
            fields[name] = value
        elif "event" in fields:
            yield Told(fields["event"], fields["id"], json.loads(fields["data"]))
            fields = {}


def bearer(token: str | None) -> dict[str, str]:
    """The headers of a program with a key."""
    return {} if token is None else {"Authorization": f"Bearer {token}"}


@asynccontextmanager
async def running_console(settings: ConsoleSettings, *, ready: bool = True) -> AsyncIterator[Console]:
    """Serve a console, ready unless told otherwise."""
    app = build(settings)
    jar, timeout = aiohttp.DummyCookieJar(), aiohttp.ClientTimeout(total=None, sock_read=WAIT_S)
    connector = aiohttp.TCPConnector(limit=0)
    async with (
        listening(app, settings) as port,
        aiohttp.ClientSession(cookie_jar=jar, timeout=timeout, connector=connector, read_bufsize=1 << 22) as session,
    ):
        console = Console(app, session, f"http://127.0.0.1:{port}")
        if ready:
            await console.ready()
        yield console


async def spend(aggregator: SlowAggregator, name: str, cost_usd: str, **whose: Any) -> None:
    """Report one request and have it counted."""
    usage = {
        "organization": "acme",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.usage.input_tokens": 10,
        "gen_ai.usage.output_tokens": 5,
        "cost_usd": cost_usd,
        **whose,
    }
    await aggregator.append(usage["organization"], "spendgate.usage.recorded.v1", name, usage)
    await aggregator.advance()
