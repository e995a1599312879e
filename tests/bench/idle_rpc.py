"""The floor of the RPC bench: the enforcer's own connection, behind which every check is answered with fixed bytes."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine, Mapping
from pathlib import Path

import msgspec
import uvloop

from schemas.rpc import VERSION, Welcome
from services.adapters.keys import Principal, Role
from services.adapters.metrics import Metrics
from services.core.ask import Ask
from services.enforcer.rpc.calls import Answer, Method
from services.enforcer.rpc.connection import Connection
from services.enforcer.rpc.meters import Meters
from services.enforcer.rpc.unix import listen


class IdleCalls:
    """Calls that do nothing."""

    def __init__(self, answer: bytes) -> None:
        self._methods: Mapping[str, Method] = {"check": lambda _principal, _body: answer}

    def welcome(self, _body: msgspec.Raw, frame_bytes_max: int) -> tuple[Principal, Welcome]:
        """Everybody."""
        return Principal("key", Role.EDGE, "*"), Welcome(VERSION, "idle", "edge", "*", frame_bytes_max)

    def methods_for(self, _principal: Principal) -> Mapping[str, Method]:
        """All."""
        return self._methods

    def read_check(self, _frame: bytes) -> None:
        """Nobody reads what is asked."""

    def decide(self, _principal: Principal, _ask: Ask) -> Answer:
        """Nothing is ever decided."""
        raise NotImplementedError

    def require_allowed(self, _principal: Principal, _method: str) -> None:
        """Everything."""


class IdleHouse:
    """A server without an enforcer."""

    draining = False
    frame_bytes_max = 65_792

    def __init__(self, answer: bytes) -> None:
        self.calls = IdleCalls(answer)
        self.meters = Meters(Metrics(), ["check"])

    def joined(self, connection: Connection) -> None:
        """A connection was made."""

    def left(self, connection: Connection) -> None:
        """A connection was lost."""

    def spawn(self, _work: Coroutine[None, None, None]) -> None:
        """Nothing takes longer."""


async def serve(answer: bytes, path: Path) -> None:
    """Serve until killed."""
    house = IdleHouse(answer)
    await asyncio.get_running_loop().create_unix_server(lambda: Connection(house), sock=listen(path))
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve(Path(sys.argv[1]).read_bytes(), Path(sys.argv[2])))
