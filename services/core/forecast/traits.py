"""What a series is like, in numbers without a unit: by these the ensemble chooses, and intervals are wide or narrow."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from services.core.forecast.series import WEEK, Floats, Panel
from services.core.forecast.weekly import at_least, backwards, profile

NAMES: Final = (
    "one",
    "age",
    "gaps",
    "noise",
    "drift",
    "drifting",
    "trend",
    "trending",
    "jolt",
    "peak",
    "horizon",
    "elapsed",
)
AGE, GAPS, NOISE, HORIZON = (NAMES.index(name) for name in ("age", "gaps", "noise", "horizon"))

SORTS: Final = ("young", "sparse", "noisy", "calm")
YOUNG: Final = 0.0
SPARSE: Final = 0.35
NOISY: Final = np.log(0.55)
"""Less than four weeks old; nothing on more than a third of the days; scattered by more than half of the usual."""

MONTH: Final = 4 * WEEK
FLOOR_SHARE: Final = 0.1
"""Ratios are taken above a tenth of the usual day, so that nothing is ever a million times nothing."""

NOISE_MIN: Final = 0.1
NOISE_MAX: Final = 2.0
RATIO_MAX: Final = 3.0

PAIRS: Final = 12
PRIOR_PAIRS: Final = 2
PRIOR_UNREST: Final = 0.25


def traits(panel: Panel, days: int) -> Floats:
    """One row of `NAMES` for each series.

    How long it has been there, on how many days nothing is spent, how much it scatters, where the last week stands to
    the last four and those to the four before (with and without the sign), whether the last days are unlike the weeks
    before, how high the highest day was, how far ahead, how far into the window.
    """
    week, month, before = (_mean(panel, first, last) for first, last in ((0, WEEK), (0, MONTH), (MONTH, 2 * MONTH)))
    floor = floor_of(panel)
    recent = panel.last(MONTH)
    count = np.maximum(recent.ages, 1)
    bare = recent.amounts / np.maximum(backwards(profile(panel), MONTH), FLOOR_SHARE)
    scatter = (np.abs(bare - month[:, None]) * recent.known).sum(axis=1) / count / at_least(month + floor)
    drift = _log_ratio(week, month, floor)
    trend = np.where(panel.ages >= MONTH + 2 * WEEK, _log_ratio(month, before, floor), 0.0)
    made = np.ones((len(panel.amounts), len(NAMES)))
    made[:, 1] = np.log(np.clip(panel.ages, 1, 2 * MONTH) / MONTH)
    made[:, 2] = (recent.ages - np.count_nonzero(recent.amounts, axis=1)) / count
    made[:, NOISE] = np.log(np.clip(scatter, NOISE_MIN, NOISE_MAX))
    made[:, 4], made[:, 5] = drift, np.abs(drift)
    made[:, 6], made[:, 7] = trend, np.abs(trend)
    made[:, 8] = np.abs(_log_ratio(_mean(panel, 0, 3), _mean(panel, 3, 3 + 2 * WEEK), floor))
    made[:, 9] = _log_ratio(recent.amounts.max(axis=1), month, floor)
    made[:, HORIZON] = horizon(days)
    made[:, HORIZON + 1] = np.log(max(1, panel.elapsed) / 14.0)
    return made


def sort_of(known: Floats) -> NDArray[np.int64]:
    """Which of `SORTS` each series is, by its traits: errors of one sort are not like those of another."""
    young, sparse = known[:, AGE] < YOUNG, known[:, GAPS] > SPARSE
    return np.select([young, sparse, known[:, NOISE] > NOISY], [0, 1, 2], default=3).astype(np.int64)


def horizon(days: int | Floats) -> Floats:
    """How far ahead, as the trait of that name."""
    ahead: Floats = np.log(np.asarray(days, dtype=np.float64) / 16.0)
    return ahead


def floor_of(panel: Panel) -> Floats:
    """A tenth of the usual day of each series."""
    usual: Floats = panel.amounts.sum(axis=1) / np.maximum(panel.ages, 1)
    return FLOOR_SHARE * usual


def unrest(panel: Panel) -> Floats:
    """How far one week is from the next, usually, as a logarithm: the median, so one launch is not a restless life.

    Mixed with what is usual elsewhere: few weeks prove little, and a new series had none.
    """
    recent = panel.last((PAIRS + 1) * WEEK)
    weeks = recent.amounts.reshape(len(recent.amounts), -1, WEEK)
    sums = weeks.sum(axis=2) + WEEK * floor_of(panel)[:, None]
    known = recent.known.reshape(weeks.shape).sum(axis=2)[:, :-1] == WEEK
    steps = np.abs(np.diff(np.log(at_least(sums)), axis=1))
    prior = np.full((len(steps), PRIOR_PAIRS), PRIOR_UNREST)
    usual: Floats = np.nanmedian(np.concatenate([np.where(known, steps, np.nan), prior], axis=1), axis=1)
    return usual


def _mean(panel: Panel, first: int, last: int) -> Floats:
    """The average of the days from `first` up to `last` days ago, as far as they count."""
    columns = slice(panel.days - last, panel.days - first)
    count = np.maximum(panel.known[:, columns].sum(axis=1), 1)
    mean: Floats = panel.amounts[:, columns].sum(axis=1) / count
    return mean


def _log_ratio(over: Floats, under: Floats, floor: Floats) -> Floats:
    ratio: Floats = np.log(at_least(over + floor) / at_least(under + floor))
    return np.clip(ratio, -RATIO_MAX, RATIO_MAX)
