"""Start the sink: `python -m services.sink`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import uvloop

from services.adapters import logs
from services.adapters.clickhouse import AddressError
from services.adapters.ending import end_tasks
from services.adapters.keys import Keyring, KeysError
from services.adapters.metrics import Metrics
from services.adapters.migrations import MigrationError, migrate, read_migrations
from services.adapters.settings import TlsError
from services.adapters.topics import TopicsError
from services.adapters.vital import FAILED, VitalTaskFailed, VitalTasks
from services.adapters.web import create_app, serve
from services.sink.health import Health
from services.sink.openapi import OPENAPI
from services.sink.settings import SinkSettings
from services.sink.worker import Worker

MIGRATIONS = Path(__file__).parents[2] / "deploy" / "clickhouse" / "migrations"
MAX_BODY_BYTES = 1 << 10
OPERATORS = (AddressError, KeysError, MigrationError, TopicsError, TlsError)

log = logs.logger(__name__)


async def run(settings: SinkSettings) -> None:
    """Carry rows and answer HTTP until SIGTERM. Raises `VitalTaskFailed` when rows can no longer be carried."""
    health, vital = Health(Metrics()), VitalTasks()
    app = create_app(
        "sink",
        keyring=Keyring.load(settings.keys_file),
        readiness=health.readiness,
        openapi=OPENAPI,
        metrics=health.metrics,
        max_body_bytes=MAX_BODY_BYTES,
        vital=vital,
    )
    migrations = read_migrations(MIGRATIONS)
    worker = Worker(settings, health, lambda: asyncio.to_thread(migrate, settings.clickhouse, migrations))
    carrying = vital.start("carry rows", worker.run())
    try:
        await serve(app, settings)
    finally:
        await end_tasks(carrying)


def main() -> int:
    """The exit code: 1 when an operator has to mend something first, with advice in the log; 3 when it broke."""
    settings = SinkSettings()
    logs.configure("sink", settings.log_level)
    try:
        uvloop.run(run(settings))
    except (*OPERATORS, VitalTaskFailed) as error:
        reason = error.__cause__ if isinstance(error, VitalTaskFailed) else error
        if not isinstance(reason, OPERATORS):
            return FAILED
        log.error("cannot start", reason=str(reason))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
