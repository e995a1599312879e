"""Signing in and out: the only requests of a browser that change anything, so the only ones that must be its own."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from aiohttp import web

from services.adapters import logs
from services.adapters.clock import now_ms
from services.adapters.web import add_route
from services.console.rendering import Renderer
from services.console.sessions import COOKIE, Attempts, Sessions

_FORM_BYTES_MAX: Final = 4096
log = logs.logger(__name__)


class SignIn:
    """The routes `/sign-in` and `/sign-out`. The key is sent once, in the body of a form, and never kept."""

    def __init__(self, sessions: Sessions, renderer: Renderer, *, secure: bool) -> None:
        self._sessions, self._renderer, self._secure = sessions, renderer, secure
        self._attempts = Attempts()

    def add(self, app: web.Application) -> None:
        """Serve them."""
        add_route(app, "GET", "/sign-in", self._form, roles=None)
        add_route(app, "POST", "/sign-in", self._sign_in, roles=None)
        add_route(app, "POST", "/sign-out", self._sign_out, roles=None)

    async def _form(self, request: web.Request) -> web.StreamResponse:
        return self._page(request, "", next_path(request.query.get("next", "/")))

    async def _sign_in(self, request: web.Request) -> web.StreamResponse:
        at_ms, address = now_ms(), request.remote or ""
        if not is_own(request):
            return self._page(request, "The form was sent from another site. Sign in here.", "/", status=403)
        if (request.content_length or 0) > _FORM_BYTES_MAX:
            return self._page(request, "That is no API key.", "/", status=413)
        form = await request.post()
        going_to = next_path(str(form.get("next", "/")))
        wait_ms = self._attempts.wait_ms(address, at_ms)
        if wait_ms:
            seconds = -(-wait_ms // 1000)
            page = self._page(request, f"Too many attempts. Try again in {seconds} seconds.", going_to, status=429)
            page.headers["Retry-After"] = str(seconds)
            return page
        cookie = self._sessions.sign_in(str(form.get("key", "")).strip(), at_ms)
        if cookie is None:
            self._attempts.failed(address, at_ms)
            log.warning("a sign-in failed", address=address)
            return self._page(request, "No viewer or admin has this key.", going_to, status=401)
        response = self._moved(going_to)
        response.set_cookie(
            COOKIE,
            cookie,
            max_age=self._sessions.lasts_s,
            httponly=True,
            samesite="Strict",
            secure=self._secure,
        )
        return response

    async def _sign_out(self, request: web.Request) -> web.StreamResponse:
        if not is_own(request):
            return self._page(request, "The form was sent from another site.", "/", status=403)
        response = self._moved("/sign-in")
        response.del_cookie(COOKIE, samesite="Strict", httponly=True, secure=self._secure)
        return response

    def _page(self, request: web.Request, problem: str, going_to: str, *, status: int = 200) -> web.Response:
        told = {"title": "Sign in", "problem": problem, "going_to": going_to}
        return self._renderer.response(request, "sign_in.html", told, status=status)

    def _moved(self, to: str) -> web.Response:
        return web.Response(status=303, headers={"Location": to, **self._renderer.headers})


def is_own(request: web.Request) -> bool:
    """Whether a form was sent from a page of this console.

    Every browser of today says so; one that says nothing of the kind is asked for the origin that forms carry.
    """
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = request.headers.get("Origin")
    return origin is not None and urlsplit(origin).netloc == request.host


def next_path(wanted: str) -> str:
    """Where to go after signing in: a path of the console, never another site."""
    parts = urlsplit(wanted)
    own = wanted.startswith("/") and not wanted.startswith(("//", "/\\")) and not parts.netloc
    return wanted if own and wanted.isprintable() and "\\" not in wanted else "/"
