"""What a scope usually spends in an hour, by the hour of the week, and how far an hour strays from it."""

from __future__ import annotations

import math
from typing import Final, NamedTuple

from msgspec import Struct, field

HOURS_A_DAY: Final = 24
HOURS_A_WEEK: Final = 168
WARM_HOURS: Final = 72
"""What is younger has no usual yet: it learns faster, and strays from nothing."""
_MONDAY: Final = 3
"""The epoch began on a Thursday."""
_CLIP: Final = 2.5
"""One hour teaches at most so many deviations: what is unusual must not become usual at once."""
_SPREAD_LEAST: Final = 0.06


class Reading(NamedTuple):
    """An hour beside what was expected of it: nano-dollars as a float, and deviations."""

    expected: float
    strayed: float


class Usual(Struct, array_like=True):
    """Amounts are compared as logarithms, so that a factor is a distance: log(amount + offset).

    The offset is a part of the mean hour, which keeps small hours from looking like large changes.
    """

    hours: int = 0
    mean: float = 0.0
    level: float = 0.0
    spread: float = 0.4
    week: list[float] = field(default_factory=lambda: [0.0] * HOURS_A_WEEK)
    week_seen: list[int] = field(default_factory=lambda: [0] * HOURS_A_WEEK)
    day: list[float] = field(default_factory=lambda: [0.0] * (2 * HOURS_A_DAY))
    day_seen: list[int] = field(default_factory=lambda: [0] * (2 * HOURS_A_DAY))

    def read(self, hour: int, amount: float) -> Reading:
        """How an hour (counted from the epoch) compares; then it is learnt from."""
        warm = self.hours >= WARM_HOURS
        if not warm:
            self.mean += (amount - self.mean) / (self.hours + 1)
        offset = self.mean / 3 + 1.0
        value = math.log1p(amount / offset)
        at_week = (hour // HOURS_A_DAY + _MONDAY) % 7 * HOURS_A_DAY + hour % HOURS_A_DAY
        at_day = at_week % HOURS_A_DAY + HOURS_A_DAY * (at_week >= 5 * HOURS_A_DAY)
        seen, day_seen = self.week_seen[at_week], self.day_seen[at_day]
        trust, day_trust = seen / (seen + 1.5), day_seen / (day_seen + 0.5)
        other = self.day[(at_day + HOURS_A_DAY) % (2 * HOURS_A_DAY)]
        base = day_trust * self.day[at_day] + (1 - day_trust) * other
        expected = self.level + trust * self.week[at_week] + (1 - trust) * base
        error = value - expected
        spread = max(self.spread, _SPREAD_LEAST)
        kept = max(-_CLIP * spread, min(_CLIP * spread, error)) if warm else error
        self.level += 0.004 * kept
        target = expected + kept - self.level
        self.week[at_week] += max(0.25, 1 / (seen + 1)) * (target - self.week[at_week])
        self.day[at_day] += max(0.15, 1 / (day_seen + 1)) * (target - self.day[at_day])
        self.week_seen[at_week] = seen + 1
        self.day_seen[at_day] = day_seen + 1
        self.spread += (0.01 if warm else 0.05) * (1.25 * min(abs(error), 4 * spread) - self.spread)
        if warm:
            self.mean += 0.002 * (min(amount, 8 * self.mean) - self.mean)
        self.hours += 1
        return Reading(math.expm1(max(0.0, expected)) * offset, error / spread if warm else 0.0)
