"""Many models, one forecast: the path in the middle of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import Final

import numpy as np

from services.core.forecast.series import Floats, Panel
from services.core.forecast.weekly import run_rate, weekday_level, weekday_means

Model = Callable[[Panel, int], Floats]

MODELS: Final[dict[str, Model]] = {
    "run-rate": run_rate,
    "weekday-means": weekday_means,
    "weekday-level": weekday_level,
}


@dataclass(frozen=True, slots=True, eq=False)
class Ensemble:
    """Expected amounts [series, day], and which models were heard for each series."""

    paths: Floats
    models: tuple[tuple[str, ...], ...]


def combine(panel: Panel, days: int, *, others: Sequence[tuple[str, Floats]] = ()) -> Ensemble:
    """The median over all models of each series' total, along the median path."""
    paths = [model(panel, days) for model in MODELS.values()] + [path for _, path in others]
    stacked = np.maximum(np.stack(paths), 0.0)
    middle = np.nanmedian(stacked, axis=0)
    names = (*MODELS, *(name for name, _ in others))
    heard = (~np.isnan(stacked[:, :, 0])).T.tolist()
    return Ensemble(middle, tuple(tuple(compress(names, row)) for row in heard))
