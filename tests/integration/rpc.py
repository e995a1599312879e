"""A bare client of the RPC, as one would write it from the README: frames by hand, nothing hidden."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import msgspec


@dataclass(slots=True)
class Wire:
    """One connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    last_id: int = 0

    def send(self, method: str, body: Any) -> int:
        """Send a call; its id."""
        self.last_id += 1
        self.write(msgspec.msgpack.encode({"id": self.last_id, "method": method, "body": body}))
        return self.last_id

    def write(self, payload: bytes) -> None:
        """Send a frame with anything in it."""
        self.writer.write(struct.pack(">I", len(payload)) + payload)

    async def hear(self) -> dict[str, Any]:
        """The next answer. Raises `IncompleteReadError` once the enforcer has closed the connection."""
        (size,) = struct.unpack(">I", await self.reader.readexactly(4))
        return cast(dict[str, Any], msgspec.msgpack.decode(await self.reader.readexactly(size)))

    async def call(self, method: str, body: Any) -> tuple[int, dict[str, Any]]:
        """Send a call and take its answer, the next one to come."""
        call_id = self.send(method, body)
        answer = await self.hear()
        assert answer["id"] == call_id
        return answer["status"], answer["body"]

    async def is_closed(self) -> bool:
        """Whether the enforcer closes the connection, and says nothing more."""
        try:
            return await self.reader.read() == b""
        except ConnectionResetError:
            return True


@asynccontextmanager
async def wire(path: Path, token: str | None = None) -> AsyncIterator[Wire]:
    """A connection over a Unix socket, which has said hello if it was given a key."""
    reader, writer = await asyncio.open_unix_connection(path)
    try:
        found = Wire(reader, writer)
        if token is not None:
            status, _ = await found.call("hello", {"version": 1, "key": token})
            assert status == 200
        yield found
    finally:
        writer.transport.abort()  # a flood that is not read would keep it open
        await asyncio.sleep(0)
