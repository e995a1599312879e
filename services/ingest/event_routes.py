"""`POST /v1/events`: every event gets its fate, and 202 is said only of what is durable."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from aiohttp import web

from schemas.catalog import EDGE_TYPES
from services.adapters.keys import ANY_ORGANIZATION, Principal, Role
from services.adapters.ledger import EventTooLarge, LedgerUnavailable, LedgerWriter, Receipt, SpoolFull
from services.adapters.metrics import Metrics
from services.adapters.web import PRINCIPAL
from services.adapters.web_body import read_body
from services.adapters.web_errors import ApiError, forbidden, json_response
from services.ingest.admission import ADMIN_TYPES, Admitted, Refused, admit
from services.ingest.formats import cut
from services.ingest.rejected import rejected_event

BREATH_EVENTS = 500
NO_RECEIPT = Receipt("kafka", ())
Verdict = Admitted | Refused


class EventRoutes:
    """The handler of usage events."""

    def __init__(self, ledger: LedgerWriter, metrics: Metrics, *, max_batch_events: int) -> None:
        self._ledger = ledger
        self._max_batch_events = max_batch_events
        self._accepted = metrics.counter("spendgate_ingest_events_total", fate="accepted")
        self._rejected = metrics.counter("spendgate_ingest_events_total", fate="rejected")

    async def post(self, request: web.Request) -> web.Response:
        """Validate, keep, and answer each event's fate."""
        principal = request[PRINCIPAL]
        body = await read_body(request)
        events = cut(body, request.content_type, max_events=self._max_batch_events)
        at_ms = self._ledger.clock.now_ms()
        types = ADMIN_TYPES if principal.role is Role.ADMIN else EDGE_TYPES
        verdicts = await _judge(events, types, at_ms)
        _require_own(verdicts, principal)
        receipt = await self._keep(events, verdicts, principal, at_ms)
        accepted = sum(isinstance(verdict, Admitted) for verdict in verdicts)
        self._accepted.inc(accepted)
        self._rejected.inc(len(verdicts) - accepted)
        return json_response(_answer(verdicts, receipt, accepted), status=202 if accepted else 422)

    async def _keep(
        self, events: Sequence[bytes], verdicts: Sequence[Verdict], principal: Principal, at_ms: int
    ) -> Receipt:
        """Make the admitted durable in the ledger and the refused among the rejections."""
        admitted = [(verdict.organization, verdict.value) for verdict in verdicts if isinstance(verdict, Admitted)]
        sender = "" if principal.organization == ANY_ORGANIZATION else principal.organization
        refused = [
            rejected_event(raw, verdict, organization=sender, now_ms=at_ms)
            for raw, verdict in zip(events, verdicts, strict=True)
            if isinstance(verdict, Refused)
        ]
        return await append(self._ledger, admitted, refused)


async def append(
    ledger: LedgerWriter, events: Sequence[tuple[str, bytes]], rejections: Sequence[tuple[str, bytes]] = ()
) -> Receipt:
    """Keep events and rejections; the receipt is of the events. Raises `ApiError` 413 or 503 when that cannot be."""
    with refusing():
        if rejections and events:
            receipt, _ = await asyncio.gather(ledger.append(events), ledger.append(rejections, to="rejected"))
            return receipt
        if rejections:
            await ledger.append(rejections, to="rejected")
        return await ledger.append(events) if events else NO_RECEIPT


@contextmanager
def refusing() -> Iterator[None]:
    """Answer what the ledger raises when it keeps nothing: `ApiError` 413 or 503."""
    try:
        yield
    except EventTooLarge as error:
        raise ApiError(413, "event_too_large", str(error)) from error
    except (SpoolFull, LedgerUnavailable) as error:
        code = "spool_full" if isinstance(error, SpoolFull) else "ledger_unavailable"
        message = f"nothing was acknowledged: {error}; send all of it again"
        raise ApiError(503, code, message, headers={"Retry-After": "5"}) from error


async def _judge(events: Sequence[bytes], types: Collection[str], at_ms: int) -> list[Verdict]:
    """Judge all events, letting other requests breathe in between."""
    verdicts: list[Verdict] = []
    for start in range(0, len(events), BREATH_EVENTS):
        if start:
            await asyncio.sleep(0)
        verdicts.extend(admit(raw, now_ms=at_ms, types=types) for raw in events[start : start + BREATH_EVENTS])
    return verdicts


def _require_own(verdicts: Sequence[Verdict], principal: Principal) -> None:
    """One event of another organization condemns the request: nothing of it is written."""
    for index, verdict in enumerate(verdicts):
        if verdict.organization is not None and not principal.covers(verdict.organization):
            message = "this key belongs to another organization than the event; nothing of the request was kept"
            raise forbidden("other_organization", message, field=f"events[{index}].data.organization")


def _answer(verdicts: Sequence[Verdict], receipt: Receipt, accepted: int) -> dict[str, Any]:
    answer: dict[str, Any] = {"accepted": accepted, "rejected": len(verdicts) - accepted}
    if accepted:
        positions = [{"partition": partition, "offset": offset} for partition, offset in receipt.positions]
        answer |= {"durability": receipt.durability, "positions": positions}
    else:
        reasons = Counter(verdict.reason for verdict in verdicts if isinstance(verdict, Refused))
        message = f"no event was accepted: {', '.join(reasons)}"
        answer["error"] = {"type": "invalid_request", "code": "no_event_accepted", "message": message}
    answer["events"] = [_fate(verdict) for verdict in verdicts]
    return answer


def _fate(verdict: Verdict) -> dict[str, str | None]:
    if isinstance(verdict, Admitted):
        return {"id": verdict.id, "fate": "accepted"}
    fate = {"id": verdict.id, "fate": "rejected", "reason": verdict.reason, "message": verdict.message}
    return fate if verdict.field is None else {**fate, "field": verdict.field}
