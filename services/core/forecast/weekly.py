"""Models that know the weekday: seasonal profiles and averages."""

from __future__ import annotations

from typing import Final

import numpy as np

from services.core.forecast.series import WEEK, Floats, Panel

PROFILE_WEEKS: Final = 8
PRIOR_WEEKS: Final = 2.0
"""As many weeks without any weekly pattern are mixed into a profile: few weeks prove little."""

RATIO_MAX: Final = 4.0
LEAST_SHARE: Final = 0.05
"""A weekday is never divided by less: one paid Sunday would make a level out of noise."""


def run_rate(panel: Panel, days: int) -> Floats:
    """Every day to come costs what the days of this window did on average; before its first, the last four weeks."""
    return _flat(_mean(panel.last(panel.elapsed or 4 * WEEK)), days)


def weekday_means(panel: Panel, days: int, *, weeks: int = 4) -> Floats:
    """Every day to come costs what its weekday did on average over some weeks."""
    recent = panel.last(weeks * WEEK)
    weights = recent.known.astype(np.float64)
    counts = _by_weekday(weights)
    sums = _by_weekday(recent.amounts)
    means = np.where(counts > 0, sums / np.maximum(counts, 1.0), _mean(recent)[:, None])
    return cycle(means, days)


def weekday_level(panel: Panel, days: int, *, half_life_days: float = 28.0) -> Floats:
    """A weekly profile times a level that forgets half of the past in so many days."""
    shape = profile(panel)
    weights = 0.5 ** (np.arange(panel.days - 1, -1, -1) / half_life_days) * panel.known
    level: Floats = (weights * panel.amounts).sum(axis=1) / at_least(
        (weights * backwards(shape, panel.days)).sum(axis=1)
    )
    return cycle(shape, days) * level[:, None]


def profile(panel: Panel) -> Floats:
    """How each weekday compares with its week, [series, weekday], on average 1; column 0 is the weekday of `as_of`.

    Each whole week weighs the same whatever it cost, so growth does not tilt the profile.
    """
    recent = panel.last(PROFILE_WEEKS * WEEK)
    weeks = recent.amounts.reshape(len(recent.amounts), -1, WEEK)
    mean = weeks.mean(axis=2, keepdims=True)
    whole = (recent.known.reshape(weeks.shape).all(axis=2) & (mean[:, :, 0] > 0))[:, :, None]
    ratios = np.minimum(weeks / at_least(mean), RATIO_MAX) * whole
    shape: Floats = (ratios.sum(axis=1) + PRIOR_WEEKS) / (whole.sum(axis=1) + PRIOR_WEEKS)
    total: Floats = shape.sum(axis=1, keepdims=True)
    return shape * (WEEK / total)


def cycle(shape: Floats, days: int) -> Floats:
    """A week [series, weekday] repeated over the days to come."""
    return shape[:, np.arange(days) % WEEK]


def backwards(shape: Floats, days: int) -> Floats:
    """A week [series, weekday] repeated over the days gone by."""
    return shape[:, np.arange(-days, 0) % WEEK]


def _by_weekday(values: Floats) -> Floats:
    sums: Floats = values.reshape(len(values), -1, WEEK).sum(axis=1)
    return sums


def _mean(panel: Panel) -> Floats:
    """The average over the days that count."""
    sums: Floats = panel.amounts.sum(axis=1)
    return sums / np.maximum(panel.ages, 1)


def _flat(level: Floats, days: int) -> Floats:
    return np.repeat(level[:, None], days, axis=1)


def at_least(values: Floats) -> Floats:
    """Divisors that are never zero."""
    floored: Floats = np.maximum(values, np.finfo(np.float64).tiny)
    return floored
