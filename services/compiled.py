"""Puts compiled modules in front of their sources, if they were made of exactly these sources.

`python -m deploy.compile` makes them, with mypyc: the same code, several times as fast. Where they are missing, or
older than the sources, the sources run as they are; `SPENDGATE_PURE=1` asks for that.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from hashlib import sha256
from importlib.abc import MetaPathFinder
from importlib.machinery import EXTENSION_SUFFIXES, ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Final

ROOT: Final = Path(__file__).parents[1]
BUILT: Final = ROOT / "build" / "compiled"
LIBRARY: Final = "spendgate__mypyc"
"""What all compiled modules share."""

MODULES: Final = (
    "schemas.frames",
    "services.adapters.clock",
    "services.adapters.ledger_clock",
    "services.adapters.meter",
    *(
        f"services.core.{name}"
        for name in (
            "decide",
            "estimate",
            "explain",
            "fallback",
            "guard",
            "headroom",
            "judge",
            "money",
            "pacing",
            "policy",
            "price_dates",
            "price_table",
            "pricing",
            "reservation",
            "route",
            "scope",
            "standing",
        )
    ),
    *(
        f"services.enforcer.{name}"
        for name in (
            "closings",
            "desk",
            "directory",
            "engine",
            "lease",
            "mint",
            "pending",
            "recent",
            "registry",
            "reservations",
            "review",
            "rpc.calls",
            "rpc.connection",
            "standings",
            "wants",
        )
    ),
)
"""What a check runs through. Structs of msgspec cannot be compiled, so modules that define some are left alone."""

# The compiler takes constants over from modules that it does not compile.
_READ: Final = ("schemas", "services/adapters", "services/core", "services/enforcer")


class Compiled(MetaPathFinder):
    """Finds compiled modules in a folder."""

    def __init__(self, folder: Path) -> None:
        self._files = {name: path_of(name, folder) for name in (*MODULES, LIBRARY)}

    def find_spec(self, name: str, _path: Sequence[str] | None, _target: ModuleType | None = None) -> ModuleSpec | None:
        """Where a compiled module is; None for any other."""
        file = self._files.get(name)
        return None if file is None else spec_from_file_location(name, file)


def prefer() -> None:
    """Have compiled modules imported from now on, if there are any of these sources."""
    if os.environ.get("SPENDGATE_PURE", "") in ("", "0") and is_made(folder := BUILT / digest()):
        sys.meta_path.insert(0, Compiled(folder))


def is_made(folder: Path) -> bool:
    """Whether a folder has been filled."""
    return path_of(LIBRARY, folder).exists()


def is_in_use() -> bool:
    """Whether this process runs compiled modules."""
    return any(isinstance(finder, Compiled) for finder in sys.meta_path)


def digest() -> str:
    """Names the sources, and the Python that they are compiled for."""
    found = sha256(EXTENSION_SUFFIXES[0].encode())
    for path in sources():
        found.update(path.name.encode())
        found.update(path.read_bytes())
    return found.hexdigest()[:16]


def sources() -> Iterator[Path]:
    """Every file that what is compiled depends on."""
    yield Path(__file__)
    for folder in _READ:
        yield from sorted((ROOT / folder).rglob("*.py"))


def path_of(name: str, folder: Path) -> Path:
    """Where in a folder a compiled module is."""
    return folder / (name.replace(".", "/") + EXTENSION_SUFFIXES[0])
