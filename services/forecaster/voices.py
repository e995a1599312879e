"""The models from outside that are heard beside the core's own."""

from __future__ import annotations

from collections.abc import Sequence

from services.adapters.prophet_voice import ProphetVoice
from services.core.forecast import Voice
from services.forecaster.settings import ForecasterSettings


def voices_of(settings: ForecasterSettings) -> Sequence[Voice]:
    """Those that the settings ask for. Prophet is loaded in processes of its own, and there only once it is asked."""
    if not settings.prophet_processes:
        return ()
    return (ProphetVoice(processes=settings.prophet_processes),)
