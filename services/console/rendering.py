"""Templates to answers: escaped by default, under a policy by which a page loads nothing but our own files."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from aiohttp import web
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from services.console import charts, words
from services.console.places import path_of, short_name
from services.console.views import View

HERE: Final = Path(__file__).parent
THEME_COOKIE: Final = "spendgate_theme"
THEMES: Final = ("light", "dark")
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": POLICY,
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
FILTERS: Final = (
    *(words.money, words.each, words.limit, words.exact, words.dollars, words.percent, words.chance),
    *(words.count, words.plain, words.clock, words.stamp, words.day, words.period),
)
"""What templates write figures with, by their own names."""
STATIC_TYPES: Final = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


class Renderer:
    """Renders pages and their panels."""

    headers = HEADERS

    def __init__(self) -> None:
        self._templates = Environment(
            loader=FileSystemLoader(HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self.static = {
            file.name: (file.read_bytes(), STATIC_TYPES[file.suffix]) for file in sorted((HERE / "static").iterdir())
        }
        build = blake2b(b"".join(content for content, _ in self.static.values()), digest_size=6).hexdigest()
        self._templates.filters |= {function.__name__: function for function in FILTERS}
        self._templates.filters |= {
            "path": path_of,
            "short": short_name,
            "spark": charts.sparkline,
            "segment": partial(quote, safe=""),
        }
        self._templates.globals |= {"build": build, "FAN": (charts.FAN_WIDTH, charts.FAN_HEIGHT)}

    def panels(self, view: View) -> dict[str, Markup]:
        """The HTML of each panel of a live page, by name."""
        told = {"whole": False, **view.figures}
        return {name: self.panel(name, told) for name in view.panels}

    def live(
        self, request: web.Request, view: View, *, after: Mapping[str, Markup] | None = None, **more: Any
    ) -> web.Response:
        """A whole live page; `after` are panels that are shown once and not updated."""
        told = {"title": view.title, "view": view, "panels": self.panels(view), "after": dict(after or {}), **more}
        return self.response(request, "page.html", told)

    def panel(self, name: str, told: Mapping[str, Any]) -> Markup:
        """One panel by itself."""
        return Markup(self._templates.get_template(f"panels/{name}.html").render(name=name, **told))  # noqa: S704

    def response(
        self, request: web.Request, template: str, told: Mapping[str, Any], *, status: int = 200
    ) -> web.Response:
        """A page from a template, in the theme that the browser asked for."""
        theme = request.cookies.get(THEME_COOKIE)
        shown = {"theme": theme if theme in THEMES else "", "path": request.path, "signed_in": False, **told}
        html = self._templates.get_template(template).render(shown)
        return web.Response(text=html, status=status, content_type="text/html", headers=HEADERS)
