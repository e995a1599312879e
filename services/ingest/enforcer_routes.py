"""Enforcers that are gone for good: an admin says so, and their shares of every budget are free at once."""

from __future__ import annotations

from uuid import uuid4

import msgspec
from aiohttp import web

from schemas.steering import FarewellRequest
from services.adapters.clock import now_ms
from services.adapters.ledger import LedgerWriter
from services.adapters.web import PRINCIPAL, require_organization
from services.adapters.web_body import read_body
from services.adapters.web_errors import json_response
from services.core.events import EnforcerForgotten, Farewell, from_ms
from services.ingest.changes import read_change
from services.ingest.event_routes import refusing

SOURCE = "spendgate/ingest"
EVERYBODY = "*"


class EnforcerRoutes:
    """The handler of farewells."""

    def __init__(self, ledger: LedgerWriter) -> None:
        self._ledger = ledger

    async def forget(self, request: web.Request) -> web.Response:
        """Free the shares of an enforcer, in every partition of the ledger; 202 once that is durable."""
        change = read_change(await read_body(request), FarewellRequest)
        require_organization(request[PRINCIPAL], EVERYBODY, at="enforcer")
        farewell = Farewell(**change.model_dump(), key_id=request[PRINCIPAL].key_id)
        event = EnforcerForgotten(id=uuid4().hex, source=SOURCE, time=from_ms(now_ms()), data=farewell)
        with refusing():
            receipt = await self._ledger.append_everywhere(msgspec.json.encode(event))
        positions = [{"partition": partition, "offset": offset} for partition, offset in receipt.positions]
        answer = {"enforcer": change.enforcer, "durability": receipt.durability, "positions": positions}
        return json_response(answer, status=202)
