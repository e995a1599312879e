"""The OpenAPI document of ingest."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from schemas.events import UsageCorrected, UsageRecorded
from schemas.governance import ReviewRequest
from schemas.moving import MoveRequest
from schemas.policy import Policy
from schemas.steering import BoostRequest, FarewellRequest
from services.adapters.openapi import answer, components, document, ref, refusals
from services.ingest import acknowledgement_routes
from services.ingest.changes import AcknowledgementRequest, PolicyRequest, ProposalRequest
from services.ingest.formats import BATCH, JSON, LINES, ONE
from services.ingest.move_openapi import MOVE_IN_FORCE, moved, post_move
from services.ingest.proposal_openapi import BOOST, KEY_ID, PROPOSAL, PROPOSALS, proposal_paths

DESCRIPTION = """The door for usage events, policies and boosts.

An event is acknowledged only once it is durable: Kafka has it, or, while Kafka is away, this machine's disk has. It is
named by its `source` and `id`; sent twice, it counts once, so after a 5xx or no answer, send it again.
"""
EVENT_EXAMPLE = {
    "specversion": "1.0",
    "id": "req-01J9ZK7M",
    "source": "gateway/eu-1",
    "type": "spendgate.usage.recorded.v1",
    "time": "2026-11-24T12:00:00.123Z",
    "data": {
        "organization": "acme",
        "project": "search",
        "team": "ranking",
        "user": "alice",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.usage.input_tokens": 1200,
        "gen_ai.usage.output_tokens": 300,
        "tags": {"feature": "autocomplete"},
    },
}
POSITIONS = {
    "type": "array",
    "description": "The last ledger positions the request took; without those that are still in the spool.",
    "items": {
        "type": "object",
        "required": ["partition", "offset"],
        "properties": {
            "partition": {"type": "integer", "minimum": 0},
            "offset": {"type": "integer", "minimum": 0},
        },
    },
}
DURABILITY = {
    "type": "string",
    "enum": ["kafka", "spool"],
    "description": "`spool`: on this machine's disk, and in Kafka as soon as it answers again.",
}
FATE = {
    "type": "object",
    "required": ["id", "fate"],
    "properties": {
        "id": {"type": ["string", "null"], "description": "The event's id; null when it could not be read."},
        "fate": {"type": "string", "enum": ["accepted", "rejected"]},
        "reason": {"type": "string", "examples": ["late", "future", "missing", "out_of_range", "malformed"]},
        "field": {"type": "string", "examples": ["data.gen_ai.usage.input_tokens"]},
        "message": {"type": "string"},
    },
}
FATES = {
    "type": "object",
    "required": ["accepted", "rejected", "events"],
    "properties": {
        "accepted": {"type": "integer", "minimum": 0},
        "rejected": {"type": "integer", "minimum": 0, "description": "Kept with the reason, not counted."},
        "durability": DURABILITY,
        "positions": POSITIONS,
        "events": {"type": "array", "items": FATE, "description": "Each event's fate, in the order they came."},
    },
}
CHANGED = {
    "type": "object",
    "required": ["organization", "applied", "durability", "positions"],
    "properties": {
        "organization": {"type": "string"},
        "version": {"type": "integer", "minimum": 1},
        "budget": {"type": "string"},
        "proposal": {"type": "string", "description": "The proposal that was opened or decided."},
        "applied": {"type": "boolean", "description": "Whether it is in force already."},
        "durability": DURABILITY,
        "positions": POSITIONS,
    },
}
FORGOTTEN = {
    "type": "object",
    "required": ["enforcer", "durability", "positions"],
    "properties": {"enforcer": {"type": "string"}, "durability": DURABILITY, "positions": POSITIONS},
}
POLICY_IN_FORCE = {
    "type": "object",
    "required": ["organization", "version", "policy", "by", "reason", "offset", "boosts"],
    "properties": {
        "organization": {"type": "string"},
        "version": {"type": "integer", "minimum": 1},
        "policy": ref("Policy"),
        "by": {"type": "string"},
        "key_id": KEY_ID,
        "reason": {"type": "string"},
        "approved_by": {"type": ["string", "null"], "description": "The second person, if there was one."},
        "offset": {"type": "integer", "description": "The ledger offset that changed it last."},
        "latest_offset": {"type": "integer", "description": "The same, open proposals included."},
        "boosts": {"type": "array", "items": ref("Boost")},
        "proposals": {"type": "array", "items": ref("Proposal")},
        "moves": {"type": "array", "items": ref("Move")},
    },
}


def openapi() -> dict[str, Any]:
    """The document, as `/openapi.json` serves it."""
    bodies: list[type[BaseModel]] = [
        PolicyRequest,
        BoostRequest,
        MoveRequest,
        ProposalRequest,
        ReviewRequest,
        FarewellRequest,
        AcknowledgementRequest,
    ]
    schemas = components([UsageRecorded, UsageCorrected, Policy, *bodies])
    schemas["PolicyRequest"]["properties"]["policy"] = ref("Policy")
    schemas["ProposalRequest"] |= {"oneOf": [{"required": ["policy"]}, {"required": ["boost"]}]}
    schemas["ProposalRequest"]["properties"] |= {"policy": ref("Policy"), "boost": ref("WantedBoost")}
    schemas |= {"Event": _event(), "Fates": FATES, "Changed": CHANGED, "PolicyInForce": POLICY_IN_FORCE}
    schemas |= {"Forgotten": FORGOTTEN, "Boost": BOOST, "Proposal": PROPOSAL, "Proposals": PROPOSALS}
    schemas |= {"Moved": moved(DURABILITY, POSITIONS), "Move": MOVE_IN_FORCE}
    paths = {
        "/v1/events": {"post": _post_events()},
        "/v1/policies": {"post": _post_policy()},
        "/v1/policies/{organization}": {"get": _get_policy()},
        "/v1/boosts": {"post": _post_boost()},
        "/v1/moves": {"post": post_move()},
        **proposal_paths(),
        "/v1/enforcers/forget": {"post": _forget_enforcer()},
        **acknowledgement_routes.OPENAPI,
    }
    return document(title="Spendgate ingest", description=DESCRIPTION, paths=paths, schemas=schemas)


def _forget_enforcer() -> dict[str, Any]:
    example = {"enforcer": "enforcer-1f0c9a2b", "by": "alice@example.com", "reason": "its machine is gone"}
    return {
        "operationId": "forgetEnforcer",
        "summary": "Give the shares of an enforcer that is gone for good to the others, at once.",
        "description": "Needs an admin key of every organization. What a live enforcer reserved may be spent twice: "
        "stop it first. It would go on as a new one.",
        "tags": ["enforcers"],
        "requestBody": {"required": True, "content": {JSON: {"schema": ref("FarewellRequest"), "example": example}}},
        "responses": {
            "202": answer("Durable in every partition of the ledger.", ref("Forgotten")),
            **refusals(400, 401, 403, 413, 415, 422, 500, 503),
        },
    }


def _event() -> dict[str, Any]:
    kinds = {"spendgate.usage.recorded.v1": "UsageRecorded", "spendgate.usage.corrected.v1": "UsageCorrected"}
    return {
        "description": "A CloudEvent. Corrections need an admin key.",
        "oneOf": [ref(name) for name in kinds.values()],
        "discriminator": {
            "propertyName": "type",
            "mapping": {kind: ref(name)["$ref"] for kind, name in kinds.items()},
        },
    }


def _post_events() -> dict[str, Any]:
    batch = {"schema": {"type": "array", "minItems": 1, "items": ref("Event")}, "example": [EVENT_EXAMPLE]}
    lines = {"schema": {"type": "string", "description": "One event a line."}}
    accepted = {
        "accepted": 1,
        "rejected": 0,
        "durability": "kafka",
        "positions": [{"partition": 2, "offset": 1841}],
        "events": [{"id": "req-01J9ZK7M", "fate": "accepted"}],
    }
    return {
        "operationId": "postEvents",
        "summary": "Report usage: one event, a batch, or JSON lines.",
        "description": "An edge key may report its own organization. `Content-Encoding: gzip` is understood. One event "
        "of another organization refuses the whole request; otherwise each event has its own fate.",
        "tags": ["events"],
        "requestBody": {
            "required": True,
            "content": {
                ONE: {"schema": ref("Event"), "example": EVENT_EXAMPLE},
                BATCH: batch,
                JSON: batch,
                LINES: lines,
            },
        },
        "responses": {
            "202": answer("At least one event was accepted, and all accepted ones are durable.", ref("Fates"),
                          example=accepted),
            "422": answer("No event was accepted; each is kept with its reason.",
                          {"allOf": [ref("Error"), ref("Fates")]}),
            **refusals(400, 401, 403, 413, 415, 500, 503),
        },
    }  # fmt: skip


def _post_policy() -> dict[str, Any]:
    example = {
        "policy": {
            "organization": "acme",
            "budgets": [{"name": "company-month", "limit_usd": "50000", "window": "month"}],
        },
        "by": "alice@example.com",
        "reason": "a first budget",
        "expected_version": 0,
    }
    return {
        "operationId": "postPolicy",
        "summary": "Replace an organization's policy.",
        "description": "Needs an admin key. The version is given by the service: one above that in force.",
        "tags": ["policies"],
        "requestBody": {
            "required": True,
            "content": {JSON: {"schema": ref("PolicyRequest"), "example": example}},
        },
        "responses": {
            "200": answer("The policy is in force.", ref("Changed")),
            "202": answer("The policy is durable and will be in force soon.", ref("Changed")),
            **refusals(400, 401, 403, 409, 413, 415, 422, 500, 503),
        },
    }


def _get_policy() -> dict[str, Any]:
    organization = {
        "name": "organization",
        "in": "path",
        "required": True,
        "schema": {"type": "string", "minLength": 1, "maxLength": 256},
        "example": "acme",
    }
    return {
        "operationId": "getPolicy",
        "summary": "The policy in force, with its boosts and moves.",
        "tags": ["policies"],
        "parameters": [organization],
        "responses": {
            "200": answer("The policy in force.", ref("PolicyInForce")),
            **refusals(401, 403, 404, 500, 503),
        },
    }


def _post_boost() -> dict[str, Any]:
    example = {
        "organization": "acme",
        "budget": "company-month",
        "amount_usd": "250.00",
        "until": "2099-01-01T00:00:00Z",
        "by": "alice@example.com",
        "reason": "launch week",
    }
    return {
        "operationId": "postBoost",
        "summary": "Give one budget extra room until an instant.",
        "description": "Needs an admin key. The budget must be in the policy in force.",
        "tags": ["policies"],
        "requestBody": {"required": True, "content": {JSON: {"schema": ref("BoostRequest"), "example": example}}},
        "responses": {
            "200": answer("The boost is in force.", ref("Changed")),
            "202": answer("The boost is durable and will be in force soon.", ref("Changed")),
            **refusals(400, 401, 403, 413, 415, 422, 500, 503),
        },
    }
