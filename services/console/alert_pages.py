"""The page of one alert: what happened, who was told, who took it; and the form by which somebody does."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlencode
from uuid import uuid4

import msgspec
from aiohttp import web

from services.adapters import logs
from services.adapters.clock import now_ms
from services.adapters.kafka import partition_for
from services.adapters.keys import Principal
from services.adapters.publisher import Publisher
from services.adapters.settings import Settings
from services.adapters.topics import topic
from services.adapters.web import add_route
from services.console.access import Access
from services.console.history import History, HistoryAway
from services.console.live import Follower
from services.console.rendering import HEADERS, Renderer
from services.console.sign_in import is_own
from services.core.events import Acknowledgement, AlertAcknowledged, from_ms
from services.core.outcomes import Alert

PATH: Final = "/alert"
SOURCE: Final = "spendgate/console"
FORM_BYTES_MAX: Final = 8192
NAME_MAX, NOTE_MAX = 256, 1024
SINCE_MS: Final = 100 * 86_400_000
WITHIN_S: Final = 10.0
log = logs.logger(__name__)


class AlertPages:
    """A session may acknowledge what it may see. The ledger has it before the page says so."""

    def __init__(
        self, settings: Settings, access: Access, follower: Follower, history: History, renderer: Renderer
    ) -> None:
        self._settings, self._access, self._follower = settings, access, follower
        self._history, self._renderer = history, renderer
        self._publisher = Publisher(settings)

    def add(self, app: web.Application) -> None:
        """Serve the page and its form."""
        add_route(app, "GET", PATH, self._get, roles=None)
        add_route(app, "POST", PATH, self._post, roles=None, logged=True)
        app.on_cleanup.append(self._close)

    async def _get(self, request: web.Request) -> web.StreamResponse:
        principal = self._access.reader(request)
        if principal is None:
            return _moved(f"/sign-in?{urlencode({'next': request.path_qs})}")
        found = self._found(principal, request.query)
        if found is None:
            return self._problem(request, 404, "There is no such alert of late, or it is not yours to see.")
        return await self._page(request, found, said="said" in request.query)

    async def _post(self, request: web.Request) -> web.StreamResponse:
        if not is_own(request):
            return self._problem(request, 403, "The form was sent from another site. Acknowledge it here.")
        principal = self._access.session(request)
        if principal is None:
            return _moved("/sign-in")
        if (request.content_length or 0) > FORM_BYTES_MAX:
            return self._problem(request, 413, "That is too long.")
        form = {name: str(value).strip() for name, value in (await request.post()).items()}
        found = self._found(principal, form)
        if found is None:
            return self._problem(request, 404, "There is no such alert of late, or it is not yours to see.")
        by, note = form.get("by", ""), form.get("note", "")
        if not 0 < len(by) <= NAME_MAX or len(note) > NOTE_MAX or not (by + note).isprintable():
            return await self._page(request, found, problem="Write your name, so that others know whom to ask.")
        try:
            await asyncio.wait_for(self._append(found, by, note), WITHIN_S)
        except TimeoutError:
            log.warning("an acknowledgement could not be kept in time", alert=found.alert)
            return await self._page(request, found, problem="That could not be kept yet. Try again in a minute.")
        address = {"organization": found.organization, "name": found.alert, "said": "1"}
        return _moved(f"{PATH}?{urlencode(address)}")

    def _found(self, principal: Principal, asked: Mapping[str, str]) -> Alert | None:
        organization, name = asked.get("organization", ""), asked.get("name", "")
        if organization not in self._access.organizations(principal):
            return None
        return self._follower.board.feed.alerts.get(organization, name)

    async def _append(self, alert: Alert, by: str, note: str) -> None:
        told = Acknowledgement(organization=alert.organization, alert=alert.alert, by=by, note=note)
        event = AlertAcknowledged(id=uuid4().hex, source=SOURCE, time=from_ms(now_ms()), data=told)
        await self._publisher.connect()
        assert self._publisher.partitions is not None, "the publisher has connected"
        partition = partition_for(alert.organization, self._publisher.partitions)
        value = b"[" + msgspec.json.encode(event) + b"]"
        await self._publisher.deliver(topic(self._settings, "ledger"), partition, value)

    async def _page(
        self, request: web.Request, alert: Alert, *, said: bool = False, problem: str = ""
    ) -> web.StreamResponse:
        told, taken, away = await self._past(alert)
        shown = {
            "title": "Alert",
            "alert": alert,
            "zone": self._follower.board.book(alert.organization).policy.zone,
            "told": told,
            "taken": taken,
            "away": away,
            "said": said and not taken,
            "problem": problem,
            "signed_in": True,
            "whose": alert.organization,
            "caught_up": self._follower.caught_up,
        }
        return self._renderer.response(request, "alert.html", shown, status=422 if problem else 200)

    async def _past(self, alert: Alert) -> tuple[list[dict[str, Any]], list[dict[str, Any]], str]:
        """Who was told and who has taken it, from ClickHouse; when it is away the page says so."""
        asked = {"organization": alert.organization, "since_ms": now_ms() - SINCE_MS, "most": 200, "skip": 0}
        try:
            told = await self._history.rows("notifications_of", alert=alert.alert, **asked)
            taken = await self._history.rows("acknowledgements_of", alert=alert.alert, **asked)
        except HistoryAway as error:
            return [], [], str(error)
        return told, taken, ""

    def _problem(self, request: web.Request, status: int, message: str) -> web.StreamResponse:
        told = {"title": "Not here" if status == 404 else "Refused", "message": message}
        return self._renderer.response(request, "problem.html", told, status=status)

    async def _close(self, _app: web.Application) -> None:
        await self._publisher.stop()


def _moved(to: str) -> web.Response:
    return web.Response(status=303, headers={"Location": to, **HEADERS})
