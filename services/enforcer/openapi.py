"""The OpenAPI document of the enforcer; its schemas are those of the structs that the handlers decode and encode."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from services.adapters.openapi import JSON, REF, answer, document, ref, refusals
from services.core.check import WAYS, Check
from services.core.decision import Decision
from services.enforcer.answers import Enforcers, Positions, Released, Settled, Status
from services.enforcer.gateway.openapi import gateway_paths
from services.enforcer.report import Release, Report

DESCRIPTION = """Answers, from memory, whether a request may be made: check before the call, settle after it.

A check reserves the most that the request can cost, in every budget that it matches. A settlement replaces that by what
was used, a release gives it back, and what nobody settles in time is charged at its estimate until the truth arrives.
"""
ASK_EXAMPLE = {
    "organization": "acme",
    "project": "search",
    "team": "ranking",
    "user": "alice",
    "provider": "openai",
    "model": "gpt-4o",
    "input_tokens": 1200,
    "max_output_tokens": 512,
    "tags": {"feature": "autocomplete"},
}
REPORT_EXAMPLE = {
    "reservation": "rsv-enforcer-1f0c9a2b-mie8k3x9-1",
    "organization": "acme",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.usage.input_tokens": 1200,
    "gen_ai.usage.output_tokens": 87,
}
SCOPE: Mapping[str, Any] = {
    "name": "scope",
    "in": "path",
    "required": True,
    "description": "Dimensions as `name:value`, separated by `/`, values percent-encoded.",
    "schema": {"type": "string", "pattern": r"^org:[A-Za-z0-9._~-]{1,64}(/(project|user):[A-Za-z0-9._~-]{1,64})?$"},
    "example": "org:acme/project:search",
}
DECISION: Mapping[str, Any] = {
    "name": "decision",
    "in": "path",
    "required": True,
    "description": "The id of a decision, as a check answers it.",
    "schema": {"type": "string", "pattern": "^dec-[a-z0-9-]{1,128}$"},
    "example": "dec-enforcer-1f0c9a2b-mie8k3x9-1",
}
AFTER: Mapping[str, Any] = {
    "name": "after",
    "in": "query",
    "description": "A ledger position, `<partition>:<offset>`: answer once it has been applied (read your own writes).",
    "schema": {"type": "string", "pattern": "^(0|[1-9][0-9]{0,5}):(0|[1-9][0-9]{0,17})$"},
}
WAIT_MS: Mapping[str, Any] = {
    "name": "wait_ms",
    "in": "query",
    "description": "How long to wait for it at most; then `reached` is false.",
    "schema": {"type": "integer", "minimum": 0, "maximum": 30_000, "default": 1_000},
}


DENIED = "The request must not be made: the decision, and an error in front of it."
THROTTLED = "The request is to come again later, `retry-after-ms` says when: the decision, and an error in front of it."
DENIED_OR_THROTTLED = f"{DENIED} Or, with `Retry-After` and `x-should-retry: true`: it is to come again later."
RETRY: Mapping[str, Any] = {
    "schema": {"type": "string"},
    "description": "`false`: it would be denied again. `true`: it is to come again after `Retry-After`.",
}


def openapi(deny_status: int) -> dict[str, Any]:
    """The document, as `/openapi.json` serves it."""
    _, schemas = msgspec.json.schema_components(
        [Check, Decision, Report, Release, Settled, Released, Status, Enforcers, Positions],
        ref_template=REF.format(model="{name}"),
    )
    schemas["Check"]["oneOf"] = [{"required": [way], "properties": {way: {"not": {"type": "null"}}}} for way in WAYS]
    paths = {
        "/v1/check": {"post": _check(deny_status)},
        "/v1/settle": {"post": _settle()},
        "/v1/release": {"post": _release()},
        "/v1/explain/{decision}": {"get": _explain()},
        "/v1/status/{scope}": {"get": _status()},
        "/v1/enforcers": {"get": _enforcers()},
        "/v1/position": {"get": _position()},
        **gateway_paths(deny_status),
    }
    return document(title="Spendgate enforcer", description=DESCRIPTION, paths=paths, schemas=schemas)


def _check(deny_status: int) -> dict[str, Any]:
    refused = {429: THROTTLED, deny_status: DENIED_OR_THROTTLED if deny_status == 429 else DENIED}
    responses = {
        str(status): _either(
            answer(says, {"allOf": [ref("Error"), ref("Decision")]}, headers={"x-should-retry": RETRY}), status
        )
        for status, says in refused.items()
    }
    return {
        "operationId": "check",
        "summary": "May this request be made? If so, its estimate is reserved.",
        "tags": ["decisions"],
        "requestBody": _body("Check", ASK_EXAMPLE),
        "responses": {
            **refusals(400, 401, 403, 413, 415, 422, 500, 503),
            "200": answer("The decision.", ref("Decision")),
            **({} if deny_status == 200 else responses),
        },
    }


def _either(denied: dict[str, Any], status: int) -> dict[str, Any]:
    """A denial's status may be one that the gate uses too."""
    if status != 403:
        return denied
    both = {"anyOf": [denied["content"][JSON]["schema"], ref("Error")]}
    return {**denied, "content": {JSON: {"schema": both}}, "headers": {}}


def _settle() -> dict[str, Any]:
    return {
        "operationId": "settle",
        "summary": "What a reserved request really used. Repeating it changes nothing.",
        "tags": ["decisions"],
        "requestBody": _body("Report", REPORT_EXAMPLE),
        "responses": {
            "200": answer("The usage is durable.", ref("Settled")),
            **refusals(400, 401, 403, 404, 413, 415, 422, 500, 503),
        },
    }


def _release() -> dict[str, Any]:
    return {
        "operationId": "release",
        "summary": "The reserved request was never made. Repeating it changes nothing.",
        "tags": ["decisions"],
        "requestBody": _body("Release", {"reservation": REPORT_EXAMPLE["reservation"]}),
        "responses": {
            "200": answer("Nothing is reserved any more.", ref("Released")),
            **refusals(400, 401, 403, 404, 409, 413, 415, 422, 500, 503),
        },
    }


def _explain() -> dict[str, Any]:
    return {
        "operationId": "explain",
        "summary": "A decision that this enforcer made lately, with everything that it was decided from.",
        "tags": ["decisions"],
        "parameters": [DECISION],
        "responses": {
            "200": answer("The decision, as it was answered.", ref("Decision")),
            **refusals(401, 403, 404, 500),
        },
    }


def _status() -> dict[str, Any]:
    return {
        "operationId": "status",
        "summary": "What a scope has spent and may still spend, in every window of now.",
        "tags": ["state"],
        "parameters": [SCOPE, AFTER, WAIT_MS],
        "responses": {
            "200": answer("Its balances and budgets.", ref("Status")),
            **refusals(401, 403, 404, 422, 500, 503),
        },
    }


def _enforcers() -> dict[str, Any]:
    return {
        "operationId": "enforcers",
        "summary": "Every enforcer that the ledger knows, and how long it has been silent.",
        "tags": ["state"],
        "responses": {"200": answer("Who was heard of last first.", ref("Enforcers")), **refusals(401, 403, 500)},
    }


def _position() -> dict[str, Any]:
    return {
        "operationId": "position",
        "summary": "How far the ledger has been applied here.",
        "tags": ["state"],
        "responses": {"200": answer("By partition.", ref("Positions")), **refusals(401, 403, 500)},
    }


def _body(schema: str, example: Mapping[str, Any]) -> dict[str, Any]:
    return {"required": True, "content": {JSON: {"schema": ref(schema), "example": example}}}
