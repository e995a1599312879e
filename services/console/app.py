"""The console, wired: from settings to an application that serves."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from aiohttp import web

from services.adapters.clock import now_ms
from services.adapters.ending import end_tasks
from services.adapters.keys import Keyring
from services.adapters.metrics import Metrics
from services.adapters.vital import VitalTasks
from services.adapters.warehouse.warehouse import Warehouse
from services.adapters.web import Readiness, create_app
from services.console import report_routes, spend_routes, status_openapi, streams
from services.console.access import Access
from services.console.alert_pages import AlertPages
from services.console.board import Board
from services.console.history import History
from services.console.live import Follower
from services.console.openapi import openapi, reports_of
from services.console.pages import Pages
from services.console.rendering import Renderer
from services.console.reports.part import ReportPart
from services.console.sessions import Sessions, ensure_secret
from services.console.settings import ConsoleSettings
from services.console.sign_in import SignIn
from services.console.spend_routes import SpendRoutes
from services.console.status_routes import StatusRoutes
from services.console.streams import Streams

MAX_BODY_BYTES = 1 << 20
HOUR_MS: Final = 3_600_000


class Routes(Protocol):
    """Routes of one part of the console."""

    def add(self, app: web.Application) -> None:
        """Serve them."""
        ...


@dataclass(frozen=True, slots=True)
class Inside:
    """What the parts of the console share."""

    settings: ConsoleSettings
    follower: Follower
    history: History
    warehouse: Warehouse


@dataclass(frozen=True, slots=True)
class Part:
    """Routes that answer questions about the past: how they are made, and the paths that they document."""

    make: Callable[[Inside], Routes]
    openapi: Mapping[str, Any]


ROUTES: Final[tuple[Part, ...]] = (
    Part(lambda inside: SpendRoutes(inside.warehouse, inside.follower.board.books.zone), spend_routes.OPENAPI),
    Part(
        lambda inside: ReportPart(inside.history.ask, inside.follower.board.books.policies, inside.settings.data_dir),
        report_routes.OPENAPI,
    ),
    Part(lambda inside: StatusRoutes(inside.follower, inside.history), status_openapi.OPENAPI),
)
"""The parts of the API beside the live one. A handler that reads an organization calls `require_organization`."""


def build(settings: ConsoleSettings) -> web.Application:
    """The application; start it with `web.serve`. Raises `KeysError` with advice, and OSError for a bad data folder."""
    keyring, renderer = Keyring.load(settings.keys_file), Renderer()
    sessions = Sessions(keyring, ensure_secret(settings.data_dir), lasts_ms=int(settings.session_h * HOUR_MS))
    follower = Follower(Board(), settings)
    history = History(settings, timeout_s=settings.history_timeout_s)
    access = Access(sessions, keyring, follower.board)
    inside = Inside(settings, follower, history, Warehouse(settings.clickhouse))
    vital = VitalTasks()
    paths = {**streams.OPENAPI, **{path: item for part in ROUTES for path, item in part.openapi.items()}}
    app = create_app(
        "console",
        keyring=keyring,
        readiness=lambda: _readiness(inside),
        openapi=openapi(paths),
        metrics=Metrics(),
        max_body_bytes=MAX_BODY_BYTES,
        vital=vital,
        session=access.session,
    )
    secure = settings.secure_cookies or settings.tls_certificate is not None
    own: tuple[Routes, ...] = (
        Streams(follower, access, renderer, most=settings.streams_max),
        SignIn(sessions, renderer, secure=secure),
        AlertPages(settings, access, follower, history, renderer),
        Pages(follower, access, history, renderer, reports_of(paths)),
    )
    for routes in (*own, *(part.make(inside) for part in ROUTES)):
        routes.add(app)

    async def parts(_app: web.Application) -> AsyncIterator[None]:
        following = vital.start("follow the topics", follower.run())
        yield
        await end_tasks(following)
        await history.close()
        await inside.warehouse.close()

    app.cleanup_ctx.append(parts)
    return app


def _readiness(inside: Inside) -> Readiness:
    """Ready once the topics have been read to what was their end; ClickHouse may be away, the live part goes on."""
    board, follower = inside.follower.board, inside.follower
    behind_ms = now_ms() - board.books.clock_ms if board.books.clock_ms else None
    detail: dict[str, Any] = {
        "reading": None if follower.caught_up else "the topics, from their beginning",
        "organizations": len(board.organizations),
        "ledger_clock_age_ms": behind_ms,
        "unreadable_records": board.unreadable,
        "history": inside.history.reason or "ok",
    }
    return Readiness(follower.caught_up, detail)
