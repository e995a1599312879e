"""Growth and decline at a rate: what a level in dollars a day does not see."""

from __future__ import annotations

from typing import Final

import numpy as np

from services.core.forecast.series import WEEK, Floats, Panel
from services.core.forecast.weekly import at_least, weekday_level

WEEKS: Final = 6
WEEKS_MIN: Final = 3
HALF_LIFE_DAYS: Final = 7.0
LEVEL_AGE_DAYS: Final = HALF_LIFE_DAYS / np.log(2.0)
"""How old the money is, on average, that such a level is made of: it has grown since."""

USUAL_RATE: Final = 0.08
"""Weekly rates beyond this (as a logarithm) are rare: what says otherwise must be sure of it."""

LEAST_NOISE: Final = 0.01
RATE_MAX: Final = 0.3
FADING: Final = 0.985
"""Nothing grows for ever: of a rate so much is left after each day."""


def growth(panel: Panel, days: int) -> Floats:
    """A weekday pattern and a recent level that go on growing at the rate of the last weeks, if that is certain."""
    ahead = (LEVEL_AGE_DAYS + np.cumsum(FADING ** np.arange(1, days + 1))) / WEEK
    grown: Floats = np.exp(_rate(panel)[:, None] * ahead)
    return weekday_level(panel, days, half_life_days=HALF_LIFE_DAYS) * grown


def _rate(panel: Panel) -> Floats:
    """The slope of the logarithm of weekly sums, shrunk towards none by its own uncertainty."""
    recent = panel.last(WEEKS * WEEK)
    shape = (len(recent.amounts), WEEKS, WEEK)
    sums = recent.amounts.reshape(shape).sum(axis=2)
    used = recent.known.reshape(shape).all(axis=2) & (sums > 0)
    count = used.sum(axis=1)
    logs = np.log(np.where(used, sums, 1.0))
    time = np.arange(WEEKS, dtype=np.float64)
    centred = (time - ((time * used).sum(axis=1) / np.maximum(count, 1))[:, None]) * used
    spread = at_least((centred**2).sum(axis=1))
    slope = (centred * logs).sum(axis=1) / spread
    residual = (logs - ((logs * used).sum(axis=1) / np.maximum(count, 1))[:, None]) * used - slope[:, None] * centred
    unsure = ((residual**2).sum(axis=1) / np.maximum(count - 2, 1) + LEAST_NOISE) / spread
    rate: Floats = np.where(count >= WEEKS_MIN, slope * USUAL_RATE**2 / (USUAL_RATE**2 + unsure), 0.0)
    return np.clip(rate, -RATE_MAX, RATE_MAX)
