"""What a scope usually spends at this hour of the week, learnt as it goes, and how far an hour strays from that.

Amounts are compared as log(1 + amount / offset), so that a factor is a distance and small hours are not large changes;
the offset is a third of the mean hour. What is usual at an hour of the week is a level, plus that hour's own habit,
which leans on its hour of the day (of working days, or of weekends) until it has been seen often. One hour teaches
at most `CLIP` deviations, so what is unusual does not become usual at once. Hours are UTC: all days are equally long.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

from msgspec import Struct, field

HOURS_A_DAY: Final = 24
HOURS_A_WEEK: Final = 168
WARM_HOURS: Final = 72
"""What is younger has no usual yet: it learns fast, and strays from nothing."""
CLIP: Final = 1.5
BUSIEST: Final = 8.0
"""Of an hour, at most so many mean hours count toward the mean."""

_MONDAY: Final = 3
"""The epoch began on a Thursday."""
_FRIDAY_ENDS: Final = 5 * HOURS_A_DAY
_OFFSET: Final = 1 / 3
_SPREAD: Final = 0.4
"""What a deviation is taken for before any is known, in logarithms: half as much again."""
_SPREAD_LEAST: Final = 0.08
_OWN_SPREAD: Final = 0.4
"""How much of a deviation is this hour of the day's, where the rest is all hours'."""
# How much of an error goes into what is usual, each at its own pace; an hour of the week is seen once a week.
_LEVEL_RATE: Final = 0.003
_WEEK_RATE: Final = 0.15
_DAY_RATE: Final = 0.06
_SPREAD_RATE: Final = 0.01
_COLD_SPREAD_RATE: Final = 0.05
_OWN_SPREAD_RATE: Final = 0.1
_MEAN_RATE: Final = 0.002
_BIAS_RATE: Final = 0.01


class Reading(NamedTuple):
    """What was expected of an hour, in nano-dollars, and by how many deviations the hour strayed from it."""

    expected: float
    strayed: float


class Usual(Struct, array_like=True):
    """What is usual, of one scope. `mean` is in nano-dollars; level, habits and spreads are logarithms."""

    hours: int = 0
    mean: float = 0.0
    bias: float = 1.0
    """What is spent over what the logarithms expect: they aim at the middle, and a sum is more than its middles."""
    level: float = 0.0
    spread: float = _SPREAD
    week: list[float] = field(default_factory=lambda: [0.0] * HOURS_A_WEEK)
    week_seen: list[int] = field(default_factory=lambda: [0] * HOURS_A_WEEK)
    day: list[float] = field(default_factory=lambda: [0.0] * (2 * HOURS_A_DAY))
    day_seen: list[int] = field(default_factory=lambda: [0] * (2 * HOURS_A_DAY))
    day_spread: list[float] = field(default_factory=lambda: [_SPREAD] * (2 * HOURS_A_DAY))

    def read(self, hour: int, amount: int) -> Reading:
        """How an hour, counted from the epoch, compares with what is usual; then what is usual learns from it."""
        warm = self.hours >= WARM_HOURS
        if not warm:
            self.mean += (amount - self.mean) / (self.hours + 1)
        of_week = (hour // HOURS_A_DAY + _MONDAY) % 7 * HOURS_A_DAY + hour % HOURS_A_DAY
        of_day = of_week % HOURS_A_DAY + HOURS_A_DAY * (of_week >= _FRIDAY_ENDS)
        offset = self.mean * _OFFSET + 1.0
        usual = self.level + self._habit(of_week, of_day)
        spread = max(self.spread + _OWN_SPREAD * (self.day_spread[of_day] - self.spread), _SPREAD_LEAST)
        error = math.log1p(amount / offset) - usual
        self._learn(of_week, of_day, usual, error, spread if warm else math.inf)
        expected = math.expm1(max(0.0, usual)) * offset
        if warm:
            counted = min(float(amount), BUSIEST * self.mean)
            self.mean += max(_MEAN_RATE, 1 / (self.hours + 1)) * (counted - self.mean)
            self.bias += _BIAS_RATE * (counted - self.bias * expected) / (self.mean + 1.0)
        self.hours += 1
        return Reading(expected * self.bias, error / spread if warm else 0.0)

    def rescale(self, factor: float) -> None:
        """From now on it is usual to spend so many times as much, at every hour."""
        self.mean *= factor

    def _habit(self, of_week: int, of_day: int) -> float:
        other = self.day[(of_day + HOURS_A_DAY) % (2 * HOURS_A_DAY)]
        day = other + self.day_seen[of_day] / (self.day_seen[of_day] + 0.5) * (self.day[of_day] - other)
        return day + self.week_seen[of_week] / (self.week_seen[of_week] + 1.5) * (self.week[of_week] - day)

    def _learn(self, of_week: int, of_day: int, usual: float, error: float, spread: float) -> None:
        kept = max(-CLIP * spread, min(CLIP * spread, error))
        self.level += _LEVEL_RATE * kept
        habit = usual + kept - self.level
        seen, day_seen = self.week_seen[of_week] + 1, self.day_seen[of_day] + 1
        self.week[of_week] += max(_WEEK_RATE, 1 / seen) * (habit - self.week[of_week])
        self.day[of_day] += max(_DAY_RATE, 1 / day_seen) * (habit - self.day[of_day])
        self.week_seen[of_week], self.day_seen[of_day] = seen, day_seen
        # 1.25 mean absolute deviations are one standard deviation; four are as far as one hour can widen it.
        far = 1.25 * min(abs(error), 4 * spread)
        self.spread += (_SPREAD_RATE if self.hours >= WARM_HOURS else _COLD_SPREAD_RATE) * (far - self.spread)
        rate = max(_OWN_SPREAD_RATE, 1 / (day_seen + 1))
        self.day_spread[of_day] += rate * (far - self.day_spread[of_day])
