"""A forecast of one scope and one window: the total with its distribution, and the way there day by day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from math import exp
from typing import Final, NamedTuple

LEVELS: Final = (0.005, 0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.975, 0.995)
"""The probabilities at which the distribution of a total is known."""

LOW, MIDDLE, HIGH = (LEVELS.index(level) for level in (0.1, 0.5, 0.9))


class FanPoint(NamedTuple):
    """What the window has cost by the end of a day: the middle and the 80% interval; on days gone by, what it was."""

    day: date
    low_nanousd: int
    mid_nanousd: int
    high_nanousd: int


@dataclass(frozen=True, slots=True)
class Projection:
    """What a scope will have spent from `begin` up to `end` (not included), as known at the beginning of `as_of`.

    `total_nanousd` is as likely too low as too high; four times in five the truth is between low and high. The fan has
    every day of the window. `spread_nanousd` is the total at each of `LEVELS`; without it, as for a forecast that was
    read back from a table, low, total and high must do.
    """

    scope: str
    begin: date
    end: date
    as_of: date
    spent_nanousd: int
    total_nanousd: int
    low_nanousd: int
    high_nanousd: int
    fan: tuple[FanPoint, ...]
    models: tuple[str, ...]
    spread_nanousd: tuple[int, ...] = ()

    @property
    def remaining_nanousd(self) -> int:
        """What is still to come."""
        return self.total_nanousd - self.spent_nanousd

    def probability_above(self, limit_nanousd: int) -> float:
        """How likely the window ends above a limit, 0.0 to 1.0; it only falls as the limit rises."""
        if self.spent_nanousd > limit_nanousd:
            return 1.0
        known = self._quantiles()
        (least, lowest), (most, highest) = known[0], known[-1]
        if limit_nanousd >= highest:
            return (1.0 - most) * _tail(limit_nanousd - highest, highest - self.total_nanousd)
        if limit_nanousd < lowest:
            missing = (lowest - limit_nanousd) / (lowest - self.spent_nanousd)
            return 1.0 - least * (1.0 - missing)
        (before, low), (after, high) = next(pair for pair in pairwise(known) if limit_nanousd < pair[1][1])
        return 1.0 - before - (after - before) * ((limit_nanousd - low) / (high - low))

    def reaches(self, limit_nanousd: int) -> date | None:
        """The first day at whose end the middle of the fan is at the limit or above; None: not in this window."""
        return next((point.day for point in self.fan if point.mid_nanousd >= limit_nanousd), None)

    def _quantiles(self) -> tuple[tuple[float, int], ...]:
        if self.spread_nanousd:
            return tuple(zip(LEVELS, self.spread_nanousd, strict=True))
        return ((0.1, self.low_nanousd), (0.5, self.total_nanousd), (0.9, self.high_nanousd))


def _tail(beyond: int, width: int) -> float:
    """What is left of the last quantile's probability so far beyond it; nothing where all is certain."""
    return exp(-2.0 * beyond / width) if width > 0 else 0.0
