"""`GET /v1/spend`: what an organization spent, by anything, over any period, as JSON or CSV."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final
from zoneinfo import ZoneInfo

from aiohttp import web

from services.adapters import logs
from services.adapters.clickhouse import FAILURES, explain
from services.adapters.clock import now_ms
from services.adapters.keys import Role
from services.adapters.openapi import answer, refusals
from services.adapters.warehouse.warehouse import Warehouse
from services.adapters.web import PRINCIPAL, add_route
from services.adapters.web_errors import ApiError, json_response
from services.console.asked import organization_of, parameters
from services.core.attribution import CHOICES, QuestionError, SpendQuery, parse_dimension, parse_filters
from services.core.period import EXAMPLES, PeriodError, parse_period, previous_so_far, zone_of
from services.core.spend_text import as_csv, as_document

PATH: Final = "/v1/spend"
PARAMETERS: Final = {
    "organization": "Whose spending; not needed with a key of one organization.",
    "by": f"What to group by: {CHOICES}. Default: project.",
    "period": f"When: {EXAMPLES}. Default: this-month.",
    "only": "NAME:VALUE, as in user:alice or tag.feature:search; project: is what has none. Repeat it for more: any of "
    "the values of a dimension, and all dimensions.",
    "top": "So many names get a row of their own, up to 1000; the others are one row, `rest`. Default: 50.",
    "compare": "true: beside the period before; one that is not over yet, beside as much of the one before.",
    "zone": "The time zone of the period and of days, as in America/New_York. Default: the organization's.",
}
TOP: Final = 50
TOP_MAX: Final = 1000
CSV: Final = "text/csv"
UTC: Final = ZoneInfo("UTC")

log = logs.logger(__name__)


class SpendRoutes:
    """The handler. `zone_of_organization`: the time zone of an organization's policy, None where it is not known."""

    def __init__(
        self, warehouse: Warehouse, zone_of_organization: Callable[[str], ZoneInfo | None] = lambda _: None
    ) -> None:
        self._warehouse, self._zone_of = warehouse, zone_of_organization

    def add(self, app: web.Application) -> None:
        """Serve the route."""
        add_route(app, "GET", PATH, self.get, roles=[Role.VIEWER])

    async def get(self, request: web.Request) -> web.Response:
        """What was spent."""
        query = self._query(request)
        try:
            found = await self._warehouse.spend(query)
        except QuestionError as error:
            raise _invalid("period", error) from error
        except FAILURES as error:
            log.warning("the warehouse did not answer", reason=explain(error))
            message = "ClickHouse does not answer now, or took too long: try again, or ask about a shorter period"
            raise ApiError(503, "warehouse_away", message, headers={"Retry-After": "5"}) from error
        if CSV in request.headers.get("Accept", ""):
            return web.Response(text=as_csv(found), content_type=CSV, charset="utf-8")
        return json_response(as_document(found))

    def _query(self, request: web.Request) -> SpendQuery:
        """The question. Raises `ApiError` 403 and 422."""
        said = parameters(request, PARAMETERS, repeated=("only",))
        organization = organization_of(said.get("organization"), request[PRINCIPAL])
        field = "zone"
        try:
            zone = zone_of(said["zone"]) if "zone" in said else self._zone_of(organization) or UTC
            field, at_ms = "period", now_ms()
            period = parse_period(said.get("period", "this-month"), zone, at_ms)
            field = "compare"
            compare = previous_so_far(period, at_ms) if _flag(said.get("compare", "false")) else None
            field = "by"
            by = parse_dimension(said.get("by", "project"))
            field = "only"
            filters = parse_filters(request.query.getall("only", ()))
            field = "top"
            return SpendQuery(organization, by, period, filters, _top(said.get("top", str(TOP))), compare)
        except (PeriodError, QuestionError) as error:
            raise _invalid(field, error) from error


def _top(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 1 <= int(text[:9]) <= TOP_MAX):
        raise QuestionError(f"write a number from 1 to {TOP_MAX}")
    return int(text)


def _flag(text: str) -> bool:
    if text not in ("true", "false"):
        raise QuestionError("write true or false")
    return text == "true"


def _invalid(field: str, error: ValueError) -> ApiError:
    return ApiError(422, "invalid_parameter", str(error), field=field)


_EXAMPLE: Final = {
    "organization": "acme",
    "by": "user",
    "zone": "America/New_York",
    "since": "2026-11-01T00:00:00-04:00",
    "until": "2026-12-01T00:00:00-05:00",
    "compared_with": None,
    "only": ["project:search"],
    "total_usd": "812.41",
    "total": {"cost_usd": "812.41", "unconfirmed_usd": "0.00", "requests": 91240, "unpriced": 3},
    "rows": [{"user": "", "label": "(no user)", "cost_usd": "812.41", "unconfirmed_usd": "0.00", "unpriced": 3}],
    "rest": None,
}
_ANSWER: Final = {
    "type": "object",
    "required": ["organization", "by", "zone", "since", "until", "compared_with", "only", "total_usd", "total", "rows"],
    "properties": {
        "total_usd": {"type": "string", "description": "Rows and the rest add up to it, to the nano-dollar."},
        "total": {"type": "object"},
        "rows": {"type": "array", "items": {"type": "object"}},
        "rest": {"type": ["object", "null"], "description": "All names beyond `top`, in one row."},
    },
}

OPENAPI: Final[dict[str, Any]] = {
    PATH: {
        "get": {
            "operationId": "getSpend",
            "summary": "What an organization spent in a period.",
            "description": "Exact for any period and time zone. `unpriced` requests are not in a sum, which is then a "
            "lower bound; `unconfirmed_usd` is the part of it that is still an estimate. `Accept: text/csv` gives CSV.",
            "tags": ["spending"],
            "parameters": [
                {
                    "name": name,
                    "in": "query",
                    "description": text,
                    "schema": {"type": "array", "items": {"type": "string"}} if name == "only" else {"type": "string"},
                }
                for name, text in PARAMETERS.items()
            ],
            "responses": {
                "200": answer("What was spent.", _ANSWER, example=_EXAMPLE),
                **refusals(401, 403, 422, 500, 503),
            },
        }
    }
}
