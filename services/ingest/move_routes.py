"""Moves of money between budgets: an admin asks for one, and hears whether the ledger made it, or why it did not."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import msgspec
from aiohttp import web

from schemas.moving import MoveRequest
from services.adapters.clock import now_ms
from services.adapters.ledger import LedgerWriter, Receipt
from services.adapters.web import PRINCIPAL, require_organization
from services.adapters.web_body import read_body
from services.adapters.web_errors import ApiError, json_response
from services.core.effects import PolicyEntry
from services.core.events import from_ms
from services.core.moving_events import BudgetMoved, Move
from services.core.outcomes import Rejection
from services.ingest.changes import read_change
from services.ingest.event_routes import append
from services.ingest.policy_book import PolicyBook
from services.ingest.policy_routes import NEVER, SOURCE
from services.ingest.refusals import Refusals


class MoveRoutes:
    """The handler of moves. `apply_wait_s`: how long a move waits for the ledger's word before 202."""

    def __init__(self, ledger: LedgerWriter, book: PolicyBook, refusals: Refusals, *, apply_wait_s: float) -> None:
        self._ledger, self._book, self._refusals, self._apply_wait_s = ledger, book, refusals, apply_wait_s

    async def post(self, request: web.Request) -> web.Response:
        """Move money of a window from one budget to another."""
        change = read_change(await read_body(request), MoveRequest)
        require_organization(request[PRINCIPAL], change.organization)
        if change.until is not None and change.until <= from_ms(now_ms()):
            raise ApiError(422, "invalid_field", "must lie in the future", field="until")
        name = uuid4().hex
        event = BudgetMoved(
            id=name,
            source=SOURCE,
            time=from_ms(now_ms()),
            subject=change.organization,
            data=Move(**change.model_dump(), move=name, key_id=request[PRINCIPAL].key_id),
        )
        receipt = await append(self._ledger, [(change.organization, msgspec.json.encode(event))])
        applied = await self._applied(change.organization, name, receipt)
        positions = [{"partition": partition, "offset": offset} for partition, offset in receipt.positions]
        answer = {"organization": change.organization, "move": name, "applied": applied}
        told = answer | {"durability": receipt.durability, "positions": positions}
        return json_response(told, status=200 if applied else 202)

    async def _applied(self, organization: str, name: str, receipt: Receipt) -> bool:
        """Whether it is made; False when nobody knows yet. Raises `ApiError` when it is refused."""
        if not receipt.positions:
            return False
        place, wait_s = receipt.positions[0], self._apply_wait_s
        made = asyncio.create_task(self._book.outcome(organization, place[1], version=NEVER, wait_s=wait_s))
        refused = asyncio.create_task(self._refusals.of(place, wait_s=wait_s))
        try:
            await asyncio.wait([made, refused], return_when=asyncio.FIRST_COMPLETED)
            if made.done() and _has(made.result(), name):
                return True
            rejection = await refused
            if rejection is not None:
                raise _refusal(rejection)
            return _has(await made, name)
        finally:
            made.cancel()
            refused.cancel()
            await asyncio.gather(made, refused, return_exceptions=True)


def _has(entry: PolicyEntry | None, name: str) -> bool:
    return entry is not None and any(move.move == name for move in entry.moves)


def _refusal(rejection: Rejection) -> ApiError:
    """409 for what only the ledger knows: it may be possible later, or with another amount."""
    field = None if rejection.field is None else rejection.field.removeprefix("data.")
    return ApiError(409, rejection.reason, rejection.detail, field=field)
