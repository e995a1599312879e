"""The OpenAPI paths of `/v1/status`, and of the lists of forecasts, alerts, anomalies, notifications and changes."""

from __future__ import annotations

from typing import Any, Final

from services.adapters.openapi import answer, refusals

_USD: Final = {"type": "string", "description": "Decimal dollars, exact.", "example": "812.41"}
_MAYBE_USD: Final = {**_USD, "type": ["string", "null"]}
_DAY: Final = {"type": ["string", "null"], "format": "date"}
_SHARE: Final = {"type": ["number", "null"]}
_COUNT: Final = {"type": "integer"}
_TEXT: Final = {"type": "string"}
_INSTANT: Final = {"type": "string", "format": "date-time"}


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _list(of: Any) -> dict[str, Any]:
    return {"type": "array", "items": of}


_BUDGET: Final = _object(
    budget=_TEXT,
    limit_usd=_USD,
    remaining_usd=_USD,
    utilization={**_SHARE, "description": "Settled and reserved, as a share of the limit; null for a limit of zero."},
    tier=_TEXT,
    on_hard=_TEXT,
    recommended_daily_usd={**_MAYBE_USD, "description": "What each day that is left may cost."},
    exhausted_on={**_DAY, "description": "The day on which the limit is reached; null: not in this window."},
    probability={**_SHARE, "description": "That the window ends above the limit; null: there is no forecast."},
)
_EXPECTED: Final = {
    **_object(
        basis={"type": "string", "enum": ["forecast", "first_day", "run_rate"]},
        total_usd=_USD,
        low_usd={**_MAYBE_USD, "description": "With `high_usd` the 80% interval; null for the pace so far."},
        high_usd=_MAYBE_USD,
        as_of={**_DAY, "description": "The day at whose beginning the forecast was made."},
    ),
    "type": ["object", "null"],
}
_WINDOW: Final = _object(
    window=_TEXT,
    starts_at=_INSTANT,
    ends_at={**_INSTANT, "type": ["string", "null"]},
    settled_usd=_USD,
    reserved_usd={**_USD, "description": "What enforcers hold: reserved for requests, or ready to be."},
    unconfirmed_usd={**_USD, "description": "Part of what is settled: charged at an estimate so far."},
    requests=_COUNT,
    unpriced={**_COUNT, "description": "Requests whose price nobody knows yet: the true sum is higher."},
    days_elapsed=_SHARE,
    days_remaining=_SHARE,
    daily_average_usd=_MAYBE_USD,
    expected=_EXPECTED,
    budgets=_list(_BUDGET),
)
_STATUS: Final = _object(
    scope=_TEXT,
    level=_TEXT,
    organization=_TEXT,
    timezone=_TEXT,
    policy_version=_COUNT,
    windows=_list(_WINDOW),
    as_of=_INSTANT,
)
_RISK: Final = _object(budget=_TEXT, limit_usd=_USD, probability={"type": "number"}, exhausted_on=_DAY)
_FORECAST: Final = _object(
    forecast=_TEXT,
    scope=_TEXT,
    window=_TEXT,
    as_of=_DAY,
    begins=_DAY,
    ends=_DAY,
    spent_usd=_USD,
    total_usd=_USD,
    low_usd=_USD,
    high_usd=_USD,
    fan=_list(_object(day=_DAY, low_usd=_USD, mid_usd=_USD, high_usd=_USD)),
    risks=_list(_RISK),
    models=_list(_TEXT),
    made_at=_INSTANT,
)
_ALERT: Final = _object(
    alert=_TEXT,
    kind=_TEXT,
    budget=_TEXT,
    scope=_TEXT,
    window=_TEXT,
    threshold=_TEXT,
    severity=_TEXT,
    settled_usd=_USD,
    limit_usd=_USD,
    probability=_SHARE,
    projected_usd=_MAYBE_USD,
    expected_on=_DAY,
    raised_at=_INSTANT,
)
_ANOMALY: Final = _object(
    anomaly=_TEXT,
    scope=_TEXT,
    kind=_TEXT,
    severity=_TEXT,
    begins=_INSTANT,
    hour=_INSTANT,
    observed_usd=_USD,
    expected_usd=_USD,
    score={"type": "number"},
    contributors=_list(_object(dimension=_TEXT, value=_TEXT, observed_usd=_USD, expected_usd=_USD)),
    found_at=_INSTANT,
)
_FACTS: Final = {"type": ["object", "null"], "description": "Versions, limits, amounts in dollars, names of proposals."}
_AUDIT: Final = _object(
    entry=_TEXT,
    action=_TEXT,
    subject=_TEXT,
    by=_TEXT,
    key_id={"type": ["string", "null"], "description": "The API key behind it; `by` is what its holder wrote."},
    reason=_TEXT,
    before=_FACTS,
    after=_FACTS,
    budgets=_list(_TEXT),
    at=_INSTANT,
    ledger=_object(partition=_COUNT, offset=_COUNT),
)
_NOTIFICATION: Final = _object(
    notification=_TEXT,
    alert=_TEXT,
    channel={**_TEXT, "description": "Without its secrets."},
    step={**_COUNT, "description": "0: told first; above: because nobody had answered."},
    state={"type": "string", "enum": ["sent", "dead", "dropped"]},
    attempts=_COUNT,
    message={**_TEXT, "description": "The idempotency key of what was sent; empty when nothing was."},
    detail=_TEXT,
    at=_INSTANT,
)

