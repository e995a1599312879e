"""Live figures as server-sent events: what changed on a page, or in an organization, within a moment of the event."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping
from hashlib import blake2b
from time import perf_counter
from typing import Any, Final

import msgspec
from aiohttp import web

from services.adapters.clock import now_ms
from services.adapters.keys import Principal, Role
from services.adapters.openapi import refusals
from services.adapters.web import PRINCIPAL, add_route, require_organization
from services.adapters.web_errors import ApiError
from services.console.access import Access
from services.console.figures_json import figures_of
from services.console.live import Follower
from services.console.rendering import HEADERS, Renderer
from services.console.views import view_of

REFRESH_S: Final = 5.0
"""Rates fall while nothing happens, so pages are looked at this often without an event."""
REST_S: Final = 0.2
"""The least time between two messages of one stream."""
BREATHE: Final = 4
"""Making a message takes at most one part in so many of the time, however large an organization is."""
QUIET_S: Final = 15.0
WRITE_S: Final = 20.0
"""A client that takes nothing for so long is let go; it comes back to a fresh snapshot."""
RENDERED_MAX: Final = 64

Parts = Mapping[str, bytes]
"""What a stream shows, by name, as JSON."""

OPENAPI: Final[dict[str, Any]] = {
    "/v1/live": {
        "get": {
            "operationId": "live",
            "summary": "Follow an organization's spending and budgets as server-sent events.",
            "description": "The first event is a snapshot; each later one has only what changed. Whoever connects "
            "again gets a snapshot again. With `page` instead of `organization`, the panels of that page as HTML.",
            "tags": ["live"],
            "parameters": [
                {"name": "organization", "in": "query", "schema": {"type": "string"}, "example": "acme"},
                {"name": "page", "in": "query", "schema": {"type": "string"}, "example": "/o/acme"},
            ],
            "responses": {
                "200": {
                    "description": "Events named `figures` or `panels`, until the client goes.",
                    "content": {"text/event-stream": {"schema": {"type": "string"}}},
                },
                **refusals(400, 401, 403, 404, 500, 503),
            },
        }
    }
}


class Streams:
    """The route `/v1/live`. A stream holds the digests of what it sent, and at most one message at a time."""

    def __init__(self, follower: Follower, access: Access, renderer: Renderer, *, most: int) -> None:
        self._follower, self._access, self._renderer, self._most = follower, access, renderer, most
        self._rendered: OrderedDict[tuple[str, str], tuple[tuple[int, int], Parts]] = OrderedDict()
        self._closing = False
        self.open = 0
        """Streams under way."""

    def add(self, app: web.Application) -> None:
        """Serve it; streams end as soon as the service drains."""
        add_route(app, "GET", "/v1/live", self._live, roles=[Role.VIEWER])
        app.on_shutdown.append(self._close)

    async def _live(self, request: web.Request) -> web.StreamResponse:
        principal = request[PRINCIPAL]
        event, parts = self._source(request, principal)
        if self.open >= self._most:
            raise ApiError(
                503, "too_many_streams", f"{self._most} streams are open: come again", headers={"Retry-After": "5"}
            )
        response = web.StreamResponse(
            headers={**HEADERS, "Content-Type": "text/event-stream", "X-Accel-Buffering": "no"}
        )
        by_session = "Authorization" not in request.headers
        self.open += 1
        try:
            await response.prepare(request)
            await self._feed(
                response, event, parts, lambda: not by_session or self._access.session(request) is not None
            )
        except (ConnectionError, TimeoutError):
            pass  # the client has gone, or takes nothing
        finally:
            self.open -= 1
        return response

    def _source(self, request: web.Request, principal: Principal) -> tuple[str, Callable[[], Parts | None]]:
        page, organization = request.query.get("page"), request.query.get("organization")
        if organization is not None:
            require_organization(principal, organization)
            return "figures", lambda: self._cached("figures", organization, lambda: self._figures(organization))
        if page is None:
            raise ApiError(400, "missing_organization", "say whose figures: ?organization=NAME", field="organization")

        def panels() -> Parts | None:
            return self._cached(page, principal.organization, lambda: self._panels(page, principal))

        if panels() is None:
            raise ApiError(404, "no_such_page", "there is no such live page", field="page")
        return "panels", panels

    async def _feed(
        self, response: web.StreamResponse, event: str, parts: Callable[[], Parts | None], allowed: Callable[[], bool]
    ) -> None:
        sent: dict[str, bytes] = {}
        quiet_since = perf_counter()
        while allowed() and not self._closing:
            began, version = perf_counter(), self._follower.board.version
            shown = parts()
            if shown is None:
                return
            changed, sent = _changed(shown, sent)
            took = perf_counter() - began
            if changed or perf_counter() - quiet_since > QUIET_S:
                message = _message(event, version, changed) if changed else b": quiet\n\n"
                async with asyncio.timeout(WRITE_S):
                    await response.write(message)
                quiet_since = perf_counter()
            await self._follower.changed(version, REFRESH_S)
            await asyncio.sleep(max(REST_S, BREATHE * took))

    def _cached(self, what: str, whose: str, make: Callable[[], Parts | None]) -> Parts | None:
        """Made once for all who look at the same page with the same rights."""
        state = self._follower.board.version, now_ms() // int(REFRESH_S * 1000)
        known = self._rendered.get((what, whose))
        if known is not None and known[0] == state:
            return known[1]
        made = make()
        if made is not None:
            self._rendered[what, whose] = state, made
            self._rendered.move_to_end((what, whose))
            if len(self._rendered) > RENDERED_MAX:
                self._rendered.popitem(last=False)
        return made

    def _panels(self, page: str, principal: Principal) -> Parts | None:
        view = view_of(self._follower.board, page, self._access.organizations(principal), now_ms())
        if view is None:
            return None
        return {name: msgspec.json.encode(str(html)) for name, html in self._renderer.panels(view).items()}

    def _figures(self, organization: str) -> Parts:
        return figures_of(self._follower.board, organization, now_ms())

    async def _close(self, _app: web.Application) -> None:
        self._closing = True
        self._follower.wake()


def _changed(shown: Parts, sent: Mapping[str, bytes]) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """What differs from what was sent (gone: null), and the digests of all that is then sent."""
    digests = {name: blake2b(value, digest_size=12).digest() for name, value in shown.items()}
    changed = {name: value for name, value in shown.items() if sent.get(name) != digests[name]}
    return changed | {name: b"null" for name in sent if name not in shown}, digests


def _message(event: str, version: int, parts: Parts) -> bytes:
    data = b",".join(b"%b:%b" % (msgspec.json.encode(name), value) for name, value in parts.items())
    return b"event: %b\nid: %d\ndata: {%b}\n\n" % (event.encode(), version, data)
