"""The forecaster, wired: from settings to an application that serves."""

from __future__ import annotations

from aiohttp import web

from services.adapters.keys import Keyring
from services.adapters.metrics import Metrics
from services.adapters.vital import VitalTasks
from services.adapters.web import Readiness, create_app
from services.forecaster.openapi import OPENAPI
from services.forecaster.settings import ForecasterSettings

MAX_BODY_BYTES = 1 << 20


def build(settings: ForecasterSettings) -> web.Application:
    """The application; start it with `web.serve`. Raises `KeysError`, with advice."""
    return create_app(
        "forecaster",
        keyring=Keyring.load(settings.keys_file),
        readiness=lambda: Readiness(True),
        openapi=OPENAPI,
        metrics=Metrics(),
        max_body_bytes=MAX_BODY_BYTES,
        vital=VitalTasks(),
    )
