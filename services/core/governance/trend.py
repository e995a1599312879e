"""A plain trend of monthly spending: a median line through daily averages, damped, with a wide honest interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import median
from typing import Final

FEW: Final = 3
"""With fewer months than this there is no slope, only a level."""

DAMPING: Final = 0.8
"""How much of its step a trend keeps from one month to the next: growth that goes on for ever is rare."""

COVERED: Final = 0.8
"""An interval is as wide as this share of the past's distances from the line: the few oddest months do not widen it."""

LEAST_WIDTH: Final = 0.13
"""Of the level, to each side: however smooth the past was, the next months differ."""

FEW_WIDTH: Final = 0.45
"""With too few months to know."""


@dataclass(frozen=True, slots=True)
class MonthSpend:
    """Spending of one month, of which `days` have been observed."""

    month: str
    amount_nanousd: int
    days: float
    whole: bool = True


@dataclass(frozen=True, slots=True)
class Projection:
    """What is expected of a period, with its 80% interval, and how that was found."""

    expected_nanousd: int
    low_nanousd: int
    high_nanousd: int
    method: str


def project_trend(months: Sequence[MonthSpend], horizon_days: Sequence[int]) -> Projection:
    """What the months that follow are expected to cost together; `horizon_days` are their lengths.

    Works on daily averages, so short months do not look like a fall. Statistics are float64; results are rounded.
    """
    daily = [month.amount_nanousd / month.days for month in months if month.days > 0]
    if not daily or not horizon_days:
        return Projection(0, 0, 0, "nothing was spent yet")
    slope = _slope(daily) if len(daily) >= FEW else 0.0
    level = median(y + slope * (len(daily) - 1 - n) for n, y in enumerate(daily))
    expected, rate = 0.0, level
    for ahead, days in enumerate(horizon_days):
        rate += slope * DAMPING**ahead
        expected += max(rate, 0.0) * days
    width = _relative_width(daily, slope, level) * (1 + 2 / len(daily)) ** 0.5
    low, high = max(expected * (1 - width), 0.0), expected * (1 + width)
    return Projection(round(expected), round(low), round(high), _method(len(daily)))


def _slope(daily: Sequence[float]) -> float:
    """Theil and Sen's: the median of the slopes between any two months, so one odd month does not bend it."""
    return median((daily[j] - daily[i]) / (j - i) for i, j in combinations(range(len(daily)), 2))


def _relative_width(daily: Sequence[float], slope: float, level: float) -> float:
    if len(daily) < FEW or level <= 0:
        return FEW_WIDTH
    line = [level - slope * (len(daily) - 1 - n) for n in range(len(daily))]
    distances = sorted(abs(y - fit) for y, fit in zip(daily, line, strict=True))
    return max(distances[int(COVERED * (len(distances) - 1))] / level, LEAST_WIDTH)


def _method(months: int) -> str:
    if months < FEW:
        return f"average of {months} month{'s' if months > 1 else ''}, too few for a trend"
    return f"plain damped trend over {months} months"
