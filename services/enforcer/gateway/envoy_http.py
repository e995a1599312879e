"""Envoy's `ext_authz` over HTTP. Source: Envoy's documentation of the filter and of its HTTP service.

Envoy sends the client's request with the head of its body, its path behind a prefix. 200 lets it through, 5xx counts as
a failure of ours, and any other answer goes to the client.
"""

from __future__ import annotations

from typing import Final

from aiohttp import web

from services.adapters.keys import Role
from services.adapters.web import PRINCIPAL, add_route
from services.adapters.web_body import read_body
from services.adapters.web_errors import too_large
from services.enforcer.desk import Desk
from services.enforcer.gateway.asking import Forwarded, ask_of
from services.enforcer.gateway.deciding import decided
from services.enforcer.gateway.headers import said

PATH: Final = "/v1/ext_authz"
PARTIAL: Final = "x-envoy-auth-partial-body"
"""Envoy's word for a body of which it forwards only the beginning."""


class ExtAuthz:
    """The handler; it waits for nothing but the request's own body."""

    def __init__(self, desk: Desk, *, deny_status: int, body_bytes_max: int) -> None:
        self._desk, self._deny_status, self._body_bytes_max = desk, deny_status, body_bytes_max

    def add_to(self, app: web.Application) -> None:
        """Serve every path behind the prefix."""
        add_route(app, "POST", PATH + "/{path:.*}", self.check, roles=[Role.EDGE])

    async def check(self, request: web.Request) -> web.Response:
        """Decide a client's request."""
        if request.headers.get(PARTIAL) == "true":
            raise too_large(self._body_bytes_max)
        body = await read_body(request.clone(client_max_size=self._body_bytes_max))
        forwarded = Forwarded(said(request.headers.items()), request.headers.get("Content-Type", "json"), body)
        principal = request[PRINCIPAL]
        answer = await decided(self._desk, principal, ask_of(forwarded, principal), self._deny_status)
        # What was decided must hold where failures let everything through, and 5xx is a failure to Envoy.
        status = answer.status if answer.status < 500 else 429
        return web.Response(body=answer.body, status=status, headers=answer.headers)
