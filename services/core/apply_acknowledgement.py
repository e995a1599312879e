"""What an acknowledgement does: nothing to any balance; that it was given, by whom, goes on record."""

from __future__ import annotations

from services.core.application import Application
from services.core.events import AlertAcknowledged


def apply_acknowledgement(to: Application, event: AlertAcknowledged, index: int) -> None:
    """Put on record who has taken an alert."""
    told = event.data
    if to.duplicate(event):
        return
    to.audit(index, "alert.acknowledged", told.alert, organization=told.organization, by=told.by, reason=told.note)
    to.effects.counts["acknowledged"] += 1
    to.remember(event)
