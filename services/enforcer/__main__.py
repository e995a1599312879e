"""Starts the enforcer: `python -m services.enforcer`."""

from __future__ import annotations

import gc
import sys

import uvloop
from pydantic import ValidationError

from services.adapters import logs
from services.adapters.keys import KeysError
from services.adapters.settings import TlsError
from services.adapters.spool import SpoolError
from services.adapters.vital import FAILED, VitalTaskFailed
from services.adapters.web import serve
from services.enforcer.app import build
from services.enforcer.gateway.serving import MissingExtra
from services.enforcer.settings import EnforcerSettings

COLLECT_AFTER = (20_000, 20, 20)
"""Allocations between collections: by the interpreter's own 700, what is reserved is walked through again and again."""


async def run(settings: EnforcerSettings) -> None:
    """Serve until SIGTERM."""
    await serve(build(settings), settings)


def main() -> int:
    """The exit status: 2 when the operator has something to put right, 3 when it broke and is to be started again."""
    try:
        settings = EnforcerSettings()
    except ValidationError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    logs.configure("enforcer", settings.log_level)
    gc.set_threshold(*COLLECT_AFTER)
    try:
        uvloop.run(run(settings))
    except (KeysError, MissingExtra, SpoolError, TlsError, OSError) as error:
        logs.logger(__name__).error("cannot start", reason=str(error))
        return 2
    except VitalTaskFailed:
        return FAILED
    return 0


if __name__ == "__main__":
    sys.exit(main())
