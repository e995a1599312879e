"""The enforcer's routes: bytes in, one call into the engine, bytes out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import msgspec
from aiohttp import web

from services.adapters.answer import JSON, HttpAnswer, answer
from services.adapters.clock import steady_ms
from services.adapters.keys import Principal, Role
from services.adapters.metrics import Metrics
from services.adapters.scope_path import scope_in_path
from services.adapters.shortcut import Answered
from services.adapters.web import PRINCIPAL, add_hot_route, add_route
from services.adapters.web_body import decode_json
from services.adapters.web_errors import ApiError, json_response
from services.core.ask import Ask
from services.core.check import AskDecoder, Check
from services.core.decision import Decision, LedgerPosition
from services.enforcer.desk import WAIT_MS_DEFAULT, WAIT_MS_MAX, Desk
from services.enforcer.http_answer import is_refused, refused
from services.enforcer.positions import enforcers_of, positions_of
from services.enforcer.report import Release, Report
from services.enforcer.wants import Shortage

STATUS_PATH: Final = "/v1/status/"

_AFTER = re.compile(r"(0|[1-9][0-9]{0,5}):(0|[1-9][0-9]{0,17})", re.ASCII)
_WAIT = re.compile(r"[0-9]{1,5}", re.ASCII)

_ask = AskDecoder(msgspec.json.Decoder(Ask), msgspec.json.Decoder(Check))
_report = msgspec.json.Decoder(Report)
_release = msgspec.json.Decoder(Release)
_encode = msgspec.json.Encoder().encode


class Api:
    """The handlers. All state is the engine's, and what a key may do is the desk's to say."""

    def __init__(self, desk: Desk, metrics: Metrics, *, deny_status: int) -> None:
        self._desk, self._engine, self._deny_status = desk, desk.engine, deny_status
        engine = desk.engine
        metrics.gauge("spendgate_reservations").set_function(lambda: len(engine.reservations))
        metrics.gauge("spendgate_standings").set_function(lambda: len(engine.standings.known))

    def add_to(self, app: web.Application) -> None:
        """Serve these routes."""
        add_hot_route(app, "/v1/check", self.check, roles=[Role.EDGE])
        add_hot_route(app, "/v1/settle", self.settle, roles=[Role.EDGE])
        add_hot_route(app, "/v1/release", self.release, roles=[Role.EDGE])
        add_route(app, "GET", "/v1/explain/{decision}", self.explain, roles=[Role.EDGE, Role.VIEWER])
        add_route(app, "GET", STATUS_PATH + "{scope:.+}", self.status, roles=[Role.EDGE, Role.VIEWER])
        add_route(app, "GET", "/v1/enforcers", self.enforcers, roles=[Role.EDGE, Role.VIEWER])
        add_route(app, "GET", "/v1/position", self.position, roles=[Role.EDGE, Role.VIEWER])

    def check(self, principal: Principal, body: bytes) -> Answered:
        """Decide a request; a denial has its own status, and the same body with an `error` before it."""
        ask = decode_json(body, _ask)
        decision = self._desk.check(principal, ask)
        if isinstance(decision, Shortage):
            return self._check_waiting(principal, ask, decision)
        return self._told(decision)

    def settle(self, principal: Principal, body: bytes) -> Answered:
        """Replace a reservation by what was used, once that is durable."""
        return self._settle(principal, decode_json(body, _report))

    def release(self, principal: Principal, body: bytes) -> HttpAnswer:
        """Give back what was reserved for a request that was never made."""
        return HttpAnswer(200, JSON, _encode(self._desk.release(principal, decode_json(body, _release))))

    async def status(self, request: web.Request) -> web.Response:
        """A scope's balances and budgets, after a ledger position if one is asked for."""
        after, wait_ms = awaited(request.query)
        scope = scope_in_path(request.rel_url.raw_path, STATUS_PATH)
        return json_response(await self._desk.status(request[PRINCIPAL], scope, after, wait_ms))

    async def explain(self, request: web.Request) -> web.StreamResponse:
        """A decision that was made here lately, as it was answered."""
        return answer(request, self._desk.explain(request[PRINCIPAL], request.match_info["decision"]))

    async def enforcers(self, _request: web.Request) -> web.Response:
        """Every enforcer that the ledger knows."""
        return json_response(enforcers_of(self._engine))

    async def position(self, _request: web.Request) -> web.Response:
        """How far the ledger has been applied here."""
        return json_response(positions_of(self._engine, steady_ms()))

    async def _check_waiting(self, principal: Principal, ask: Ask, shortage: Shortage) -> HttpAnswer:
        return self._told(await self._desk.check_waiting(principal, ask, shortage))

    async def _settle(self, principal: Principal, report: Report) -> HttpAnswer:
        return HttpAnswer(200, JSON, _encode(await self._desk.settle(principal, report)))

    def _told(self, decision: Decision) -> HttpAnswer:
        """The decision as it is answered and kept."""
        encoded = _encode(decision)
        self._desk.publish(decision, json=encoded)
        if is_refused(decision) and not decision.dry_run and self._deny_status != 200:
            return refused(decision, self._deny_status, encoded)
        return HttpAnswer(200, JSON, encoded)


def awaited(query: Mapping[str, str]) -> tuple[LedgerPosition | None, int]:
    """The ledger position that a query wants to see applied, and how long it waits for that. Raises `ApiError`."""
    after, wait_ms = query.get("after"), query.get("wait_ms", str(WAIT_MS_DEFAULT))
    if not _WAIT.fullmatch(wait_ms) or int(wait_ms) > WAIT_MS_MAX:
        raise ApiError(422, "invalid_field", f"wait_ms is from 0 to {WAIT_MS_MAX}", field="wait_ms")
    if after is None:
        return None, int(wait_ms)
    found = _AFTER.fullmatch(after)
    if found is None:
        raise ApiError(422, "invalid_field", "after is <partition>:<offset>, as a settlement tells it", field="after")
    return LedgerPosition(partition=int(found[1]), offset=int(found[2])), int(wait_ms)
