"""Refused events as they are kept: with the reason, and the original as it came, bounded."""

from __future__ import annotations

import hashlib

import msgspec

from services.core.events import from_ms
from services.core.outcomes import Rejection, UsageRejected
from services.ingest.admission import Refused

SOURCE = "spendgate/ingest"
KEPT_BYTES = 8 << 10


def rejected_event(raw: bytes, refused: Refused, *, organization: str, now_ms: int) -> tuple[str, bytes]:
    """The event for the topic of rejections, beside the organization whose partition it goes to.

    `organization` is the sender's; it stands in when the event's own cannot be read.
    """
    digest = hashlib.sha256(raw).hexdigest()
    event = UsageRejected(
        id=f"rejected-{digest[:32]}-{now_ms}",
        source=SOURCE,
        time=from_ms(now_ms),
        data=Rejection(
            reason=refused.reason,
            detail=refused.message,
            field=refused.field,
            rejected_at_ms=now_ms,
            stage="ingest",
            organization=refused.organization,
            event=_bounded(raw, digest),
        ),
    )
    return refused.organization or organization, msgspec.json.encode(event)


def _bounded(raw: bytes, digest: str) -> str:
    text = raw[:KEPT_BYTES].decode(errors="replace")
    return text if len(raw) <= KEPT_BYTES else f"{text}... ({len(raw)} bytes, sha256 {digest})"
