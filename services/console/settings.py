"""What an operator can tell the console."""

from __future__ import annotations

from services.adapters.settings import Settings


class ConsoleSettings(Settings):
    """Settings of the console beside those that all services share."""
