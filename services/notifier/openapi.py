"""The OpenAPI document of the notifier."""

from __future__ import annotations

from typing import Any, Final

from services.adapters.openapi import answer, document, refusals

_TEXT: Final = {"type": "string"}
_COUNT: Final = {"type": "integer", "minimum": 0}
_HTML: Final = "text/html"
_TOKEN: Final = {"name": "token", "in": "query", "required": True, "schema": _TEXT, "description": "From a message."}
_NOTIFICATION: Final = {
    "type": "object",
    "required": ["notification", "alert", "channel", "step", "state", "at"],
    "properties": {
        "notification": _TEXT,
        "organization": _TEXT,
        "alert": _TEXT,
        "channel": {**_TEXT, "description": "Without its secrets."},
        "step": {**_COUNT, "description": "0: told first; above: because nobody had answered."},
        "state": {"type": "string", "enum": ["waiting", "sent", "dead", "dropped"]},
        "attempts": _COUNT,
        "message": {**_TEXT, "description": "The idempotency key of what was sent."},
        "detail": _TEXT,
        "at": {"type": "string", "format": "date-time", "description": "When it ended, or is due."},
    },
}


def _organization(*, required: bool) -> dict[str, Any]:
    return {"name": "organization", "in": "query", "required": required, "schema": _TEXT}


_ACKNOWLEDGE: Final = {
    "get": {
        "operationId": "askToAcknowledge",
        "summary": "A page with a button that acknowledges an alert.",
        "tags": ["people"],
        "security": [],
        "parameters": [_TOKEN],
        "responses": {
            "200": answer("The page.", _TEXT, media=_HTML),
            "400": answer("The link does not work.", _TEXT, media=_HTML),
        },
    },
    "post": {
        "operationId": "acknowledgeByLink",
        "summary": "Acknowledge the alert that a link is for.",
        "tags": ["people"],
        "security": [],
        "requestBody": {
            "required": True,
            "content": {
                "application/x-www-form-urlencoded": {
                    "schema": {
                        "type": "object",
                        "required": ["token", "by"],
                        "properties": {"token": _TEXT, "by": _TEXT, "note": _TEXT},
                    }
                }
            },
        },
        "responses": {
            str(status): answer(text, _TEXT, media=_HTML)
            for status, text in (
                (200, "It is acknowledged."),
                (400, "The link does not work."),
                (422, "Nobody said who they are."),
                (503, "It could not be kept."),
            )
        },
    },
}
_NOTIFICATIONS: Final = {
    "get": {
        "operationId": "listNotifications",
        "summary": "Who was told of what, the newest first.",
        "tags": ["notifications"],
        "parameters": [
            _organization(required=False),
            {
                "name": "state",
                "in": "query",
                "schema": {"type": "string", "enum": ["waiting", "sent", "dead", "dropped"]},
            },
            {"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": 1000}},
        ],
        "responses": {
            "200": answer(
                "The notifications.",
                {
                    "type": "object",
                    "required": ["organization", "notifications"],
                    "properties": {"organization": _TEXT, "notifications": {"type": "array", "items": _NOTIFICATION}},
                },
            ),
            **refusals(401, 403, 422, 500),
        },
    }
}
_WEBHOOK_KEY: Final = {
    "get": {
        "operationId": "webhookKey",
        "summary": "The key with which an organization's receivers check `Spendgate-Signature`.",
        "tags": ["notifications"],
        "parameters": [_organization(required=True)],
        "responses": {
            "200": answer(
                "The key: `v1` is the hex of HMAC-SHA256 over `<t>.<body>`.",
                {
                    "type": "object",
                    "required": ["organization", "key"],
                    "properties": {"organization": _TEXT, "key": _TEXT},
                },
            ),
            **refusals(401, 403, 422, 500),
        },
    }
}
_PIPELINE: Final = {
    "post": {
        "operationId": "pipelineAlerts",
        "summary": "Tell the operators what Alertmanager found, in the format of its webhooks.",
        "tags": ["operators"],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {
                        "type": "object",
                        "required": ["alerts"],
                        "properties": {"alerts": {"type": "array", "maxItems": 256, "items": {"type": "object"}}},
                    }
                }
            },
        },
        "responses": {
            "202": answer(
                "They are told.",
                {"type": "object", "required": ["alerts", "new"], "properties": {"alerts": _COUNT, "new": _COUNT}},
            ),
            **refusals(400, 401, 403, 413, 415, 422, 500),
        },
    }
}

OPENAPI: Final = document(
    title="Spendgate notifier",
    description="Tells people of alerts, once each, and the next ones while nobody answers.",
    paths={
        "/v1/acknowledge": _ACKNOWLEDGE,
        "/v1/notifications": _NOTIFICATIONS,
        "/v1/webhook-key": _WEBHOOK_KEY,
        "/v1/pipeline-alerts": _PIPELINE,
    },
)
