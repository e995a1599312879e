"""A real HTTP receiver that takes, fails, hangs and redirects as it is told, and remembers what it was sent."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web


@dataclass(slots=True)
class Receiver:
    """`script`: what the next requests are answered with, in order; then everything is taken.

    An answer is a status, a status with headers, `hang`, or `trickle`: it is taken, and the body never comes.
    """

    url: str = ""
    script: list[Any] = field(default_factory=list)
    requests: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    taken: list[str] = field(default_factory=list)
    """The idempotency keys of what was answered with 200."""
    lives: int = 0
    """How often the sender has been killed so far."""
    _taken_in: list[tuple[str, int]] = field(default_factory=list)
    _arrived: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def keys(self) -> Sequence[str]:
        """The idempotency keys of all that came."""
        return [headers.get("Idempotency-Key", "") for headers, _ in self.requests]

    def doubled(self) -> list[str]:
        """What one life of the sender sent again although it had been taken, or sent again a second time."""
        return [key for (key, _), count in Counter(self._taken_in).items() if count > 1]

    async def until(self, count: int, within_s: float = 60.0) -> None:
        """Return once so many requests were taken."""
        async with asyncio.timeout(within_s):
            while len(self.taken) < count:
                self._arrived.clear()
                await self._arrived.wait()

    async def _handle(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.requests.append((dict(request.headers), body))
        answer = self.script.pop(0) if self.script else 200
        if answer == "hang":
            await asyncio.sleep(3600)
        status, headers = answer if isinstance(answer, tuple) else (200 if answer == "trickle" else answer, {})
        if status == 200:
            key = request.headers.get("Idempotency-Key", "")
            self.taken.append(key)
            self._taken_in.append((key, self.lives))
        self._arrived.set()
        if answer == "trickle":
            response = web.StreamResponse(status=200)
            await response.prepare(request)
            await asyncio.sleep(3600)
        return web.Response(status=status, headers=headers)


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """A receiver on a port of its own."""
    receiver = Receiver()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", receiver._handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    try:
        yield receiver
    finally:
        await runner.cleanup()
