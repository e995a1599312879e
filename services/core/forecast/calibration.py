"""What was learned from months that are over: whom to listen to, and how wrong the answer was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from services.core.forecast import calibrated
from services.core.forecast.ensemble import MODELS
from services.core.forecast.projection import LEVELS
from services.core.forecast.series import Floats
from services.core.forecast.traits import NAMES, SORTS

SCALE_NAMES = (*NAMES, "disagreement", "unrest", "gaps ahead", "noise ahead")
"""What the width of an interval depends on."""


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """What the ensemble and the intervals need.

    `gate` [model, trait] says whom to listen to; `scale` [scale name, down or up] how large errors are; `quantiles`
    [sort, horizon, level] what they are in units of that.
    """

    gate: Floats
    scale: Floats
    horizons: Floats
    quantiles: Floats

    @classmethod
    @cache
    def shipped(cls) -> Calibration:
        """The one of this release."""
        return read_calibration(calibrated.GATE, calibrated.SCALE, calibrated.QUANTILES)

    def quantiles_at(self, days: Floats) -> Floats:
        """Between the horizons that were measured, by their logarithms: [sort, day, level]."""
        ahead, known = np.log(days), np.log(self.horizons)
        rows = [[np.interp(ahead, known, column) for column in each.T] for each in self.quantiles]
        return np.array(rows).swapaxes(1, 2)


def read_calibration(gate: str, scale: str, quantiles: str) -> Calibration:
    """A calibration from its three tables, as `write_tables` prints them. Raises ValueError where they do not fit."""
    weights, scales, spread = _rows(gate), _rows(scale), _rows(quantiles)
    if tuple(weights) != tuple(MODELS) or tuple(scales) != SCALE_NAMES:
        raise ValueError("the calibration is of other models or traits: run `spendgate forecast calibrate`")
    made = Calibration(
        np.array(list(weights.values())),
        np.array(list(scales.values())),
        np.array([float(name.split()[1]) for name in spread])[: len(spread) // len(SORTS)],
        np.array(list(spread.values())).reshape(len(SORTS), -1, len(LEVELS)),
    )
    if made.gate.shape != (len(MODELS), len(NAMES)):
        raise ValueError("the calibration has other columns: run `spendgate forecast calibrate`")
    return made


def write_tables(calibration: Calibration) -> dict[str, str]:
    """The three tables by name, one row a line, its name first."""
    return {
        "GATE": _table(tuple(MODELS), calibration.gate, 3),
        "SCALE": _table(SCALE_NAMES, calibration.scale, 3),
        "QUANTILES": _table(
            [f"{sort} {days:g}" for sort in SORTS for days in calibration.horizons],
            calibration.quantiles.reshape(-1, len(LEVELS)),
            2,
        ),
    }


def _rows(text: str) -> dict[str, list[float]]:
    rows = (line.split(":") for line in text.strip().splitlines())
    return {name.strip(): [float(word) for word in numbers.split()] for name, numbers in rows}


def _table(names: Sequence[str], rows: Floats, decimals: int) -> str:
    width = max(len(name) for name in names)
    return "\n".join(
        f"{name:>{width}}:" + "".join(f" {number:{decimals + 3}.{decimals}f}" for number in row)
        for name, row in zip(names, rows.tolist(), strict=True)
    )
