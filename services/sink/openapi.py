"""The OpenAPI document of the sink: it only has the routes that every service has."""

from __future__ import annotations

from typing import Any, Final

_STATE: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["ready"],
    "properties": {
        "ready": {"type": "boolean"},
        "draining": {"type": "boolean"},
        "partitions": {"type": ["integer", "null"], "description": "how many the group gave to this worker"},
        "waiting_for": {
            "type": "object",
            "additionalProperties": {"type": "string"},
            "description": "what does not work, and the reason; rows wait in Kafka meanwhile",
        },
    },
}


def _answer(description: str, schema: dict[str, Any], media: str = "application/json") -> dict[str, Any]:
    return {"description": description, "content": {media: {"schema": schema}}}


OPENAPI: Final[dict[str, Any]] = {
    "openapi": "3.1.0",
    "info": {"title": "Spendgate sink", "version": "1"},
    "paths": {
        "/healthz": {
            "get": {
                "summary": "Whether the process answers",
                "responses": {"200": _answer("It does", {"type": "object"})},
            }
        },
        "/readyz": {
            "get": {
                "summary": "Whether rows arrive in ClickHouse",
                "responses": {"200": _answer("They do", _STATE), "503": _answer("They wait in Kafka", _STATE)},
            }
        },
        "/metrics": {
            "get": {
                "summary": "Metrics for Prometheus",
                "responses": {"200": _answer("Metrics", {"type": "string"}, "text/plain")},
            }
        },
    },
}
