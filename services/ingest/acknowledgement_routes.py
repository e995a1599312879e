"""Acknowledgements: somebody takes an alert from here, and whoever would be asked next is not."""

from __future__ import annotations

from typing import Final
from uuid import uuid4

import msgspec
from aiohttp import web

from services.adapters.clock import now_ms
from services.adapters.ledger import LedgerWriter
from services.adapters.openapi import answer, ref, refusals
from services.adapters.web import PRINCIPAL, require_organization
from services.adapters.web_body import read_body
from services.adapters.web_errors import json_response
from services.core.events import Acknowledgement, AlertAcknowledged, from_ms
from services.ingest.changes import AcknowledgementRequest, read_change
from services.ingest.event_routes import append

SOURCE: Final = "spendgate/ingest/acknowledgements"
"""Of these alone: an id that a viewer has chosen must not take the name of a change that only an admin may make."""
_EXAMPLE: Final = {"organization": "acme", "alert": "company-month/org:acme@month:2026-11/9000", "by": "alice"}
_KEPT: Final = {
    "type": "object",
    "required": ["id", "alert", "durability", "positions"],
    "properties": {
        "id": {"type": "string", "description": "Yours, or the one it was given."},
        "alert": {"type": "string"},
        "durability": {"type": "string", "enum": ["kafka", "spool"]},
        "positions": {"type": "array", "items": {"type": "object"}},
    },
}
OPENAPI: Final = {
    "/v1/acknowledgements": {
        "post": {
            "operationId": "acknowledge",
            "summary": "Take an alert from here: whoever would be asked next is not.",
            "description": "A viewer key of the organization is enough. After a 5xx or no answer send it again with "
            "the same `id`: it counts once.",
            "tags": ["alerts"],
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": ref("AcknowledgementRequest"), "example": _EXAMPLE}},
            },
            "responses": {
                "202": answer("Durable.", _KEPT),
                **refusals(400, 401, 403, 413, 415, 422, 500, 503),
            },
        }
    }
}


class AcknowledgementRoutes:
    """The handler of acknowledgements. Whoever may see an organization's alerts may acknowledge them."""

    def __init__(self, ledger: LedgerWriter) -> None:
        self._ledger = ledger

    async def post(self, request: web.Request) -> web.Response:
        """Acknowledge an alert; 202 once that is durable. Sent again under its id it counts once."""
        told = read_change(await read_body(request), AcknowledgementRequest)
        require_organization(request[PRINCIPAL], told.organization)
        event = AlertAcknowledged(
            id=told.id or uuid4().hex,
            source=SOURCE,
            time=from_ms(now_ms()),
            subject=told.organization,
            data=Acknowledgement(
                organization=told.organization,
                alert=told.alert,
                by=told.by,
                note=told.note,
                key_id=request[PRINCIPAL].key_id,
            ),
        )
        receipt = await append(self._ledger, [(told.organization, msgspec.json.encode(event))])
        positions = [{"partition": partition, "offset": offset} for partition, offset in receipt.positions]
        kept = {"id": event.id, "alert": told.alert, "durability": receipt.durability, "positions": positions}
        return json_response(kept, status=202)
