"""nginx's `auth_request`. Source: the documentation of `ngx_http_auth_request_module`.

nginx asks with headers alone, keeps the headers of the answer in variables, and knows three answers: 2xx lets the
request through, 401 and 403 refuse it, all else is a failure. So a refusal is 403 here, and what the client is to get
is in `x-budget-status` and `x-budget-body`.
"""

from __future__ import annotations

import json
from typing import Final

import msgspec
from aiohttp import web

from services.adapters.answer import HttpAnswer
from services.adapters.keys import Principal, Role
from services.adapters.web import PRINCIPAL, add_route
from services.adapters.web_errors import ApiError
from services.enforcer.desk import Desk
from services.enforcer.gateway.asking import ask_without_body
from services.enforcer.gateway.deciding import decided
from services.enforcer.gateway.headers import said
from services.enforcer.http_answer import of_error

PATH: Final = "/v1/auth_request"
BODY: Final = "x-budget-body"
STATUS: Final = "x-budget-status"


class AuthRequest:
    """The handler: it decides by what nginx knows without reading the body."""

    def __init__(self, desk: Desk, *, deny_status: int) -> None:
        self._desk, self._deny_status = desk, deny_status

    def add_to(self, app: web.Application) -> None:
        """Serve the route."""
        add_route(app, "GET", PATH, self.check, roles=[Role.EDGE])

    async def check(self, request: web.Request) -> web.Response:
        """Decide a client's request. Raises `ApiError` only for what nginx is to take for a failure."""
        try:
            answer = await self._decided(request, request[PRINCIPAL])
        except ApiError as error:
            if error.status >= 500:
                raise
            answer = of_error(error)
        if answer.status == 200:
            return web.Response(status=204, headers=answer.headers)
        return web.Response(status=403, headers=_in_headers(answer), body=answer.body)

    async def _decided(self, request: web.Request, principal: Principal) -> HttpAnswer:
        ask = ask_without_body(said(request.headers.items()), principal)
        return await decided(self._desk, principal, ask, self._deny_status)


def _in_headers(answer: HttpAnswer) -> dict[str, str]:
    """The answer's headers, its status and its body among them; headers hold no more than ASCII."""
    body = json.dumps(msgspec.json.decode(answer.body), separators=(",", ":"))
    return {**answer.headers, STATUS: str(answer.status), BODY: body}
