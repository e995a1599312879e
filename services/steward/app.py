"""The steward as a server: from settings to an application."""

from __future__ import annotations

from collections.abc import AsyncIterator

from aiohttp import web

from services.adapters.ending import end_tasks
from services.adapters.keys import Keyring
from services.adapters.metrics import Metrics
from services.adapters.publisher import Publisher
from services.adapters.vital import VitalTasks
from services.adapters.web import create_app
from services.steward.books import Books
from services.steward.following import Following
from services.steward.health import Health
from services.steward.openapi import OPENAPI
from services.steward.rounds import Rounds
from services.steward.settings import StewardSettings

MAX_BODY_BYTES = 1 << 10


def build(settings: StewardSettings) -> web.Application:
    """The application; start it with `web.serve`. Raises `KeysError`, with advice."""
    keyring = Keyring.load(settings.keys_file)
    health, vital, books, publisher = Health(Metrics()), VitalTasks(), Books(), Publisher(settings)
    following, rounds = Following(settings, books, health), Rounds(settings, books, publisher, health)
    app = create_app(
        "steward",
        keyring=keyring,
        readiness=health.readiness,
        openapi=OPENAPI,
        metrics=health.metrics,
        max_body_bytes=MAX_BODY_BYTES,
        vital=vital,
    )

    async def parts(_app: web.Application) -> AsyncIterator[None]:
        endless = [
            vital.start("follow the policies", following.policies()),
            vital.start("follow the balances", following.balances()),
            vital.start("follow the forecasts", following.forecasts()),
            vital.start("look at the rules", rounds.run()),
        ]
        yield
        await end_tasks(*endless)
        await publisher.stop()

    app.cleanup_ctx.append(parts)
    return app
