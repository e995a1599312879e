"""What an operator can tell the forecaster."""

from __future__ import annotations

from services.adapters.settings import Settings


class ForecasterSettings(Settings):
    """Settings of the forecaster beside those that all services share."""
