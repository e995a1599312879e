"""Where an enforcer listens: `unix:///run/spendgate.sock`, `tcp://host:port` or `tls://host:port`."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urlsplit

ProtocolT = TypeVar("ProtocolT", bound=asyncio.Protocol)


@dataclass(frozen=True, slots=True)
class Address:
    """A Unix path, or a host and port with or without TLS."""

    path: str = ""
    host: str = ""
    port: int = 0
    tls: ssl.SSLContext | None = None

    @classmethod
    def parse(cls, text: str, tls: ssl.SSLContext | None = None) -> Address:
        """Read an address; `tls` replaces the default context of `tls://`. Raises `ValueError`."""
        parts = urlsplit(text)
        if parts.scheme == "unix" and parts.path and not parts.netloc:
            return cls(path=parts.path)
        if parts.scheme in ("tcp", "tls") and parts.hostname and parts.port and not parts.path:
            context = tls or ssl.create_default_context() if parts.scheme == "tls" else None
            return cls(host=parts.hostname, port=parts.port, tls=context)
        raise ValueError(f"{text!r} is no address: write unix:///path, tcp://host:port or tls://host:port")

    async def dial(self, factory: Callable[[], ProtocolT]) -> ProtocolT:
        """Connect. Raises `OSError`."""
        loop = asyncio.get_running_loop()
        if self.path:
            return (await loop.create_unix_connection(factory, self.path))[1]
        return (await loop.create_connection(factory, self.host, self.port, ssl=self.tls))[1]
