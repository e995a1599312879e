"""The console, wired: from settings to an application that serves."""

from __future__ import annotations

from aiohttp import web

from services.adapters.keys import Keyring
from services.adapters.metrics import Metrics
from services.adapters.vital import VitalTasks
from services.adapters.warehouse.warehouse import Warehouse
from services.adapters.web import Readiness, create_app
from services.console.openapi import OPENAPI
from services.console.settings import ConsoleSettings
from services.console.spend_routes import SpendRoutes

MAX_BODY_BYTES = 1 << 20


def build(settings: ConsoleSettings) -> web.Application:
    """The application; start it with `web.serve`. Raises `KeysError`, with advice."""
    app = create_app(
        "console",
        keyring=Keyring.load(settings.keys_file),
        readiness=lambda: Readiness(True),
        openapi=OPENAPI,
        metrics=Metrics(),
        max_body_bytes=MAX_BODY_BYTES,
        vital=VitalTasks(),
    )
    warehouse = Warehouse(settings.clickhouse)

    async def close(_app: web.Application) -> None:
        await warehouse.close()

    app.on_cleanup.append(close)
    for routes in (SpendRoutes(warehouse),):
        routes.add(app)
    return app
