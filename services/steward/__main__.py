"""Start the steward: `python -m services.steward`."""

from __future__ import annotations

import sys

import uvloop

from services.adapters import logs
from services.adapters.keys import KeysError
from services.adapters.settings import TlsError
from services.adapters.vital import FAILED, VitalTaskFailed
from services.adapters.web import serve
from services.steward.app import build
from services.steward.settings import StewardSettings

log = logs.logger(__name__)


async def run(settings: StewardSettings) -> None:
    """Serve until SIGTERM."""
    await serve(build(settings), settings)


def main() -> int:
    """The exit code: 1 when an operator has to mend something first, with advice in the log; 3 when it broke."""
    settings = StewardSettings()
    logs.configure("steward", settings.log_level)
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