_PARAMETERS: Final = {
    "alert": "Only of this alert.",
    "organization": "Whose; not needed with a key of one organization.",
    "scope": "Only this scope, as org:acme/project:search.",
    "window": "Only windows of this kind, as month, or this very one, as month:2026-11.",
    "kind": "Only alerts of this kind: threshold, projection or unpriced.",
    "budget": "Only what concerns this budget.",
    "by": "Only what this person did.",
    "action": "Only this action, as policy.applied, boost.granted or proposal.approved.",
    "since": "From this instant on, with its offset; 31 days by default, of the audit log everything.",
    "limit": "Rows at most, from 1 to 1000; 100 by default.",
    "offset": "Rows to leave out first; `next_offset` says where the next page begins, null that there is none.",
}


def _listing(name: str, summary: str, parameters: tuple[str, ...], row: Any) -> dict[str, Any]:
    said = [
        {"name": each, "in": "query", "description": _PARAMETERS[each], "schema": {"type": "string"}}
        for each in ("organization", *parameters, "limit", "offset")
    ]
    body = _object(organization=_TEXT, **{name: _list(row)}, next_offset={"type": ["integer", "null"]})
    return {
        "get": {
            "operationId": name,
            "summary": summary,
            "tags": ["foresight"],
            "parameters": said,
            "responses": {"200": answer("A page of them.", body), **refusals(401, 403, 422, 500, 503)},
        }
    }


OPENAPI: Final[dict[str, Any]] = {
    "/v1/status/{scope}": {
        "get": {
            "operationId": "budgetStatus",
            "summary": "Where a scope stands in each window, and where it is going.",
            "description": "Spent, reserved and left by the ledger's own balances, to the nano-dollar; expected totals "
            "by the newest forecast, else by the pace so far.",
            "tags": ["status"],
            "parameters": [
                {
                    "name": "scope",
                    "in": "path",
                    "required": True,
                    "schema": {"type": "string"},
                    "example": "org:acme/project:search",
                }
            ],
            "responses": {"200": answer("Its status.", _STATUS), **refusals(401, 403, 422, 500, 503)},
        }
    },
    "/v1/forecasts": _listing(
        "forecasts", "What scopes are expected to spend in the windows of now.", ("scope", "window"), _FORECAST
    ),
    "/v1/notifications": _listing(
        "notifications", "Who was told of which alert, and how that went.", ("alert", "since"), _NOTIFICATION
    ),
    "/v1/alerts": _listing(
        "alerts", "Thresholds that were crossed and limits expected to be, the latest first.", ("kind", "since"), _ALERT
    ),
    "/v1/anomalies": _listing(
        "anomalies", "Spending that was not like its past, the latest first.", ("scope", "since"), _ANOMALY
    ),
    "/v1/audit": _listing(
        "audit", "Who changed what, when and why, the latest first.", ("budget", "by", "action", "since"), _AUDIT
    ),
}
