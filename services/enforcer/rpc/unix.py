"""A listening Unix socket that only its owner may use, in place of one that a dead process left behind."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path
from typing import Final

BACKLOG: Final = 1_024
PATH_BYTES_MAX: Final = 107
"""Linux keeps the path of a socket in 108 bytes, the last of them zero."""


class SocketPathError(OSError):
    """The path of the Unix socket cannot be used; the message says why and what to do."""


def listen(path: Path) -> socket.socket:
    """Listen at a path, mode 0600. Raises `SocketPathError`, and `OSError` for a folder that cannot be written."""
    if len(os.fsencode(path)) > PATH_BYTES_MAX:
        raise SocketPathError(f"SPENDGATE_RPC_SOCKET is longer than {PATH_BYTES_MAX} bytes: {path}")
    _remove_stale(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)  # never open to others, not even between bind and chmod
    try:
        listener.bind(str(path))
    except OSError:
        listener.close()
        raise
    finally:
        os.umask(before)
    listener.listen(BACKLOG)
    listener.setblocking(False)
    return listener


def _remove_stale(path: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise SocketPathError(f"SPENDGATE_RPC_SOCKET names {path}, which is no socket: name another path")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            return
        except BlockingIOError:
            pass  # its queue is full: somebody lives there
    raise SocketPathError(f"another process listens at {path}: name another path in SPENDGATE_RPC_SOCKET")
