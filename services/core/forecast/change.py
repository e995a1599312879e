"""Whether the level of a series has changed of late, when, and how surely: a step, not a drift."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from services.core.forecast.series import WEEK, Floats, Panel
from services.core.forecast.weekly import backwards, cycle, profile

SPAN: Final = 8 * WEEK
BEFORE: Final = 4 * WEEK
AGES: Final = np.arange(2, 3 * WEEK + 1)
"""A change is sought so many days ago, and compared with so many days before it."""

BEFORE_MIN: Final = WEEK
NOISE_MIN: Final = 0.15
DOUBTFUL: Final = 3.0
SURE: Final = 6.0
"""A step of so many standard errors is nothing yet, and beyond doubt: of so many days, the largest is often of two."""

LEAST_SHARE: Final = 0.1
"""Weekdays and days are taken to be at least a tenth of the usual, so that no logarithm is of nothing."""

FROM_NORMAL: Final = 1.4826 / 2**0.5
"""From the median distance of two days to their standard deviation."""

DROP: Final = -0.45
DROP_AGE: Final = 3
TRUST: Final = 0.8
"""What falls by more than a third at once and is still there on the third day stays: a cheaper model, a new price, a
client that left. What rises at once often falls back, as launches and campaigns do: there the models know better."""

GAPS_MAX: Final = 0.1
"""Of series with more days without spending, a quiet week is no drop."""


@dataclass(frozen=True, slots=True)
class Change:
    """The likeliest step of each series: 0.0 to 1.0 sure, of so many logarithms, so many days ago."""

    sure: Floats
    size: Floats
    age: Floats


def change(panel: Panel) -> Change:
    """The step that stands out most, as in a two-sided CUSUM; noise is what same weekdays of two weeks differ by."""
    recent = panel.last(SPAN)
    usual = panel.amounts.sum(axis=1) / np.maximum(panel.ages, 1)
    floor = np.maximum(LEAST_SHARE * usual, np.finfo(np.float64).tiny)[:, None]
    bare = recent.amounts / np.maximum(backwards(profile(panel), SPAN), LEAST_SHARE)
    logs = np.where(recent.known, np.log(bare + floor), 0.0)
    sums, counts = _from_the_end(logs), _from_the_end(recent.known.astype(np.float64))
    since, days = sums[:, AGES], counts[:, AGES]
    before, days_before = sums[:, AGES + BEFORE] - since, counts[:, AGES + BEFORE] - days
    size = since / np.maximum(days, 1.0) - before / np.maximum(days_before, 1.0)
    error = _noise(logs, recent)[:, None] * np.sqrt(1.0 / AGES + 1.0 / np.maximum(days_before, 1.0))
    seen = np.where(days_before >= BEFORE_MIN, np.abs(size) / error, 0.0)
    best = seen.argmax(axis=1)[:, None]
    sure = np.clip((np.take_along_axis(seen, best, 1) - DOUBTFUL) / (SURE - DOUBTFUL), 0.0, 1.0)
    return Change(sure[:, 0], np.take_along_axis(size, best, 1)[:, 0], AGES[best[:, 0]].astype(np.float64))


def after_drop(panel: Panel, days: int) -> tuple[Floats, Floats]:
    """A weekly profile times the level since a drop, [series, day]; and how much to listen to it, 0.0 to 1.0."""
    found, shape, recent = change(panel), profile(panel), panel.last(SPAN)
    index = found.age.astype(np.int64)[:, None]
    spent = np.take_along_axis(_from_the_end(recent.amounts), index, 1)
    share = np.take_along_axis(_from_the_end(backwards(shape, SPAN)), index, 1)
    month = panel.last(BEFORE)
    gaps = (month.ages - np.count_nonzero(month.amounts, axis=1)) / np.maximum(month.ages, 1)
    dropped = (found.size < DROP) & (found.age >= DROP_AGE) & (gaps <= GAPS_MAX)
    return spent / np.maximum(share, LEAST_SHARE) * cycle(shape, days), TRUST * found.sure * dropped


def _noise(logs: Floats, recent: Panel) -> Floats:
    both = recent.known[:, WEEK:] & recent.known[:, :-WEEK]
    steps = np.where(both, np.abs(logs[:, WEEK:] - logs[:, :-WEEK]), np.nan)
    steps[~both.any(axis=1)] = 1.0
    noise: Floats = np.maximum(np.nanmedian(steps, axis=1) * FROM_NORMAL, NOISE_MIN)
    return noise


def _from_the_end(values: Floats) -> Floats:
    """Sums of the last 0, 1, 2 ... days."""
    sums = np.zeros((len(values), values.shape[1] + 1))
    np.cumsum(values[:, ::-1], axis=1, out=sums[:, 1:])
    return sums
