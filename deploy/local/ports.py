"""Ports that nobody uses, below the range that the system hands to outgoing connections.

A process that was killed must find its port free when it returns; an ephemeral one may have been lent out meanwhile.
"""

from __future__ import annotations

import json
import secrets
import socket
from collections.abc import Mapping
from pathlib import Path

LOWEST, HIGHEST = 20_000, 32_000


def free_port() -> int:
    """A port of loopback that can be listened on now."""
    while True:
        port = LOWEST + secrets.randbelow(HIGHEST - LOWEST)
        if is_free(port):
            return port


def is_free(port: int) -> bool:
    """Whether a server could listen on this port of loopback."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


class Ports:
    """The port of each process: the one asked for, else the one it had last time, else any free one."""

    def __init__(self, file: Path, wanted: Mapping[str, int]) -> None:
        self._file = file
        self._wanted = wanted
        self._last: dict[str, int] = json.loads(file.read_text()) if file.exists() else {}

    def of(self, name: str) -> int:
        """The port of a process, remembered for the next start."""
        last = self._last.get(name, 0)
        port = self._wanted.get(name, 0) or (last if last and is_free(last) else free_port())
        if port != last:
            self._last[name] = port
            self._file.write_text(json.dumps(self._last, indent=2) + "\n")
        return port
