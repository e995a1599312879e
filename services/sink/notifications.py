"""The notifications feed: `spendgate.notification.sent.v1` to rows of `notifications`."""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Struct

from services.sink.columns import INSTANT, LABEL, TEXT, U16, U32, Columns
from services.sink.feed import Feed


class Notification(Struct, gc=False):
    """A notification as it was told. A tolerant reader: newer services may say more of it."""

    notification: str
    organization: str
    alert: str
    channel: str
    step: int
    state: str
    at_ms: int
    attempts: int = 0
    message: str | None = None
    detail: str = ""


class NotificationSent(Struct, gc=False, tag_field="type", tag="spendgate.notification.sent.v1"):
    data: Notification


class NotificationRow(Struct, gc=False):
    """A notification as its table has it."""

    notification: str
    organization: str
    alert: str
    channel: str
    step: int
    state: str
    attempts: int
    message: str
    detail: str
    at_ms: int


COLUMNS: Final[Columns] = {
    "notification": TEXT,
    "organization": LABEL,
    "alert": TEXT,
    "channel": LABEL,
    "step": U16,
    "state": LABEL,
    "attempts": U32,
    "message": TEXT,
    "detail": TEXT,
    "at": INSTANT,
}

_decode_many = msgspec.json.Decoder(list[NotificationSent]).decode
_decode_one = msgspec.json.Decoder(NotificationSent).decode


def _row(event: NotificationSent) -> NotificationRow:
    told = event.data
    return NotificationRow(
        notification=told.notification,
        organization=told.organization,
        alert=told.alert,
        channel=told.channel,
        step=told.step,
        state=told.state,
        attempts=told.attempts,
        message=told.message or "",
        detail=told.detail,
        at_ms=told.at_ms,
    )


NOTIFICATIONS: Final[Feed[NotificationRow]] = Feed(
    topic="notifications",
    table="notifications",
    columns=COLUMNS,
    time="at",
    many=lambda value: [_row(event) for event in _decode_many(value)],
    one=lambda element: _row(_decode_one(element)),
)
