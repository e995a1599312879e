"""A server on a real socket that speaks the RPC's frames and otherwise does what a test tells it to."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

WELCOME = {"version": 1, "enforcer": "e", "role": "edge", "organization": "acme", "frame_bytes_max": 65_792}


@dataclass(slots=True)
class Peer:
    """The server's end of one connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def hear(self) -> dict[str, Any]:
        """The next call."""
        (size,) = struct.unpack(">I", await self.reader.readexactly(4))
        call: dict[str, Any] = msgspec.msgpack.decode(await self.reader.readexactly(size))
        return call

    def answer(self, call: dict[str, Any] | int, body: Any, status: int = 200) -> None:
        """Answer a call."""
        call_id = call if isinstance(call, int) else call["id"]
        payload = msgspec.msgpack.encode({"id": call_id, "status": status, "body": body})
        self.writer.write(struct.pack(">I", len(payload)) + payload)

    def refuse(self, call: dict[str, Any] | int, status: int, code: str) -> None:
        """Answer a call with an error."""
        self.answer(call, {"error": {"type": "x", "code": code, "message": code}}, status)

    async def greet(self) -> None:
        """Take the client's hello."""
        self.answer(await self.hear(), WELCOME)


Script = Callable[[Peer], Awaitable[None]]


@asynccontextmanager
async def scripted(path: Path, script: Script) -> AsyncIterator[str]:
    """Serve every connection by the script, then close it; the address."""
    failures: list[BaseException] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await script(Peer(reader, writer))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client left
        except BaseException as error:
            failures.append(error)
            raise
        finally:
            writer.close()

    server = await asyncio.start_unix_server(serve, path)
    try:
        yield f"unix://{path}"
    finally:
        server.close()
    assert not failures


def decided(call: dict[str, Any], reservation: str = "rsv-1") -> dict[str, Any]:
    """A decision as an enforcer would send it, with fields that no client knows yet."""
    ask = call["body"]
    return {
        "decision": f"dec-{ask['input_tokens']}",
        "action": "allow",
        "reason": "within_budget",
        "organization": ask["organization"],
        "model": ask["model"],
        "input_tokens": ask["input_tokens"],
        "reservation": {"id": reservation, "estimate_usd": "0.01", "expires_at": "2026-11-24T00:00:00Z"},
        "invented_tomorrow": {"a": [1]},
    }
