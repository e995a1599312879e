"""Notifications on the wire: the twin of `schemas.notification`."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from services.core.events import Event

Fate = Literal["sent", "dead", "dropped"]


class Notification(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """One alert told to one channel, or not; told twice, the later holds. `message`: the idempotency key it went by."""

    notification: str
    organization: str
    alert: str
    channel: str
    step: int
    state: Fate
    attempts: int = 0
    message: str | None = None
    detail: str = ""
    at_ms: int


class NotificationSent(Event, frozen=True, kw_only=True, gc=False, tag="spendgate.notification.sent.v1"):
    data: Notification
