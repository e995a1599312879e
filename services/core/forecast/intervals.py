"""How wrong a forecast of a cumulative total may be: normalised conformal intervals."""

from __future__ import annotations

import numpy as np

from services.core.forecast.calibration import Calibration
from services.core.forecast.ensemble import Ensemble
from services.core.forecast.series import Floats, Panel
from services.core.forecast.traits import GAPS, HORIZON, NOISE, floor_of, horizon, sort_of, traits, unrest

LEAST_DISAGREEMENT = 0.03
LEAST_UNREST = 0.05
SCALE_MIN, SCALE_MAX = 0.03, 5.0


def quantiles(panel: Panel, ensemble: Ensemble, calibration: Calibration, *, ahead: int = 0) -> Floats:
    """What is still to come by the end of each day, at each of `LEVELS`: [series, day, level].

    Days count from `ahead` days after `as_of` on. Never negative, never less than the day before.
    """
    days = np.arange(1, ensemble.paths.shape[1] + 1, dtype=np.float64)
    known = scale_traits(panel, ensemble.disagreement)
    scale = scales(known, calibration.scale)[:, ahead:]
    to_come = np.cumsum(ensemble.paths[:, ahead:], axis=1)
    errors = calibration.quantiles_at(days)[sort_of(known[:, 0]), ahead:]
    sided = np.where(errors < 0, scale[:, :, :1], scale[:, :, 1:]) * errors
    spread = to_come[:, :, None] + error_unit(panel, to_come)[:, :, None] * sided
    return np.maximum.accumulate(np.maximum(spread, 0.0), axis=1)


def error_unit(panel: Panel, to_come: Floats) -> Floats:
    """What errors are relative to: the forecast, and a tenth of the usual spending of so many days."""
    return to_come + floor_of(panel)[:, None] * np.arange(1, to_come.shape[1] + 1)


def scale_traits(panel: Panel, disagreement: Floats) -> Floats:
    """What the size of an error depends on, for each day ahead: [series, day, trait]."""
    days = disagreement.shape[1]
    still = traits(panel, days)
    made = np.repeat(still[:, None, :], days, axis=1)
    made[:, :, HORIZON] = horizon(np.arange(1, days + 1, dtype=np.float64))
    more = np.empty((*disagreement.shape, 4))
    more[:, :, 0] = np.log(disagreement + LEAST_DISAGREEMENT)
    more[:, :, 1] = np.log(unrest(panel) + LEAST_UNREST)[:, None]
    more[:, :, 2] = made[:, :, GAPS] * made[:, :, HORIZON]
    more[:, :, 3] = made[:, :, NOISE] * made[:, :, HORIZON]
    return np.concatenate([made, more], axis=2)


def scales(known: Floats, coefficients: Floats) -> Floats:
    """How far the relative error goes down and up in nine cases of ten, [series, day, side]."""
    sizes: Floats = np.exp(known @ coefficients)
    return np.clip(sizes, SCALE_MIN, SCALE_MAX)
