"""The models from outside that are heard beside the core's own, and are not asked twice about the same past."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from datetime import date
from hashlib import blake2b
from typing import Final

import numpy as np
from numpy.typing import NDArray

from services.adapters.prophet_voice import ProphetVoice
from services.core.forecast import DailySeries, Voice
from services.forecaster.settings import ForecasterSettings

PATHS_MAX: Final = 4_096
"""Of at most a year each: some 12 MB."""

Floats = NDArray[np.float64]
Key = tuple[str, date, bytes, int]


class Remembering:
    """A slow voice that remembers what it said: a past that ends yesterday is the same all day."""

    def __init__(self, voice: Voice, *, most: int = PATHS_MAX) -> None:
        self._voice, self._most = voice, most
        self._said: OrderedDict[Key, Floats] = OrderedDict()

    @property
    def name(self) -> str:
        """The name of the voice."""
        return self._voice.name

    def paths(self, series: Sequence[DailySeries], days: int) -> Floats:
        """What the voice says, or said before."""
        keys = [_key(each, days) for each in series]
        found = {key: self._said[key] for key in keys if key in self._said}
        new = {key: each for key, each in zip(keys, series, strict=True) if key not in found}
        if new:
            found |= zip(new, self._voice.paths(list(new.values()), days), strict=True)
        for key in keys:
            self._said[key] = found[key]
            self._said.move_to_end(key)
        while len(self._said) > self._most:
            self._said.popitem(last=False)
        return np.array([found[key] for key in keys]).reshape(len(keys), days)


def voices_of(settings: ForecasterSettings) -> Sequence[Voice]:
    """Those that the settings ask for. Prophet is loaded in processes of its own, and there only once it is asked."""
    if not settings.prophet_processes:
        return ()
    return (Remembering(ProphetVoice(processes=settings.prophet_processes)),)


def _key(series: DailySeries, days: int) -> Key:
    amounts = blake2b(series.amounts_nanousd.tobytes(), digest_size=16).digest()
    return series.scope, series.first_day, amounts, days
