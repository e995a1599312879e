"""Many models, one forecast: each series listens to the models that suit what it is like."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import compress
from typing import Final

import numpy as np

from services.core.forecast.change import after_drop
from services.core.forecast.growing import growth
from services.core.forecast.series import Floats, Panel
from services.core.forecast.smoothing import damped_trend, seasonal_smoothing, simple_smoothing, theta
from services.core.forecast.sparse import intermittent
from services.core.forecast.traits import traits
from services.core.forecast.weekly import run_rate, weekday_level, weekday_means

Model = Callable[[Panel, int], Floats]

MODELS: Final[dict[str, Model]] = {
    "run-rate": run_rate,
    "weekday-means": weekday_means,
    "weekday-level-4d": partial(weekday_level, half_life_days=4.0),
    "weekday-level-14d": partial(weekday_level, half_life_days=14.0),
    "weekday-level-28d": partial(weekday_level, half_life_days=28.0),
    "weekday-level-56d": partial(weekday_level, half_life_days=56.0),
    "seasonal-smoothing": seasonal_smoothing,
    "smoothing": simple_smoothing,
    "theta": theta,
    "damped-trend": damped_trend,
    "growth": growth,
    "intermittent": intermittent,
}

HEARD: Final = 0.05
"""A model with less weight than this is not named."""

AFTER_DROP: Final = "after-drop"
"""What is heard besides, of a series that has dropped: no gate is steep enough for a step."""

OTHERS_SHARE: Final = 0.15
"""What each model from outside weighs."""


@dataclass(frozen=True, slots=True, eq=False)
class Ensemble:
    """Expected amounts [series, day]; how far apart the models are on the way [series, day]; who was heard."""

    paths: Floats
    disagreement: Floats
    models: tuple[tuple[str, ...], ...]


def combine(panel: Panel, days: int, gate: Floats, *, others: Sequence[tuple[str, Floats]] = ()) -> Ensemble:
    """All models' paths, weighed for each series by its traits through `gate` [model, trait]; after a drop, its level.

    `others` are paths of models from outside, by name; where one is not finite it is not heard.
    """
    paths = all_paths(panel, days)
    weights = softmax(traits(panel, days) @ gate.T)
    mixed = np.einsum("sm,msd->sd", weights, paths)
    dropped, trust = after_drop(panel, days)
    mixed += trust[:, None] * (dropped - mixed)
    heard: list[list[bool]] = np.greater_equal(np.column_stack([weights, trust]), HEARD).tolist()
    for _, path in others:
        usable = np.isfinite(path.sum(axis=1, keepdims=True))[:, 0]
        share = np.where(usable, OTHERS_SHARE, 0.0)[:, None]
        mixed = (1.0 - share) * mixed + share * np.maximum(np.nan_to_num(path), 0.0)
        for row, is_usable in zip(heard, usable.tolist(), strict=True):
            row.append(is_usable)
    names = (*MODELS, AFTER_DROP, *(name for name, _ in others))
    return Ensemble(mixed, _disagreement(paths, weights), tuple(tuple(compress(names, row)) for row in heard))


def all_paths(panel: Panel, days: int) -> Floats:
    """What each model of the core expects: [model, series, day]."""
    return np.stack([model(panel, days) for model in MODELS.values()])


def softmax(logits: Floats) -> Floats:
    """Rows of weights that add up to one."""
    raised: Floats = np.exp(logits - logits.max(axis=1, keepdims=True))
    total: Floats = raised.sum(axis=1, keepdims=True)
    return raised / total


def _disagreement(paths: Floats, weights: Floats) -> Floats:
    """How far the models that are heard are apart by the end of each day, as a share of their mean."""
    to_come = np.cumsum(paths, axis=2)
    mean: Floats = np.einsum("sm,msd->sd", weights, to_come)
    apart: Floats = np.einsum("sm,msd->sd", weights, np.abs(to_come - mean))
    share: Floats = np.divide(apart, mean, out=np.zeros_like(mean), where=mean > 0)
    return share
