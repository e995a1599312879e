"""The enforcer as a web application: its routes, its RPC and its gateways around one desk."""

from __future__ import annotations

from aiohttp import web

from services.adapters.keys import Keyring
from services.adapters.metrics import Metrics
from services.adapters.web import create_app
from services.enforcer.api import Api
from services.enforcer.gateway.serving import add_gateways
from services.enforcer.openapi import openapi
from services.enforcer.rpc.server import RpcServer
from services.enforcer.settings import EnforcerSettings
from services.enforcer.wiring import Wired


def build(settings: EnforcerSettings) -> web.Application:
    """The application; start it with `web.serve`. Raises `KeysError`, `SpoolError` and `MissingExtra`, with advice."""
    keyring = Keyring.load(settings.keys_file)
    metrics = Metrics()
    wired = Wired.of(settings, metrics)
    app = create_app(
        "enforcer",
        keyring=keyring,
        readiness=wired.readiness,
        openapi=openapi(settings.deny_status),
        metrics=metrics,
        max_body_bytes=settings.max_body_bytes,
        vital=wired.vital,
    )
    Api(wired.desk, metrics, deny_status=settings.deny_status).add_to(app)
    app.cleanup_ctx.append(lambda _app: wired.background.running())
    RpcServer(settings, wired.desk, keyring, metrics).add_to(app)
    add_gateways(app, wired.desk, keyring, metrics, settings)
    return app
