"""What a decision is over HTTP, the same for the API and for every gateway: a status, headers, and an error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import msgspec

from services.adapters.answer import JSON, HttpAnswer
from services.adapters.web_errors import ApiError
from services.core.decide import Action, Reason
from services.core.decision import Decision

_encode = msgspec.json.Encoder().encode
_ALLOW: Final = Action.ALLOW  # looking a member up takes longer than the comparison


class Refusal(NamedTuple):
    """How a request is refused: the status (None: whatever the operator chose), and the error as clients know it."""

    status: int | None
    type: str
    code: str
    headers: Mapping[str, str]


# Hammering helps nobody: a budget that is spent is spent until somebody acts or its window ends.
_DENIED: Final = Refusal(None, "budget_exceeded", "insufficient_quota", {**JSON, "x-should-retry": "false"})
# The next request may find the ledger again.
_UNKNOWN: Final = Refusal(503, "budget_state_unknown", "state_unknown", {**JSON, "Retry-After": "1"})
_THROTTLED: Final = Refusal(429, "budget_throttled", "rate_limit_exceeded", {**JSON, "x-should-retry": "true"})


def is_refused(decision: Decision) -> bool:
    """Whether the request must not be made now."""
    return decision.action is not _ALLOW and decision.action in (Action.DENY, Action.THROTTLE)


def refused(decision: Decision, deny_status: int, beside: bytes = b"{}") -> HttpAnswer:
    """The answer to a refused request: its error, and the members of the JSON object `beside` after it."""
    refusal = _refusal(decision)
    status = deny_status if refusal.status is None else refusal.status
    body = b'{"error":' + _encode(_error(decision, refusal)) + _members(beside)
    return HttpAnswer(status, {**refusal.headers, **_when(decision)}, body)


def of_error(error: ApiError) -> HttpAnswer:
    """The answer to a request that was refused before it could be decided."""
    return HttpAnswer(error.status, {**JSON, **(error.headers or {})}, _encode(error.body()))


def _refusal(decision: Decision) -> Refusal:
    if decision.action is Action.THROTTLE:
        return _THROTTLED
    return _UNKNOWN if decision.reason is Reason.STATE_UNKNOWN else _DENIED


def _when(decision: Decision) -> dict[str, str]:
    """When a throttled request may come again; in whole seconds too, for clients that know no better."""
    after_ms = decision.retry_after_ms
    if after_ms is None:
        return {}
    return {"Retry-After": str(-(-after_ms // 1000)), "retry-after-ms": str(after_ms)}


def _error(decision: Decision, refusal: Refusal) -> dict[str, Any]:
    return {"type": refusal.type, "code": refusal.code, "message": decision.message, "reason": decision.reason}


def _members(encoded: bytes) -> bytes:
    return b"}" if encoded == b"{}" else b"," + encoded[1:]
