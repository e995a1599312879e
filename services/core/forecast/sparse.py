"""Spending that comes now and then: how often, and how much each time."""

from __future__ import annotations

from typing import Final

import numpy as np

from services.core.forecast.series import Floats, Panel
from services.core.forecast.weekly import cycle, profile

OFTEN_RATE: Final = 0.04
SIZE_RATE: Final = 0.1
"""How often there is spending changes slowly; how much, a little faster."""


def intermittent(panel: Panel, days: int) -> Floats:
    """Croston's method as Teunter, Syntetos and Babai made it: chance of a day with spending, times its size.

    Unlike a level it does not jump after each job, and unlike Croston's own it falls while nothing comes.
    """
    chance = np.full(len(panel.amounts), 0.5)
    size = np.zeros(len(panel.amounts))
    seen = np.zeros(len(panel.amounts))
    paid = np.zeros(len(panel.amounts))
    for amounts, known in zip(panel.amounts.T, panel.known.T, strict=True):
        comes = amounts > 0
        seen += known
        paid += comes
        chance += np.maximum(OFTEN_RATE, 1.0 / (seen + 1.0)) * (comes - chance) * known
        size += np.maximum(SIZE_RATE, 1.0 / np.maximum(paid, 1.0)) * (amounts - size) * comes
    return cycle(profile(panel), days) * (chance * size)[:, None]
