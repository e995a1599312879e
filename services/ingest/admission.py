"""Whether an event may enter the ledger: one at a time, as it came, by named reasons in a fixed order."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import msgspec

from schemas.catalog import EDGE_TYPES
from schemas.validate import Invalid, ValidEvent, validate_event
from services.core.balance import FUTURE_TOLERANCE_MS, HORIZON_MS, HOUR_MS
from services.core.events import to_ms

MAX_EVENT_BYTES = 256 << 10
ADMIN_TYPES = EDGE_TYPES | {"spendgate.usage.corrected.v1"}

_decode = msgspec.json.Decoder().decode


@dataclass(frozen=True, slots=True)
class Admitted:
    """An event for the ledger, in its canonical encoding."""

    id: str
    organization: str
    value: bytes


@dataclass(frozen=True, slots=True)
class Refused:
    """An event that stays out.

    `reason` is `event_too_large`, `malformed`, one of `schemas.validate.Reason`, `late` or `future`. `id` and
    `organization` are None when even these cannot be read.
    """

    reason: str
    message: str
    field: str | None = None
    id: str | None = None
    organization: str | None = None


def admit(raw: bytes, *, now_ms: int, types: Collection[str] = EDGE_TYPES) -> Admitted | Refused:
    """Judge one event; never raises, whatever the bytes are."""
    if len(raw) > MAX_EVENT_BYTES:
        return Refused("event_too_large", f"an event may have {MAX_EVENT_BYTES} bytes, this one has {len(raw)}")
    try:
        event = _decode(raw)
    except RecursionError:
        return Refused("malformed", "not readable: nested too deeply")
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return Refused("malformed", f"not valid JSON: {error}")
    verdict = validate_event(event, types)
    if isinstance(verdict, Invalid):
        return Refused(verdict.reason, verdict.message, verdict.field or None, _id(event), verdict.organization)
    return _in_time(verdict, now_ms)


def _in_time(valid: ValidEvent, now_ms: int) -> Admitted | Refused:
    event = valid.event
    age_ms = now_ms - to_ms(event.time)
    if age_ms > HORIZON_MS:
        message = f"older than {HORIZON_MS // HOUR_MS} h: whether it is a duplicate can no longer be told"
        return Refused("late", message, "time", event.id, valid.organization)
    if age_ms < -FUTURE_TOLERANCE_MS:
        message = f"{-age_ms // 1000} s in the future: check the sender's clock"
        return Refused("future", message, "time", event.id, valid.organization)
    return Admitted(event.id, valid.organization, valid.wire)


def _id(event: object) -> str | None:
    value = event.get("id") if isinstance(event, dict) else None
    return value[:256] if isinstance(value, str) else None
