"""Start the console: `python -m services.console`."""

from __future__ import annotations

import sys

import uvloop

from services.adapters import logs
from services.adapters.keys import KeysError
from services.adapters.settings import TlsError
from services.adapters.vital import FAILED, VitalTaskFailed
from services.adapters.web import serve
from services.console.app import build
from services.console.settings import ConsoleSettings

log = logs.logger(__name__)


async def run(settings: ConsoleSettings) -> None:
    """Serve until SIGTERM."""
    await serve(build(settings), settings)


def main() -> int:
    """The exit code: 1 when an operator has to mend something first, with advice in the log; 3 when it broke."""
    settings = ConsoleSettings()
    logs.configure("console", settings.log_level)
    try:
        uvloop.run(run(settings))
    except (KeysError, TlsError) as error:
        log.error("cannot start", reason=str(error))
        return 1
    except VitalTaskFailed:
        return FAILED
    return 0


if __name__ == "__main__":
    sys.exit(main())
