"""What the OpenAPI documents of all services share: refusals, the system routes, the key, and models as components."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from services.adapters.web_errors import TYPES

JSON = "application/json"
REF = "#/components/schemas/{model}"
REFUSALS = {
    400: "The body is not UTF-8, not JSON, or not valid gzip.",
    401: "There is no API key, or none that is known.",
    403: "The key's role or organization does not allow this.",
    404: "There is no such thing.",
    409: "Somebody else changed it first.",
    413: "The request is larger than the service reads.",
    415: "The Content-Type or Content-Encoding is not supported.",
    422: "The body is valid JSON and says something that cannot be.",
    429: "A budget does not allow this.",
    500: "The service has a defect; it was logged.",
    503: "The service cannot do this now. Nothing was done.",
}
HEADERS: Mapping[int, Mapping[str, Any]] = {
    401: {"WWW-Authenticate": {"schema": {"type": "string"}, "description": "How to authenticate.", "required": True}},
    503: {"Retry-After": {"schema": {"type": "string"}, "description": "Seconds to wait before trying again."}},
}
NOT_NOW = ("budget_state_unknown", "budget_throttled")
"""What an enforcer decides besides `budget_exceeded`: that a request is to come again."""

ERROR: Mapping[str, Any] = {
    "type": "object",
    "description": "Why a request was refused.",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["type", "code", "message"],
            "properties": {
                "type": {"type": "string", "enum": sorted({*TYPES.values(), *NOT_NOW, "internal"})},
                "code": {"type": "string", "description": "Stable, for programs.", "examples": ["invalid_field"]},
                "message": {"type": "string", "description": "For people."},
                "field": {"type": "string", "description": "The part of the request at fault, as a JSON path."},
            },
        },
        "problems": {
            "type": "array",
            "description": "Everything that is wrong, when more than one thing may be.",
            "items": {
                "type": "object",
                "required": ["field", "message"],
                "properties": {"field": {"type": "string"}, "message": {"type": "string"}},
            },
        },
    },
}
READINESS: Mapping[str, Any] = {
    "type": "object",
    "required": ["ready"],
    "properties": {"ready": {"type": "boolean"}},
    "description": "Whether the service may be sent traffic, and the facts behind it.",
}


def ref(name: str) -> dict[str, str]:
    """A reference to a component schema."""
    return {"$ref": REF.format(model=name)}


def answer(
    description: str,
    schema: Mapping[str, Any],
    *,
    example: Any = None,
    media: str = JSON,
    headers: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """A response object."""
    content = {"schema": schema} if example is None else {"schema": schema, "example": example}
    return {"description": description, "content": {media: content}, **({"headers": headers} if headers else {})}


def refusals(*statuses: int) -> dict[str, Any]:
    """The shared refusals of a route, by status; 401, 403 and 500 come with every route that needs a key."""
    return {str(status): {"$ref": f"#/components/responses/Refused{status}"} for status in sorted(statuses)}


def components(models: Iterable[type[BaseModel]]) -> dict[str, Any]:
    """JSON Schemas of Pydantic models and of all that they contain, by name."""
    _, schema = models_json_schema([(model, "validation") for model in models], ref_template=REF)
    found: dict[str, Any] = schema.get("$defs", {})
    return found


def document(
    *, title: str, description: str, paths: Mapping[str, Any], schemas: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """A whole OpenAPI 3.1 document: a service's own paths beside the system's."""
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": "1", "description": description, "license": {"name": "Apache-2.0"}},
        "servers": [{"url": "/"}],
        "security": [{"key": []}],
        "paths": {**paths, **_system_paths()},
        "components": {
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer", "description": "`sg_<role>_...`, made by an operator."}
            },
            "schemas": {"Error": ERROR, "Readiness": READINESS, **(schemas or {})},
            "responses": {
                f"Refused{status}": answer(text, ref("Error"), headers=HEADERS.get(status))
                for status, text in REFUSALS.items()
            },
        },
    }


def _system_paths() -> dict[str, Any]:
    return {
        "/healthz": _system("health", "Whether the process answers.", {"200": answer("It does.", {"type": "object"})}),
        "/readyz": _system(
            "readiness",
            "Whether the service may be sent traffic.",
            {"200": answer("It may.", ref("Readiness")), "503": answer("It may not, yet.", ref("Readiness"))},
        ),
        "/metrics": _system(
            "metrics",
            "Metrics for Prometheus.",
            {"200": answer("The text format.", {"type": "string"}, media="text/plain")},
        ),
        "/openapi.json": _system(
            "openapi", "This document.", {"200": answer("OpenAPI 3.1.", {"type": "object", "required": ["openapi"]})}
        ),
    }


def _system(operation: str, summary: str, responses: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "get": {
            "operationId": operation,
            "summary": summary,
            "tags": ["system"],
            "security": [],
            "responses": responses,
        }
    }
