"""The pages for people: who asks is known, what they may not see does not exist, and what fails says so on a page."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

import msgspec
from aiohttp import web
from markupsafe import Markup

from services.adapters.clock import now_ms
from services.adapters.keys import Principal
from services.adapters.web import add_route
from services.adapters.web_errors import ApiError
from services.console.access import Access
from services.console.history import History, HistoryAway
from services.console.live import Follower
from services.console.places import organization_of, scope_of_path
from services.console.rendering import HEADERS, Renderer
from services.console.views import View, view_of
from services.core.balance import DAY_MS
from services.core.decision import Decision
from services.core.scope import Level, level_of, parse_scope
from services.core.window import WindowKind

LIVE: Final = (
    "/",
    "/o/{organization}",
    "/o/{organization}/p/{project}",
    "/o/{organization}/p/{project}/t/{team}",
    "/o/{organization}/u/{user}",
    "/alerts",
    "/anomalies",
    "/forecasts",
)
SPENDERS_MAX: Final = 12
DECISIONS_MAX: Final = 200
DECISIONS_DAYS: Final = 14
_IMMUTABLE: Final = "public, max-age=31536000, immutable"

PageHandler = Callable[[web.Request, Principal], Awaitable[web.StreamResponse]]


class Pages:
    """Every page but the one to sign in on."""

    def __init__(
        self,
        follower: Follower,
        access: Access,
        history: History,
        renderer: Renderer,
        reports: Sequence[Mapping[str, str]],
    ) -> None:
        """`reports` are the address patterns and titles of what `/reports` links to."""
        self._follower, self._access, self._history, self._renderer = follower, access, history, renderer
        self._reports = reports

    def add(self, app: web.Application) -> None:
        """Serve them."""
        for path in LIVE:
            add_route(app, "GET", path, self._page(self._live), roles=None)
        add_route(app, "GET", "/decisions", self._page(self._decisions), roles=None)
        add_route(app, "GET", "/decisions/{decision}", self._page(self._decision), roles=None)
        add_route(app, "GET", "/reports", self._page(self._reports_page), roles=None)
        add_route(app, "GET", "/static/{build}/{name}", self._static, roles=None)

    def _page(self, handler: PageHandler) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """Ask who it is before anything else, and tell refusals on a page."""

        async def paged(request: web.Request) -> web.StreamResponse:
            try:
                principal = self._access.reader(request)
                if principal is None:
                    to = f"/sign-in?next={quote(request.path_qs, safe='')}"
                    return web.Response(status=303, headers={"Location": to, **HEADERS})
                return await handler(request, principal)
            except ApiError as error:
                told = {"title": "Not here" if error.status == 404 else "Refused", "message": error.message}
                page = self._renderer.response(request, "problem.html", told, status=error.status)
                page.headers.update(error.headers or {})
                return page

        return paged

    async def _live(self, request: web.Request, principal: Principal) -> web.StreamResponse:
        path = request.rel_url.raw_path.rstrip("/") or "/"
        view = self._view(path, principal)
        scope = scope_of_path(path)
        after = {} if scope is None else await self._past(scope, view)
        return self._shown(request, principal, view, path, after)

    async def _decisions(self, request: web.Request, principal: Principal) -> web.StreamResponse:
        view = self._view("/decisions", principal)
        known = {decision.decision for decision in view.figures["decisions"]}
        organizations = list(self._access.organizations(principal))

        async def ask() -> dict[str, Any]:
            rows = await self._history.rows(
                "console_decisions",
                organizations=organizations,
                since_ms=now_ms() - DECISIONS_DAYS * DAY_MS,
                most=DECISIONS_MAX,
            )
            return {"rows": [row for row in rows if row["decision"] not in known]}

        after = {"past_decisions": await self._asked("past_decisions", {"days": DECISIONS_DAYS}, ask)}
        return self._shown(request, principal, view, "/decisions", after)

    async def _decision(self, request: web.Request, principal: Principal) -> web.StreamResponse:
        name = request.match_info["decision"]
        decision = self._follower.board.feed.decisions.find(name) or self._follower.board.feed.notable.find(name)
        if decision is None:
            decision = await self._kept(name)
        if decision is None or not principal.covers(decision.organization):
            raise ApiError(404, "no_such_decision", f"No decision {name} is kept, or it is not yours to see.")
        zone = self._follower.board.book(decision.organization).policy.zone
        told = {"title": "Decision", "decision": decision, "zone": zone, **self._frame(principal)}
        return self._renderer.response(request, "decision.html", told)

    async def _reports_page(self, request: web.Request, principal: Principal) -> web.StreamResponse:
        organizations = self._access.organizations(principal)
        told = {"title": "Reports", "organizations": organizations, "reports": self._reports}
        return self._renderer.response(request, "reports.html", {**told, **self._frame(principal)})

    async def _static(self, request: web.Request) -> web.StreamResponse:
        found = self._renderer.static.get(request.match_info["name"])
        if found is None:
            raise ApiError(404, "no_such_file", "there is no such file")
        body, content_type = found
        headers = {**HEADERS, "Cache-Control": _IMMUTABLE}
        return web.Response(body=body, content_type=content_type, charset="utf-8", headers=headers)

    def _view(self, path: str, principal: Principal) -> View:
        view = view_of(self._follower.board, path, self._access.organizations(principal), now_ms())
        if view is None:
            raise ApiError(404, "no_such_page", "Nothing is known of this, or it is not yours to see.")
        return view

    def _shown(
        self, request: web.Request, principal: Principal, view: View, path: str, after: Mapping[str, Markup]
    ) -> web.Response:
        return self._renderer.live(request, view, after=after, live_path=path, **self._frame(principal))

    def _frame(self, principal: Principal) -> dict[str, Any]:
        """What the frame around every page says."""
        return {
            "signed_in": True,
            "whose": "every organization" if principal.organization == "*" else principal.organization,
            "caught_up": self._follower.caught_up,
        }

    async def _past(self, scope: str, view: View) -> dict[str, Markup]:
        """What a scope's page has from ClickHouse: who spent most in its month."""
        values, level = parse_scope(scope), level_of(scope)
        if level is Level.USER:
            return {}
        book = self._follower.board.book(organization_of(scope))
        month = book.window(WindowKind.MONTH, now_ms())

        async def ask() -> dict[str, Any]:
            rows = await self._history.rows(
                "console_top_users",
                organization=values["org"],
                project=values.get("project", ""),
                team=values.get("team", ""),
                begin_ms=month.start_ms,
                most=SPENDERS_MAX,
            )
            return {"rows": rows, "organization": values["org"]}

        told = {"month": month.label, "of": view.title}
        return {"past_spenders": await self._asked("past_spenders", told, ask)}

    async def _asked(self, panel: str, told: Mapping[str, Any], ask: Callable[[], Awaitable[dict[str, Any]]]) -> Markup:
        """A panel of what ClickHouse knows; when it is away the panel says so, and the page goes on."""
        try:
            return self._renderer.panel(panel, {**told, **await ask(), "away": None})
        except HistoryAway as error:
            return self._renderer.panel(panel, {**told, "rows": [], "organization": "", "away": str(error)})

    async def _kept(self, name: str) -> Decision | None:
        try:
            rows = await self._history.rows("console_decision", decision=name)
        except HistoryAway as error:
            raise ApiError(
                503, "history_away", "It is not among the last decisions, and ClickHouse does not answer now."
            ) from error
        try:
            return msgspec.json.decode(rows[0]["explanation"], type=Decision) if rows else None
        except msgspec.MsgspecError as error:
            raise ApiError(404, "unreadable_decision", f"{name} was made by another version: {error}") from error
