"""What people and programs ask of the notifier: acknowledge by a link, see who was told, and what signs webhooks."""

from __future__ import annotations

from typing import Any, Final, Literal
from uuid import uuid4

import msgspec
from aiohttp import web

from services.adapters import logs
from services.adapters.clock import now_ms
from services.adapters.keys import Role
from services.adapters.ledger import EventTooLarge, LedgerUnavailable, LedgerWriter, SpoolFull
from services.adapters.web import PRINCIPAL, add_route, require_organization
from services.adapters.web_body import read_body
from services.adapters.web_errors import ApiError, json_response
from services.core.events import from_ms, iso
from services.core.notifying import PIPELINE, Contact, Notice, plan
from services.notifier.letter import Writer
from services.notifier.outbox import Outbox
from services.notifier.signing import BadLink, Signer

SOURCE: Final = "spendgate/notifier"
OPERATORS: Final = "(operators)"
"""Whom a notice of the pipeline's own health concerns, in place of an organization."""
SHOWN_MAX: Final = 1_000
FIRING_MAX: Final = 256
STATES: Final = ("waiting", "sent", "dead", "dropped")
PAGE_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
log = logs.logger(__name__)


class _Firing(msgspec.Struct):
    """One alert of Alertmanager's webhook, version 4."""

    status: Literal["firing", "resolved"]
    fingerprint: str
    starts_at: str = msgspec.field(name="startsAt")
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class _Alertmanager(msgspec.Struct):
    alerts: list[_Firing]


_decode_alertmanager = msgspec.json.Decoder(_Alertmanager).decode


