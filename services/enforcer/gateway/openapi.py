"""The gateways' routes in the enforcer's OpenAPI document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from services.adapters.openapi import JSON, answer, ref, refusals
from services.enforcer.gateway.envoy_http import PATH as EXT_AUTHZ
from services.enforcer.gateway.headers import NUMBERS, PREFIX, WORDS
from services.enforcer.gateway.nginx import PATH as AUTH_REQUEST

TOLD: Final = (
    "decision",
    "action",
    "tier",
    "model",
    "estimate-usd",
    "reservation",
    "binding",
    "remaining-usd",
    "warnings",
)
MODEL_REQUEST: Final[Mapping[str, Any]] = {
    "type": "object",
    "description": "A client's request to a model API, in OpenAI's or Anthropic's shape; more fields are welcome.",
    "required": ["model"],
    "properties": {
        "model": {"type": "string", "minLength": 1, "maxLength": 256},
        "messages": {"type": "array", "items": {"type": "object"}},
        "max_tokens": {"type": "integer", "minimum": 0, "maximum": 100_000_000},
        "tools": {"type": "array", "items": {"type": "object"}},
    },
}
MODEL_EXAMPLE: Final = {"model": "gpt-4o", "max_tokens": 512, "messages": [{"role": "user", "content": "Good day!"}]}
REFUSED: Final[Mapping[str, Any]] = {
    "allOf": [ref("Error")],
    "properties": {"decision": {"type": "string"}, "remedies": {"type": "array", "items": {"type": "string"}}},
}


def gateway_paths(deny_status: int) -> dict[str, Any]:
    """Envoy's and nginx's routes. `deny_status`: a denial's, 200 standing for 429."""
    status = 429 if deny_status == 200 else deny_status
    return {EXT_AUTHZ + "/{path}": {"post": _ext_authz(status)}, AUTH_REQUEST: {"get": _auth_request()}}


def _ext_authz(status: int) -> dict[str, Any]:
    path = {"name": "path", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
    body = {"required": True, "content": {JSON: {"schema": MODEL_REQUEST, "example": MODEL_EXAMPLE}}}
    return {
        "operationId": "ext_authz",
        "summary": "Envoy's `ext_authz` over HTTP: may this request of a client's go through?",
        "tags": ["gateways"],
        "parameters": [{**path, "description": "The client's own path."}, *_parameters()],
        "requestBody": body,
        "responses": {
            **refusals(400, 401, 403, 413, 415, 422, 500, 503),
            "200": {"description": "It may.", "headers": _told()},
            **{str(one): answer("It may not, or not now.", REFUSED) for one in {status, 429}},
        },
    }


def _auth_request() -> dict[str, Any]:
    headers = {
        **_told(),
        "x-budget-status": {"schema": {"type": "string"}, "description": "The status for the client."},
        "x-budget-body": {"schema": {"type": "string"}, "description": "The body for the client."},
    }
    return {
        "operationId": "auth_request",
        "summary": "nginx's `auth_request`: may a client's request go through, by headers alone?",
        "tags": ["gateways"],
        "parameters": _parameters(),
        "responses": {
            **refusals(401, 500, 503),
            "204": {"description": "It may.", "headers": _told()},
            "403": answer("It may not; or the gateway's key may not ask.", ref("Error"), headers=headers),
        },
    }


def _parameters() -> list[dict[str, Any]]:
    text = {"type": "string", "maxLength": 256}
    number = {"type": "integer", "minimum": 0, "maximum": 100_000_000}
    says = [(name, number if name in NUMBERS else text) for name in (*WORDS, *NUMBERS)]
    return [{"name": PREFIX + name, "in": "header", "schema": schema} for name, schema in says]


def _told() -> dict[str, Any]:
    return {PREFIX + name: {"schema": {"type": "string"}} for name in TOLD}
