"""Tiny programs that behave well or badly, for tests of what runs them."""

from __future__ import annotations

import sys
from pathlib import Path

from deploy.local.process import Program

SERVES = "import pathlib, signal; pathlib.Path({ready!r}).touch(); signal.pause()"
STUBBORN = "import pathlib, signal; signal.signal(15, signal.SIG_IGN); pathlib.Path({ready!r}).touch(); signal.pause()"
BROKEN = "import sys; print('the disk is on fire'); sys.exit(7)"
SLOW = "import signal; signal.pause()"


def python_program(folder: Path, source: str, **limits: float) -> Program:
    """A program from Python source; it is ready once it has made the file `{ready}`."""
    ready = folder / "ready"

    async def exists() -> bool:
        return ready.exists()

    command = (sys.executable, "-c", source.format(ready=str(ready)))
    return Program("program", command, folder / "program.log", exists, **limits)  # type: ignore[arg-type]
