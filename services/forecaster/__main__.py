"""Start the forecaster: `python -m services.forecaster`."""

from __future__ import annotations

import sys

import uvloop

from services.adapters import logs
from services.adapters.clickhouse import AddressError
from services.adapters.keys import KeysError
from services.adapters.settings import TlsError
from services.adapters.vital import FAILED, VitalTaskFailed
from services.adapters.web import serve
from services.forecaster.app import build
from services.forecaster.memory import MemoryFileError
from services.forecaster.settings import ForecasterSettings

log = logs.logger(__name__)


async def run(settings: ForecasterSettings) -> None:
    """Serve until SIGTERM."""
    await serve(build(settings), settings)


def main() -> int:
    """The exit code: 1 when an operator has to mend something first, with advice in the log; 3 when it broke."""
    settings = ForecasterSettings()
    logs.configure("forecaster", settings.log_level)
    try:
        uvloop.run(run(settings))
    except (AddressError, KeysError, MemoryFileError, TlsError) as error:
        log.error("cannot start", reason=str(error))
        return 1
    except VitalTaskFailed:
        return FAILED
    return 0


if __name__ == "__main__":
    sys.exit(main())
