"""Start the notifier: `python -m services.notifier`."""

from __future__ import annotations

import sys

import uvloop

from services.adapters import logs
from services.adapters.keys import KeysError
from services.adapters.settings import TlsError
from services.adapters.spool import SpoolError
from services.adapters.vital import FAILED, VitalTaskFailed
from services.adapters.web import serve
from services.notifier.app import build
from services.notifier.mail import MailServerError
from services.notifier.outbox import OutboxError
from services.notifier.settings import NotifierSettings
from services.notifier.signing import SecretError

log = logs.logger(__name__)


async def run(settings: NotifierSettings) -> None:
    """Serve until SIGTERM."""
    await serve(build(settings), settings)


def main() -> int:
    """The exit code: 1 when an operator has to mend something first, with advice in the log; 3 when it broke."""
    settings = NotifierSettings()
    logs.configure("notifier", settings.log_level)
    try:
        uvloop.run(run(settings))
    except (KeysError, MailServerError, OutboxError, SecretError, SpoolError, TlsError) as error:
        log.error("cannot start", reason=str(error))
        return 1
    except VitalTaskFailed:
        return FAILED
    return 0


if __name__ == "__main__":
    sys.exit(main())
