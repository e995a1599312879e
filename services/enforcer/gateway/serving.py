"""Adds the gateways' transports to the enforcer, as its settings want them."""

from __future__ import annotations

from aiohttp import web

from services.adapters.keys import Keyring
from services.adapters.metrics import Metrics
from services.enforcer.desk import Desk
from services.enforcer.gateway.envoy_http import ExtAuthz
from services.enforcer.gateway.nginx import AuthRequest
from services.enforcer.settings import EnforcerSettings


class MissingExtra(Exception):
    """A transport is asked for whose packages are not installed; the message says which."""


def add_gateways(
    app: web.Application, desk: Desk, keyring: Keyring, metrics: Metrics, settings: EnforcerSettings
) -> None:
    """Serve gateways beside the API, from the same desk. Raises `MissingExtra`."""
    # A gateway takes 200 for leave to go on, whatever the body says.
    deny_status = 429 if settings.deny_status == 200 else settings.deny_status
    body_bytes_max = settings.gateway_body_bytes
    ExtAuthz(desk, deny_status=deny_status, body_bytes_max=body_bytes_max).add_to(app)
    AuthRequest(desk, deny_status=deny_status).add_to(app)
    if settings.grpc_port:
        try:
            from services.enforcer.gateway.envoy_grpc import Checks, GrpcServer
        except ImportError as error:
            raise MissingExtra(f"SPENDGATE_GRPC_PORT needs `pip install 'spendgate[grpc]'` ({error})") from error
        checks = Checks(desk, keyring, metrics, deny_status=deny_status, body_bytes_max=body_bytes_max)
        GrpcServer(settings, checks).add_to(app)
