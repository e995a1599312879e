"""How wrong a forecast of a cumulative total may be: normalised conformal intervals."""

from __future__ import annotations

from statistics import NormalDist
from typing import Final

import numpy as np

from services.core.forecast.projection import LEVELS
from services.core.forecast.series import Floats, Panel

FLOOR_SHARE: Final = 0.1
NORMAL: Final = tuple(NormalDist().inv_cdf(level) for level in LEVELS)


def quantiles(panel: Panel, paths: Floats) -> Floats:
    """What is still to come by the end of each day, at each of `LEVELS`: [series, day, level]."""
    to_come = np.cumsum(paths, axis=1)
    days = np.arange(1, paths.shape[1] + 1)
    usual = panel.amounts.sum(axis=1) / np.maximum(panel.ages, 1)
    base = to_come + FLOOR_SHARE * usual[:, None] * days
    width = 0.25 * np.sqrt(1.0 + 6.0 / days)
    spread = to_come[:, :, None] + (base * width)[:, :, None] * np.array(NORMAL)
    assert spread.shape[2] == len(LEVELS)
    return np.maximum.accumulate(np.maximum(spread, 0.0), axis=1)
