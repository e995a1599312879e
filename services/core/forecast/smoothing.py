"""Models that smooth: levels and trends that follow the past as closely as each series' own past says they should."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from services.core.forecast.series import WEEK, Floats, Mask, Panel
from services.core.forecast.weekly import LEAST_SHARE, at_least, backwards, cycle, profile

ALPHAS: Final = np.array([0.03, 0.06, 0.1, 0.17, 0.3, 0.5, 0.75])
"""How much of each error a level takes in; the one that would have been best for a series is taken."""

DAMPED: Final = np.array(
    [(alpha, ratio, damping) for alpha in (0.05, 0.12, 0.3, 0.6) for ratio in (0.05, 0.2) for damping in (0.9, 0.97)]
)
"""Of damped trends: what the level takes in, which part of it the trend does, and what is left of a trend each day."""

WARM_UP: Final = WEEK
"""The first days of a series set its first level and are no test of anything."""


@dataclass(frozen=True, slots=True, eq=False)
class Seasonless:
    """A panel with its weekly pattern divided out."""

    values: Floats
    known: Mask
    shape: Floats

    @classmethod
    def of(cls, panel: Panel) -> Seasonless:
        """Days of a weekday that is hardly used count little, in what is divided and in what is forecast."""
        shape = np.maximum(profile(panel), LEAST_SHARE)
        return cls(panel.amounts / backwards(shape, panel.days), panel.known, shape)


def seasonal_smoothing(panel: Panel, days: int) -> Floats:
    """A level for each weekday, smoothed from week to week."""
    series = len(panel.amounts)
    weeks = panel.amounts.reshape(series, -1, WEEK)
    known = panel.known.reshape(weeks.shape)
    level = np.zeros((len(ALPHAS), series, WEEK))
    seen = np.zeros((series, WEEK))
    errors = np.zeros((len(ALPHAS), series))
    for week in range(weeks.shape[1]):
        error = weeks[:, week] - level
        errors += (error**2 * (known[:, week] & (seen > 0))).sum(axis=2)
        rate = np.maximum(ALPHAS[:, None, None], 1.0 / (seen + 1.0))
        level += rate * error * known[:, week]
        seen += known[:, week]
    shape = _best(level, errors)
    mean = _weighted(shape, seen)
    return cycle(np.where(seen > 0, shape, mean[:, None]), days)


def simple_smoothing(panel: Panel, days: int) -> Floats:
    """One level, smoothed from day to day, under a weekly pattern."""
    bare = Seasonless.of(panel)
    return cycle(bare.shape, days) * _smoothed(bare)[:, None]


def theta(panel: Panel, days: int) -> Floats:
    """The Theta method: a smoothed level that goes on with half of the slope of the past, under a weekly pattern."""
    bare = Seasonless.of(panel)
    ahead = np.arange(1, days + 1)
    path = _smoothed(bare)[:, None] + 0.5 * _slope(bare)[:, None] * ahead
    return cycle(bare.shape, days) * np.maximum(path, 0.0)


def damped_trend(panel: Panel, days: int) -> Floats:
    """Holt's level and trend, the trend fading, under a weekly pattern."""
    bare = Seasonless.of(panel)
    alpha, beta, damping = (column[:, None] for column in (DAMPED[:, 0], DAMPED[:, 0] * DAMPED[:, 1], DAMPED[:, 2]))
    level = np.repeat(_first_level(bare)[None, :], len(DAMPED), axis=0)
    trend, errors = np.zeros_like(level), np.zeros_like(level)
    counted = _warm(bare)
    for day in range(panel.days):
        error = (bare.values[:, day] - level - damping * trend) * bare.known[:, day]
        errors += error**2 * counted[:, day]
        moved = damping * trend * bare.known[:, day]
        level += moved + alpha * error
        trend = np.where(bare.known[:, day], damping * trend + beta * error, trend)
    best = errors.argmin(axis=0)
    rows = np.arange(len(best))
    fading = np.cumsum(DAMPED[best, 2][:, None] ** np.arange(1, days + 1), axis=1)
    path: Floats = level[best, rows][:, None] + trend[best, rows][:, None] * fading
    return cycle(bare.shape, days) * np.maximum(path, 0.0)


def _smoothed(bare: Seasonless) -> Floats:
    """The last level of each series, at the rate that fits it best."""
    level = np.repeat(_first_level(bare)[None, :], len(ALPHAS), axis=0)
    errors = np.zeros_like(level)
    counted = _warm(bare)
    for day in range(bare.values.shape[1]):
        error = (bare.values[:, day] - level) * bare.known[:, day]
        errors += error**2 * counted[:, day]
        level += ALPHAS[:, None] * error
    return _best(level, errors)


def _slope(bare: Seasonless) -> Floats:
    """The least-squares slope of each series a day."""
    weights = bare.known.astype(np.float64)
    time = np.arange(bare.values.shape[1], dtype=np.float64)[None, :]
    centred = (time - _weighted(np.broadcast_to(time, weights.shape), weights)[:, None]) * weights
    slope: Floats = (centred * bare.values).sum(axis=1) / np.maximum((centred**2).sum(axis=1), 1.0)
    return slope


def _first_level(bare: Seasonless) -> Floats:
    return _weighted(bare.values, (bare.known & ~_warm(bare)).astype(np.float64))


def _warm(bare: Seasonless) -> Mask:
    """Which days come after the first ones of their series."""
    warm: Mask = np.cumsum(bare.known, axis=1) > WARM_UP
    return warm


def _weighted(values: Floats, weights: Floats) -> Floats:
    mean: Floats = (values * weights).sum(axis=1) / at_least(weights.sum(axis=1))
    return mean


def _best(levels: Floats, errors: Floats) -> Floats:
    """Of [rate, series, ...], what had the least squared error [rate, series] for each series."""
    best: Floats = levels[errors.argmin(axis=0), np.arange(errors.shape[1])]
    return best
