"""`/v1/status`, and the lists `forecasts`, `alerts`, `audit`, ...: where budgets stand, what is on record."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from aiohttp import web

from services.adapters.clock import now_ms
from services.adapters.keys import Role
from services.adapters.scope_path import scope_in_path
from services.adapters.web import PRINCIPAL, add_route, require_organization
from services.adapters.web_errors import ApiError, json_response
from services.console.asked import organization_of, parameters
from services.console.foresight import alert_of, anomaly_of, audit_of, forecast_of, notification_of
from services.console.history import History, HistoryAway
from services.console.live import Follower
from services.console.status import status_of
from services.core.events import to_ms
from services.core.scope import ScopeError, parse_scope, scope_key

STATUS: Final = "/v1/status/"
PAGE: Final = 100
PAGE_MAX: Final = 1_000
SKIP_MAX: Final = 100_000
WINDOW_MAX: Final = 64
NAME_MAX: Final = 256
SINCE_MS: Final = 31 * 86_400_000
EVER_MS: Final = 100 * 366 * 86_400_000
LATEST_MS: Final = 4_102_444_800_000  # 2100
KINDS: Final = ("threshold", "projection", "unpriced")

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Listing:
    """A list that ClickHouse has: its query, what may be asked besides, and what its rows become."""

    name: str
    query: str
    filters: tuple[str, ...]
    since_ms: int
    row: Callable[[Row], Any]

    @property
    def parameters(self) -> tuple[str, ...]:
        """Everything that its address takes."""
        return ("organization", *self.filters, *(("since",) if self.since_ms else ()), "limit", "offset")


FORECASTS: Final = Listing("forecasts", "forecasts_of", ("scope", "window"), 0, forecast_of)
ALERTS: Final = Listing("alerts", "alerts_of", ("kind",), SINCE_MS, alert_of)
ANOMALIES: Final = Listing("anomalies", "anomalies_of", ("scope",), SINCE_MS, anomaly_of)
AUDIT: Final = Listing("audit", "audit_of", ("budget", "by", "action"), EVER_MS, audit_of)
NOTIFICATIONS: Final = Listing("notifications", "notifications_of", ("alert",), SINCE_MS, notification_of)
LISTINGS: Final = (FORECASTS, ALERTS, ANOMALIES, NOTIFICATIONS, AUDIT)


class StatusRoutes:
    """Status is as fresh as the aggregator's balances and needs no ClickHouse; the lists are read from there."""

    def __init__(self, follower: Follower, history: History) -> None:
        self._follower, self._history = follower, history

    def add(self, app: web.Application) -> None:
        """Serve the routes."""
        add_route(app, "GET", STATUS + "{scope:.+}", self._status, roles=[Role.VIEWER])
        for listing in LISTINGS:
            add_route(app, "GET", f"/v1/{listing.name}", self._lister(listing), roles=[Role.VIEWER])

    async def _status(self, request: web.Request) -> web.Response:
        scope = _scope(scope_in_path(request.rel_url.raw_path, STATUS))
        organization = parse_scope(scope)["org"]
        require_organization(request[PRINCIPAL], organization, at="scope")
        if not self._follower.caught_up:
            raise ApiError(
                503, "restoring", "the balances are still being read: try again", headers={"Retry-After": "1"}
            )
        board = self._follower.board
        return json_response(status_of(board.book(organization), board.feed, scope, now_ms()))

    def _lister(self, listing: Listing) -> Callable[[web.Request], Any]:
        async def get(request: web.Request) -> web.Response:
            asked = parameters(request, listing.parameters)
            organization = organization_of(asked.get("organization"), request[PRINCIPAL])
            limit, skip = _number(asked, "limit", PAGE, 1, PAGE_MAX), _number(asked, "offset", 0, 0, SKIP_MAX)
            rows = await self._rows(
                listing.query,
                organization=organization,
                **{name: _filter(name, asked.get(name, ""), organization) for name in listing.filters},
                since_ms=_since(asked.get("since"), listing.since_ms),
                most=limit + 1,
                skip=skip,
            )
            found = [listing.row(row) for row in rows[:limit]]
            more = skip + limit if len(rows) > limit else None
            return json_response({"organization": organization, listing.name: found, "next_offset": more})

        return get

    async def _rows(self, query: str, **parameters: Any) -> list[dict[str, Any]]:
        try:
            return await self._history.rows(query, **parameters)
        except HistoryAway as error:
            message = "ClickHouse does not answer now: try again in a moment"
            raise ApiError(503, "history_away", message, headers={"Retry-After": "5"}) from error


def _scope(text: str) -> str:
    """A scope of some organization, as it is written everywhere. Raises `ApiError`."""
    try:
        dimensions = parse_scope(text)
        scope = scope_key(dimensions)
    except ScopeError as error:
        raise ApiError(422, "invalid_scope", str(error), field="scope") from error
    if "org" not in dimensions:
        raise ApiError(422, "invalid_scope", "the scope must name its organization: org:acme/...", field="scope")
    return scope


def _filter(name: str, text: str, organization: str) -> str:
    if name == "scope" and text:
        scope = _scope(text)
        if parse_scope(scope)["org"] != organization:
            raise ApiError(422, "invalid_scope", "the scope is another organization's", field="scope")
        return scope
    if name == "window" and len(text) > WINDOW_MAX:
        raise ApiError(422, "invalid_parameter", "write month, or one month as month:2026-11", field="window")
    if name in ("alert", "budget", "by", "action") and len(text) > NAME_MAX:
        raise ApiError(422, "invalid_parameter", f"a name has at most {NAME_MAX} characters", field=name)
    if name == "kind" and text and text not in KINDS:
        raise ApiError(422, "invalid_parameter", f"there is: {', '.join(KINDS)}", field="kind")
    return text


def _number(asked: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    text = asked.get(name, str(default))
    if not (text.isascii() and text.isdecimal() and least <= int(text[:9]) <= most):
        raise ApiError(422, "invalid_parameter", f"write a number from {least} to {most}", field=name)
    return int(text)


def _since(text: str | None, back_ms: int) -> int:
    """An instant, or so much before now."""
    if text is None:
        return max(0, now_ms() - back_ms)
    try:
        since = datetime.fromisoformat(text)
        if since.tzinfo is None or not 0 <= to_ms(since) < LATEST_MS:
            raise ValueError("no offset, or no time of ours")
        return to_ms(since)
    except (ValueError, OverflowError) as error:
        message = "write an instant with its offset, as 2026-11-24T00:00:00Z"
        raise ApiError(422, "invalid_parameter", message, field="since") from error
