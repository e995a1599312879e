"""Listens where the settings say, for as long as the enforcer's application runs, and drains when it stops."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Final

from aiohttp import web

from schemas.rpc import ENVELOPE_BYTES
from services.adapters import logs
from services.adapters.keys import Keyring
from services.adapters.metrics import Metrics
from services.enforcer.desk import Desk
from services.enforcer.rpc.calls import Calls
from services.enforcer.rpc.connection import Connection
from services.enforcer.rpc.meters import Meters
from services.enforcer.rpc.unix import BACKLOG, listen
from services.enforcer.settings import EnforcerSettings

FAREWELL_S: Final = 0.5
"""How long a client is given to close an idle connection itself once it was told to go."""
log = logs.logger(__name__)


class RpcServer:
    """Both listeners, Unix and TCP, and their connections."""

    def __init__(self, settings: EnforcerSettings, desk: Desk, keyring: Keyring, metrics: Metrics) -> None:
        self._settings = settings
        self.calls = Calls(desk, keyring)
        self.meters = Meters(metrics, self.calls.methods)
        self.frame_bytes_max = settings.max_body_bytes + ENVELOPE_BYTES
        self.draining = False
        self._connections: set[Connection] = set()
        self._empty = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._listeners: list[asyncio.Server] = []
        self._inode: tuple[Path, int] | None = None
        self.meters.connections.set_function(lambda: len(self._connections))

    def add_to(self, app: web.Application) -> None:
        """Serve while the application runs. Add it after what the calls need: it then stops before that."""
        app.on_shutdown.append(self._drain)
        app.cleanup_ctx.append(self._serving)

    def joined(self, connection: Connection) -> None:
        """A connection was made."""
        self._connections.add(connection)
        self._empty.clear()

    def left(self, connection: Connection) -> None:
        """A connection was lost."""
        self._connections.discard(connection)
        if not self._connections:
            self._empty.set()

    def spawn(self, work: Coroutine[None, None, None]) -> None:
        """Run something to its end, also when its connection is lost."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serving(self, _app: web.Application) -> AsyncIterator[None]:
        await self._listen()
        yield
        self._stop_listening()
        await self._finish()

    async def _listen(self) -> None:
        loop, settings = asyncio.get_running_loop(), self._settings
        if settings.rpc_socket is not None:
            listener = listen(settings.rpc_socket)
            self._inode = settings.rpc_socket, settings.rpc_socket.stat().st_ino
            self._listeners.append(await loop.create_unix_server(lambda: Connection(self), sock=listener))
            log.info("rpc listening", socket=str(settings.rpc_socket))
        if settings.rpc_port:
            server = await loop.create_server(
                lambda: Connection(self), settings.host, settings.rpc_port, ssl=settings.tls(), backlog=BACKLOG
            )
            self._listeners.append(server)
            log.info("rpc listening", host=settings.host, port=settings.rpc_port)

    async def _drain(self, _app: web.Application) -> None:
        """Take nothing new, and tell every client so. The application waits for its HTTP requests meanwhile."""
        self.draining = True
        self._stop_listening()
        for connection in list(self._connections):
            connection.say_goodbye()

    def _stop_listening(self) -> None:
        if self._inode is not None:
            path, inode = self._inode
            self._inode = None
            with suppress(FileNotFoundError):
                if path.stat().st_ino == inode:  # not one that a successor made
                    path.unlink()
        while self._listeners:
            self._listeners.pop().close()

    async def _finish(self) -> None:
        """Let what waits be answered, within the time to drain, and clients close; then close."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=self._settings.drain_s)
        for end in (Connection.close, Connection.abort):
            if self._connections:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._empty.wait(), FAREWELL_S)
            for connection in list(self._connections):
                end(connection)
