"""The first day of a scope: what a few hours can say of the rest of a window, when nothing was spent before."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise
from typing import Final

import numpy as np

from services.core.forecast.project import assemble, to_nanos
from services.core.forecast.projection import Projection
from services.core.forecast.series import DailySeries, Floats

FIRST_DAY: Final = "first-day"
"""The name of this model, and the only one of a forecast that it made."""

DAY_SHARE_MIN: Final = 0.25
"""A day is taken to be so far gone at least: the first hour does not stand for twenty-four."""

QUIET_DAY: Final = 0.5
"""A day that is quieter than that for the parent says no more about its busy days."""

TIMES: Final = np.array([0, 0, 0, 0, 0.46, 0.58, 0.71, 0.81, 1, 1.07, 1.37, 1.95, 2.5, 3.4, 5.7, 8.9, 17])
"""What each following day costs on average as a multiple of the first, at each of `LEVELS`.

Measured over two weeks of the calibrating synthetic series, all classes; but the middle is one, as what is steady stays
so, and from the lower end of the interval down nothing follows: many a first day is a trial.
"""


def first_day(
    series: DailySeries, *, begin: date, end: date, as_of: date, day_share: float, parent: Projection | None = None
) -> Projection:
    """The projection of a scope that has spent something on `as_of`, and nothing before.

    `day_share` of that day has gone by, 0.0 to 1.0. Its days follow those of a parent's projection of the same window,
    or are all alike. Raises ValueError where it has not spent anything.
    """
    (spent,) = series.between(as_of, as_of + timedelta(1))
    if spent <= 0:
        raise ValueError(f"{series.scope} has not spent anything on {as_of}")
    shape = _shape(parent, (end - as_of).days)
    whole = spent / min(1.0, max(DAY_SHARE_MIN, day_share))
    usual = whole / max(QUIET_DAY, float(shape[0]))
    middle = np.cumsum(np.concatenate([[whole - spent], usual * shape[1:]]))
    to_come = spent + to_nanos(middle[:, None] * TIMES)
    return assemble(series.before(as_of), begin, end, as_of, to_come, (FIRST_DAY,))


def _shape(parent: Projection | None, days: int) -> Floats:
    """The last days of a window as its parent expects them, one being an average day of those."""
    if parent is None or parent.remaining_nanousd <= 0:
        return np.ones(days)
    ends = [parent.spent_nanousd, *(point.mid_nanousd for point in parent.fan[-days:])]
    each = np.array([float(after - before) for before, after in pairwise(ends)])
    shape: Floats = each / each.mean()
    return shape
