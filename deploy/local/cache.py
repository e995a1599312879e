"""Where downloads are kept between runs, and how two runs on one machine share them."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class SetupError(Exception):
    """The machine lacks something; the message says what, and how to get it."""


def cache_dir() -> Path:
    """`$SPENDGATE_CACHE`, or `~/.cache/spendgate`."""
    configured = os.environ.get("SPENDGATE_CACHE")
    return Path(configured) if configured else Path.home() / ".cache" / "spendgate"


@contextmanager
def exclusive(folder: Path) -> Iterator[Path]:
    """Hold `folder` alone, so that two runs do not fill it at once. Blocks until it is free."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder
