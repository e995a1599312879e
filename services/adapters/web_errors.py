"""Refusals over HTTP: one shape of body for all of them, and the names of those that every service shares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from aiohttp import web

from services.adapters.answer import HttpAnswer

JSON_TYPE = "application/json"
TYPES = {
    400: "invalid_request",
    401: "authentication_failed",
    403: "permission_denied",
    404: "not_found",
    405: "invalid_request",
    409: "conflict",
    413: "too_large",
    415: "invalid_request",
    422: "invalid_request",
    429: "budget_exceeded",
    503: "unavailable",
}
CODES = {404: "no_such_route", 405: "method_not_allowed", 413: "body_too_large"}


class ApiError(Exception):
    """A refusal that a handler raises; the gate turns it into `{"error": {"type", "code", "message", "field"?}}`.

    `code` is stable and made for programs, `message` is for people, `field` names the part of the request at fault.
    `detail` is merged into the body beside `error`.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        field: str | None = None,
        headers: Mapping[str, str] | None = None,
        detail: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.field = status, code, message, field
        self.headers, self.detail = headers, detail

    def body(self) -> dict[str, Any]:
        """What every transport answers."""
        error = {"type": TYPES.get(self.status, "internal"), "code": self.code, "message": self.message}
        if self.field is not None:
            error["field"] = self.field
        return {"error": error, **(self.detail or {})}

    def answer(self) -> HttpAnswer:
        """The same without aiohttp."""
        return HttpAnswer(
            self.status, {"Content-Type": JSON_TYPE, **(self.headers or {})}, msgspec.json.encode(self.body())
        )

    def response(self) -> web.Response:
        """The answer that says so over HTTP."""
        return json_response(self.body(), status=self.status, headers=self.headers)


def json_response(data: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """Anything msgspec can encode, as JSON."""
    return web.Response(body=msgspec.json.encode(data), status=status, headers=headers, content_type=JSON_TYPE)


def of_http_exception(error: web.HTTPException) -> ApiError:
    """What aiohttp itself refuses (no such route, method, size), in our words."""
    allow = error.headers.get("Allow")
    code = CODES.get(error.status, error.reason.lower().replace(" ", "_"))
    return ApiError(error.status, code, error.reason, headers={"Allow": allow} if allow else None)


def unauthenticated(message: str) -> ApiError:
    """401: no key, or none that we know."""
    return ApiError(401, "invalid_api_key", message, headers={"WWW-Authenticate": 'Bearer realm="spendgate"'})


def forbidden(code: str, message: str, *, field: str | None = None) -> ApiError:
    """403: a good key, used beyond its role or organization."""
    return ApiError(403, code, message, field=field)


def too_large(limit_bytes: int) -> ApiError:
    """413: more bytes than the service reads, counted after decompression."""
    return ApiError(413, "body_too_large", f"the body is larger than {limit_bytes} bytes after decompression")