class NotifierRoutes:
    """The handlers. `operators` are told of what Prometheus finds wrong with the pipeline."""

    def __init__(
        self, outbox: Outbox, ledger: LedgerWriter, writer: Writer, signer: Signer, operators: Contact | None
    ) -> None:
        self._outbox, self._ledger, self._writer, self._signer = outbox, ledger, writer, signer
        self._operators = operators

    def add(self, app: web.Application) -> None:
        """Serve them."""
        add_route(app, "GET", "/v1/acknowledge", self._ask, roles=None)
        add_route(app, "POST", "/v1/acknowledge", self._acknowledge, roles=None, logged=True)
        add_route(app, "GET", "/v1/notifications", self._notifications, roles=[Role.VIEWER])
        add_route(app, "GET", "/v1/webhook-key", self._webhook_key, roles=[], logged=True)
        add_route(app, "POST", "/v1/pipeline-alerts", self._pipeline, roles=[], logged=True)

    async def _ask(self, request: web.Request) -> web.Response:
        """A page with a button: programs that look at every link of a mail acknowledge nothing."""
        token = request.query.get("token", "")
        try:
            what = self._signer.read_token(token, now_ms())
        except BadLink as error:
            return self._page("This link does not work", f"{error}. Acknowledge in the console instead.", status=400)
        says = f"{what.organization}: {what.notice}. Nobody else will be asked once you have acknowledged it."
        return self._page("Acknowledge an alert", says, token=token)

    async def _acknowledge(self, request: web.Request) -> web.Response:
        form = await request.post()
        try:
            what = self._signer.read_token(str(form.get("token", "")), now_ms())
        except BadLink as error:
            return self._page("This link does not work", f"{error}. Acknowledge in the console instead.", status=400)
        by, note = str(form.get("by", "")).strip(), str(form.get("note", "")).strip()
        if not by or len(by) > 256 or len(note) > 1024 or not (by + note).isprintable():
            return self._page(
                "Who are you?",
                "Write your name, so that others know whom to ask.",
                token=str(form.get("token", "")),
                status=422,
            )
        event = {
            "specversion": "1.0",
            "id": uuid4().hex,
            "source": SOURCE,
            "type": "spendgate.alert.acknowledged.v1",
            "time": iso(now_ms()),
            "data": {"organization": what.organization, "alert": what.notice, "by": by, "note": note},
        }
        try:
            await self._ledger.append([(what.organization, msgspec.json.encode(event))])
        except (EventTooLarge, LedgerUnavailable, SpoolFull) as error:
            log.warning("an acknowledgement could not be kept", reason=str(error))
            return self._page(
                "Not yet",
                "That could not be kept. Try again in a minute.",
                token=str(form.get("token", "")),
                status=503,
            )
        return self._page("Thank you", f"{by} has it from here. Nobody else is asked.")

    async def _notifications(self, request: web.Request) -> web.Response:
        """Who was told of what, the newest first."""
        organization = request.query.get("organization", request[PRINCIPAL].organization)
        require_organization(request[PRINCIPAL], organization)
        state, most = request.query.get("state"), request.query.get("limit", "100")
        if state is not None and state not in STATES:
            raise ApiError(422, "invalid_field", f"one of {', '.join(STATES)}", field="state")
        if not (most.isascii() and most.isdigit() and 1 <= int(most[:6]) <= SHOWN_MAX):
            raise ApiError(422, "invalid_field", f"a number from 1 to {SHOWN_MAX}", field="limit")
        found = await self._outbox.call(self._outbox.of, organization, state, int(most))
        return json_response({"organization": organization, "notifications": [_shown(each) for each in found]})

    async def _webhook_key(self, request: web.Request) -> web.Response:
        """What an organization's receivers check signatures with."""
        organization = request.query.get("organization", "")
        if not organization:
            raise ApiError(422, "missing_organization", "say whose: ?organization=NAME", field="organization")
        require_organization(request[PRINCIPAL], organization)
        return json_response({"organization": organization, "key": self._signer.webhook_key(organization)})

    async def _pipeline(self, request: web.Request) -> web.Response:
        """What Alertmanager sends. Resolved alerts are told of by nobody: what fired was."""
        try:
            told = _decode_alertmanager(await read_body(request))
        except msgspec.MsgspecError as error:
            raise ApiError(422, "invalid_body", f"not what Alertmanager sends: {error}") from error
        if len(told.alerts) > FIRING_MAX:
            raise ApiError(413, "too_many_alerts", f"at most {FIRING_MAX} at a time")
        notices = [_pipeline_notice(each) for each in told.alerts if each.status == "firing"]
        planned = await self._outbox.call(self._plan, notices)
        return json_response({"alerts": len(notices), "new": planned}, status=202)

    def _plan(self, notices: list[Notice]) -> int:
        contacts = () if self._operators is None else (self._operators,)
        with self._outbox.step({}):
            new = [notice for notice in notices if not self._outbox.knows(notice.id)]
            for notice in new:
                self._outbox.plan(notice, plan(notice, contacts))
        return len(new)

    def _page(self, title: str, says: str, *, token: str = "", status: int = 200) -> web.Response:
        html = self._writer.page("acknowledge.html.j2", title=title, says=says, token=token)
        return web.Response(text=html, content_type="text/html", status=status, headers=PAGE_HEADERS)


def _pipeline_notice(firing: _Firing) -> Notice:
    name = firing.labels.get("alertname", "alert")[:128]
    says = firing.annotations.get("summary") or name
    lines = [text[:1024] for key in ("advice", "description") if (text := firing.annotations.get(key))]
    severity = firing.labels.get("severity")
    return Notice(
        id=f"pipeline/{firing.fingerprint[:64]}/{firing.starts_at[:64]}",
        organization=OPERATORS,
        kind=PIPELINE,
        severity="critical" if severity in ("critical", "page") else "warning",
        scope="pipeline",
        budget=None,
        raised_at_ms=now_ms(),
        facts={"says": f"{name}: {says}"[:512], "lines": lines},
    )


def _shown(notification: Any) -> dict[str, Any]:
    built: dict[str, Any] = msgspec.to_builtins(notification)
    built["at"] = from_ms(built.pop("at_ms")).isoformat().replace("+00:00", "Z")
    return built
