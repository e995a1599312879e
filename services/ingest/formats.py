"""Request bodies of events, cut into single events by their content type; each stays the bytes that were sent."""

from __future__ import annotations

import msgspec

from services.adapters.web_errors import ApiError

ONE = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
JSON = "application/json"
LINES = "application/x-ndjson"
CONTENT_TYPES = (ONE, BATCH, JSON, LINES)

_split = msgspec.json.Decoder(list[msgspec.Raw]).decode


def cut(body: bytes, content_type: str, *, max_events: int) -> list[bytes]:
    """The events of a body, each as its own JSON text, not yet looked at.

    Raises `ApiError` 415 (no such content type), 400 (not UTF-8, not JSON, nothing in it) or 413 (too many events).
    """
    if content_type not in CONTENT_TYPES:
        raise ApiError(415, "unsupported_content_type", f"send one of {', '.join(CONTENT_TYPES)}")
    _require_utf8(body)
    if content_type == LINES:
        events = [line for line in body.splitlines() if line.strip()]
    elif content_type == BATCH or (content_type == JSON and body.lstrip()[:1] == b"["):
        events = _cut_array(body)
    else:
        events = [body]
    if not events or not events[0].strip():
        raise ApiError(400, "no_events", "the body holds no event")
    if len(events) > max_events:
        raise ApiError(413, "too_many_events", f"a request may hold {max_events} events, this one has {len(events)}")
    return events


def _require_utf8(body: bytes) -> None:
    try:
        body.decode()
    except UnicodeDecodeError as error:
        raise ApiError(400, "invalid_utf8", f"the body is not UTF-8: {error.reason} at byte {error.start}") from error


def _cut_array(body: bytes) -> list[bytes]:
    try:
        return [bytes(event) for event in _split(body)]
    except msgspec.ValidationError as error:
        raise ApiError(400, "invalid_json", "the body is not an array of events") from error
    except msgspec.DecodeError as error:
        raise ApiError(400, "invalid_json", f"the body is not valid JSON: {error}") from error
    except RecursionError as error:
        raise ApiError(400, "invalid_json", "the body is nested too deeply") from error
