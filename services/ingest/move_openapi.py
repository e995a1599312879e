"""What the OpenAPI document of ingest says of moves of money."""

from __future__ import annotations

from typing import Any

from services.adapters.openapi import answer, ref, refusals
from services.ingest.formats import JSON
from services.ingest.proposal_openapi import KEY_ID

MOVE_IN_FORCE = {
    "type": "object",
    "description": "Money that is another budget's until `ends_ms`, the end of its window.",
    "required": ["move", "from_budget", "to_budget", "amount_usd", "since_ms", "by"],
    "properties": {
        **{name: {"type": "string"} for name in ("move", "from_budget", "to_budget", "amount_usd", "by", "reason")},
        **{name: {"type": "integer"} for name in ("since_ms", "ends_ms", "until_ms")},
        **{name: {"type": "string"} for name in ("rule", "returns")},
        "key_id": KEY_ID,
    },
}


def moved(durability: dict[str, Any], positions: dict[str, Any]) -> dict[str, Any]:
    """The answer to a move, with where it is durable."""
    return {
        "type": "object",
        "required": ["organization", "move", "applied", "durability", "positions"],
        "properties": {
            "organization": {"type": "string"},
            "move": {"type": "string", "description": "The name of the move in the ledger."},
            "applied": {"type": "boolean", "description": "Whether it is in force; false: not known yet."},
            "durability": durability,
            "positions": positions,
        },
    }


def post_move() -> dict[str, Any]:
    """The route that moves money."""
    example = {
        "organization": "acme",
        "from_budget": "reserve-month",
        "to_budget": "company-month",
        "amount_usd": "250.00",
        "by": "alice@example.com",
        "reason": "launch week",
    }
    return {
        "operationId": "postMove",
        "summary": "Move money from one budget to another, to the end of their window.",
        "description": "Needs an admin key. Only what is neither spent nor held by enforcers can be moved; a refusal "
        "(409) says how much that is. From `until` on, what is free of it is given back before the window ends.",
        "tags": ["policies"],
        "requestBody": {"required": True, "content": {JSON: {"schema": ref("MoveRequest"), "example": example}}},
        "responses": {
            "200": answer("The money is moved.", ref("Moved")),
            "202": answer("The move is durable; the ledger will make or refuse it soon.", ref("Moved")),
            **refusals(400, 401, 403, 409, 413, 415, 422, 500, 503),
        },
    }
