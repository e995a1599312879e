"""Reports as a part of the console: its routes, and the task that writes what is due."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Final

from aiohttp import web

from schemas.policy import Policy
from services.adapters.clock import now_ms
from services.adapters.ending import end_tasks
from services.adapters.warehouse.rows import Rows
from services.adapters.web import SHELL
from services.console.report_routes import ReportRoutes
from services.console.reports.desk import Desk
from services.console.reports.schedule import Schedule

FOLDER: Final = "reports"


class ReportPart:
    """Answers with reports, and writes them below the data folder. `policies` are those in force, as they change."""

    def __init__(
        self, rows: Rows, policies: Mapping[str, Policy], data_dir: Path, now: Callable[[], int] = now_ms
    ) -> None:
        self._routes = ReportRoutes(rows, policies, now)
        self._schedule = Schedule(Desk(rows, policies, now), policies, data_dir / FOLDER, now)

    def add(self, app: web.Application) -> None:
        """Serve the routes, and write while the application runs."""
        self._routes.add(app)
        app.cleanup_ctx.append(self._writing)

    async def _writing(self, app: web.Application) -> AsyncIterator[None]:
        writing = app[SHELL].vital.start("write reports", self._schedule.run())
        yield
        await end_tasks(writing)
