"""The models from outside that are heard beside the core's own."""

from __future__ import annotations

from collections.abc import Sequence

from services.core.forecast import Voice
from services.forecaster.settings import ForecasterSettings


def voices_of(_settings: ForecasterSettings) -> Sequence[Voice]:
    """Those that the settings ask for."""
    return ()
