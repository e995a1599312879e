"""The listening side of HTTP: aiohttp's own, but that each connection begins with the shortcut."""

from __future__ import annotations

import asyncio
from ssl import SSLContext
from typing import Any, Final

from aiohttp import web

from services.adapters.shortcut import Routes, Shortcut

BACKLOG: Final = 1_024
# No access log, and bodies stay compressed: see `web_body.read_body`.
HANDLING: Final[dict[str, Any]] = {"access_log": None, "auto_decompress": False}


class Site(web.BaseSite):
    """Listens on a TCP port for a runner that was made with `HANDLING`."""

    __slots__ = ("_body_bytes_max", "_host", "_port", "_routes")

    def __init__(
        self,
        runner: web.AppRunner,
        host: str,
        port: int,
        routes: Routes,
        *,
        body_bytes_max: int,
        ssl_context: SSLContext | None = None,
    ) -> None:
        super().__init__(runner, ssl_context=ssl_context, backlog=BACKLOG)
        self._host, self._port, self._routes, self._body_bytes_max = host, port, routes, body_bytes_max

    @property
    def name(self) -> str:
        """Where it listens."""
        return f"{'http' if self._ssl_context is None else 'https'}://{self._host}:{self._port}"

    async def start(self) -> None:
        """Listen. Raises `OSError` when the port is taken."""
        await super().start()
        server, loop = self._runner.server, asyncio.get_running_loop()
        assert server is not None, "the runner has been set up"

        def connection() -> Shortcut:
            return Shortcut(server, self._routes, body_bytes_max=self._body_bytes_max, loop=loop, **HANDLING)

        self._server = await loop.create_server(
            connection, self._host, self._port, ssl=self._ssl_context, backlog=self._backlog
        )
