"""The forecaster as a server: from settings to an application."""

from __future__ import annotations

from aiohttp import web

from services.adapters.clickhouse import database_of
from services.adapters.keys import Keyring
from services.adapters.metrics import Metrics
from services.adapters.vital import VitalTasks
from services.adapters.web import create_app
from services.forecaster.health import Health
from services.forecaster.openapi import OPENAPI
from services.forecaster.settings import ForecasterSettings
from services.forecaster.voices import voices_of
from services.forecaster.wiring import Wired

MAX_BODY_BYTES = 1 << 10


def build(settings: ForecasterSettings) -> web.Application:
    """The application; start it with `web.serve`.

    Raises `KeysError`, `AddressError` and `MemoryFileError`, with advice.
    """
    keyring = Keyring.load(settings.keys_file)
    database_of(settings.clickhouse)
    health, vital = Health(Metrics()), VitalTasks()
    app = create_app(
        "forecaster",
        keyring=keyring,
        readiness=health.readiness,
        openapi=OPENAPI,
        metrics=health.metrics,
        max_body_bytes=MAX_BODY_BYTES,
        vital=vital,
    )
    wired = Wired.of(settings, health, voices_of(settings))

    app.cleanup_ctx.append(lambda _app: wired.running(vital))
    return app
