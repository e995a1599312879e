"""The part of ingest's OpenAPI document about proposals and their reviews."""

from __future__ import annotations

from typing import Any, Final

from services.adapters.openapi import answer, ref, refusals
from services.ingest.formats import JSON

KEY_ID: Final = {"type": ["string", "null"], "description": "The API key behind it; `by` is what its holder wrote."}
BOOST: Final = {
    "type": "object",
    "required": ["budget", "amount_usd", "until_ms", "by"],
    "properties": {
        "budget": {"type": "string"},
        "amount_usd": {"type": "string"},
        "until_ms": {"type": "integer"},
        "by": {"type": "string"},
        "key_id": KEY_ID,
        "reason": {"type": "string"},
        "approved_by": {"type": ["string", "null"], "description": "The second person, if it needed one."},
    },
}
PROPOSAL: Final = {
    "type": "object",
    "description": "What awaits a second person: a policy or a boost.",
    "required": ["proposal", "by", "base", "proposed_at_ms", "expires_at_ms"],
    "properties": {
        "proposal": {"type": "string"},
        "by": {"type": "string"},
        "key_id": KEY_ID,
        "reason": {"type": "string"},
        "base": {"type": "integer", "description": "The version in force when it was made."},
        "proposed_at_ms": {"type": "integer"},
        "expires_at_ms": {"type": "integer"},
        "version": {"type": "integer", "description": "Of a policy: the version that it would be."},
        "policy": ref("Policy"),
        "boost": ref("Boost"),
    },
}
PROPOSALS: Final = {
    "type": "object",
    "required": ["organization", "version", "proposals"],
    "properties": {
        "organization": {"type": "string"},
        "version": {"type": "integer", "minimum": 0, "description": "The version in force; 0 for none."},
        "proposals": {"type": "array", "items": ref("Proposal"), "maxItems": 8},
    },
}
NAME: Final = {"type": "string", "minLength": 1, "maxLength": 256}


def proposal_paths() -> dict[str, Any]:
    """The routes of proposals."""
    return {
        "/v1/proposals": {"post": _post_proposal()},
        "/v1/proposals/{organization}": {"get": _get_proposals()},
        "/v1/proposals/{proposal}/review": {"post": _review_proposal()},
    }


def _post_proposal() -> dict[str, Any]:
    example = {
        "policy": {
            "organization": "acme",
            "budgets": [{"name": "company-month", "limit_usd": "60000", "window": "month"}],
        },
        "by": "alice@example.com",
        "reason": "Q1 plan",
    }
    return {
        "operationId": "postProposal",
        "summary": "Propose a policy, or request a boost, for another person to approve.",
        "description": "Needs an admin key. A policy is proposed in place of the one in force: once another policy is, "
        "the proposal is closed. What nobody decides expires after 30 days.",
        "tags": ["proposals"],
        "requestBody": {"required": True, "content": {JSON: {"schema": ref("ProposalRequest"), "example": example}}},
        "responses": {
            "200": answer("The proposal is open.", ref("Changed")),
            "202": answer("The proposal is durable and will be open soon.", ref("Changed")),
            **refusals(400, 401, 403, 409, 413, 415, 422, 500, 503),
        },
    }


def _get_proposals() -> dict[str, Any]:
    return {
        "operationId": "getProposals",
        "summary": "What awaits a second person.",
        "tags": ["proposals"],
        "parameters": [_in_path("organization", "acme")],
        "responses": {"200": answer("The open proposals.", ref("Proposals")), **refusals(401, 403, 500, 503)},
    }


def _review_proposal() -> dict[str, Any]:
    example = {"organization": "acme", "verdict": "approve", "by": "bob@example.com", "note": "as agreed"}
    return {
        "operationId": "reviewProposal",
        "summary": "Approve or reject a proposal; its author withdraws it by rejecting it.",
        "description": "Needs an admin key: to approve, another one than the author's, in another person's name. What "
        "is approved is in force at once.",
        "tags": ["proposals"],
        "parameters": [_in_path("proposal", "prop-1f0c9a2b7d3e4f50")],
        "requestBody": {"required": True, "content": {JSON: {"schema": ref("ReviewRequest"), "example": example}}},
        "responses": {
            "200": answer("The proposal is decided.", ref("Changed")),
            "202": answer("The review is durable and will count soon.", ref("Changed")),
            **refusals(400, 401, 403, 404, 409, 413, 415, 422, 500, 503),
        },
    }


def _in_path(name: str, example: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": NAME, "example": example}
