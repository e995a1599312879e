"""`GET /v1/reports/...` and `GET /v1/focus`: governance reports and the FOCUS export of one organization."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, Literal, TypeVar
from zoneinfo import ZoneInfo

from aiohttp import web

from schemas.policy import Policy
from services.adapters import logs
from services.adapters.clickhouse import FAILURES, AddressError, explain
from services.adapters.clock import now_ms
from services.adapters.focus.charges import TooMuch, focus_export
from services.adapters.focus.files import as_csv, as_parquet
from services.adapters.keys import Role
from services.adapters.openapi import answer, refusals
from services.adapters.warehouse.rows import Rows
from services.adapters.web import PRINCIPAL, add_route
from services.adapters.web_errors import ApiError
from services.console.asked import organization_of, parameters
from services.console.reports.desk import FORMATS, KINDS, WINDOWS, Desk, OrderError
from services.console.reports.render import MEDIA, Format
from services.core.governance.due import Kind
from services.core.governance.file_names import file_name
from services.core.period import PeriodError
from services.core.report_period import end_of, parse_period, period_text
from services.core.window import Window, WindowKind, window_at

REPORTS_PATH: Final = "/v1/reports"
FOCUS_PATH: Final = "/v1/focus"
FOCUS_GROUPS_MAX: Final = 100_000
FOCUS_WINDOWS: Final = (WindowKind.DAY, WindowKind.WEEK, WindowKind.MONTH, WindowKind.QUARTER)
FocusFormat = Literal["csv", "parquet"]
FormT = TypeVar("FormT", Format, FocusFormat)
FOCUS_MEDIA: Final[dict[FocusFormat, str]] = {"csv": "text/csv", "parquet": "application/vnd.apache.parquet"}
TEXT_MAX: Final = 600
POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
"""A report needs its own styles and nothing else: whatever a name might try, no script of it runs."""

log = logs.logger(__name__)


class ReportRoutes:
    """The handlers. `rows` runs named queries; `policies` are those in force, by organization."""

    def __init__(self, rows: Rows, policies: Mapping[str, Policy], now: Callable[[], int] = now_ms) -> None:
        self._rows, self._now, self._desk = rows, now, Desk(rows, policies, now)

    def add(self, app: web.Application) -> None:
        """Serve the routes."""
        for kind in KINDS:
            add_route(app, "GET", f"{REPORTS_PATH}/{kind}", partial(self._report, kind), roles=[Role.VIEWER])
        add_route(app, "GET", FOCUS_PATH, self._focus, roles=[Role.VIEWER])

    async def _report(self, kind: Kind, request: web.Request) -> web.Response:
        """A report in the form that is wanted."""
        said = parameters(request, ("organization", "period", "format", "team"), longest=TEXT_MAX)
        organization = organization_of(said.get("organization"), request[PRINCIPAL])
        form = _format(said, FORMATS)
        try:
            report = await self._desk.report(kind, organization, said.get("period"), said.get("team"))
        except OrderError as error:
            raise ApiError(422, "invalid_parameter", str(error), field=error.field) from error
        except (*FAILURES, AddressError) as error:
            raise _away(error) from error
        name = f"{file_name(organization)}-{kind}-{report.period}.{form}"
        headers = {"Content-Disposition": f'inline; filename="{name}"', "Content-Security-Policy": POLICY}
        return web.Response(
            text=report.rendered(form), content_type=MEDIA[form], charset="utf-8", headers=headers | _PRIVATE
        )

    async def _focus(self, request: web.Request) -> web.Response:
        """The charges of a period as FOCUS rows."""
        said = parameters(request, ("organization", "period", "format"), longest=TEXT_MAX)
        organization, form = (
            organization_of(said.get("organization"), request[PRINCIPAL]),
            _format(said, tuple(FOCUS_MEDIA)),
        )
        try:
            zone = ZoneInfo(self._desk.policy(organization).timezone)
            window = self._window(said.get("period"), zone)
            bounds = window.start_ms, end_of(window)
            rows = await focus_export(self._rows, organization, *bounds, zone, most=FOCUS_GROUPS_MAX)
        except (PeriodError, TooMuch) as error:
            raise ApiError(422, "invalid_parameter", str(error), field="period") from error
        except OrderError as error:
            raise ApiError(422, "invalid_parameter", str(error), field=error.field) from error
        except (*FAILURES, AddressError) as error:
            raise _away(error) from error
        body = as_parquet(rows) if form == "parquet" else as_csv(rows).encode()
        name = f"{file_name(organization)}-focus-{period_text(window)}.{form}"
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        return web.Response(body=body, content_type=FOCUS_MEDIA[form], headers=headers | _PRIVATE)

    def _window(self, period: str | None, zone: ZoneInfo) -> Window:
        if period is None:
            return window_at(WindowKind.MONTH, self._now(), zone)
        return parse_period(period, zone, *FOCUS_WINDOWS)


_PRIVATE: Final = {"Cache-Control": "private, no-store", "X-Content-Type-Options": "nosniff"}


def _format(said: Mapping[str, str], known: tuple[FormT, ...]) -> FormT:
    wanted = said.get("format", known[0])
    for form in known:
        if form == wanted:
            return form
    raise ApiError(422, "invalid_parameter", f"write one of {', '.join(known)}", field="format")


def _away(error: BaseException) -> ApiError:
    log.warning("the warehouse did not answer", reason=explain(error))
    message = "ClickHouse does not answer now, or took too long: try again, or ask about a shorter period"
    return ApiError(503, "warehouse_away", message, headers={"Retry-After": "5"})


_ORGANIZATION: Final = {
    "name": "organization",
    "in": "query",
    "description": "Whose report; not needed with a key of one organization.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 256},
}
_SAYS: Final[Mapping[Kind, tuple[str, str, str]]] = {
    "weekly": (
        "Weekly review",
        "What was spent, what moved and who moved it, budgets at risk, anomalies, denials, unowned spending, actions.",
        "A week such as 2026-W48; by default the last whole one.",
    ),
    "quarterly": (
        "Quarterly planning",
        "Spending by month, a forecast of the next quarter with its interval, proposed budgets with their reasons.",
        "The quarter to look back from, such as 2026-Q4; by default the running one.",
    ),
    "accountability": (
        "Accountability",
        "Each budget, who answers for it and how far it was used; who bears which part of everything spent.",
        "A month such as 2026-11; by default the last whole one.",
    ),
}


def _query(name: str, says: str, *allowed: str) -> dict[str, Any]:
    schema = {"type": "string", "enum": list(allowed), "default": allowed[0]} if allowed else {"type": "string"}
    return {"name": name, "in": "query", "description": says, "schema": {**schema, "maxLength": TEXT_MAX}}


def _report_path(kind: Kind) -> dict[str, Any]:
    title, says, period = _SAYS[kind]
    team = [_query("team", "Only this team, as project/team.")] if kind == "weekly" else []
    found = answer("The report.", {"type": "string"}, media=MEDIA["html"])
    found["content"] |= {MEDIA["md"]: {"schema": {"type": "string"}}, MEDIA["json"]: {"schema": {"type": "object"}}}
    parameters = [_ORGANIZATION, _query("period", period), _query("format", "The form.", *FORMATS), *team]
    return {
        "get": {
            "operationId": kind,
            "summary": title,
            "description": says,
            "tags": ["reports"],
            "parameters": parameters,
            "responses": {"200": found, **refusals(401, 403, 422, 500, 503)},
        }
    }


def _focus_path() -> dict[str, Any]:
    found = answer("The rows.", {"type": "string"}, media=FOCUS_MEDIA["csv"])
    found["content"][FOCUS_MEDIA["parquet"]] = {"schema": {"type": "string", "format": "binary"}}
    says = "A day, week, month or quarter: 2026-11-24, 2026-W48, 2026-11, 2026-Q4; by default the running month."
    parameters = [_ORGANIZATION, _query("period", says), _query("format", "The form.", *FOCUS_MEDIA)]
    return {
        "get": {
            "operationId": "focus",
            "summary": "FOCUS 1.2 export",
            "description": "Charges as rows of the FinOps Open Cost and Usage Specification; sums are exact.",
            "tags": ["reports"],
            "parameters": parameters,
            "responses": {"200": found, **refusals(401, 403, 422, 500, 503)},
        }
    }


OPENAPI: Final[Mapping[str, Any]] = {
    **{f"{REPORTS_PATH}/{kind}": _report_path(kind) for kind in WINDOWS},
    FOCUS_PATH: _focus_path(),
}
