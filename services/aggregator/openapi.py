"""The OpenAPI document of the aggregator's own port."""

from __future__ import annotations

from typing import Any

from services.core.scope import Level

_PARAMETERS: list[dict[str, Any]] = [
    {"name": "level", "in": "path", "required": True, "schema": {"type": "string", "enum": list(Level)}},
    {"name": "organization", "in": "query", "schema": {"type": "string", "minLength": 1}},
    {"name": "after", "in": "query", "description": "the `next` of the page before", "schema": {"type": "string"}},
    {"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100}},
]

DOCUMENT: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {"title": "Spendgate aggregator", "version": "1"},
    "security": [{"key": []}],
    "paths": {
        "/v1/tables/{level}": {
            "get": {
                "summary": "Live balances of one level, a page at a time",
                "parameters": _PARAMETERS,
                "responses": {
                    "200": {"description": "A page, in the order of the keys"},
                    "403": {"description": "The key belongs to another organization"},
                    "404": {"description": "No such level"},
                    "422": {"description": "A parameter is not valid"},
                },
            }
        },
        "/v1/position": {
            "get": {
                "summary": "The last ledger offset applied, for each partition of this worker",
                "responses": {"200": {"description": "The positions"}},
            }
        },
    },
    "components": {"securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}},
}
