"""How high a score usually climbs in a day: a scope is measured by its own past, not by a normal curve."""

from __future__ import annotations

from typing import Final

from msgspec import Struct, field

DAYS: Final = 28
HIGH: Final = 0.85
REACH: Final = 1.65
"""The usual peak lies beyond the middle day's by so many times the way from there to a `HIGH` day's."""
CAP: Final = 1.1
"""A peak counts as so many usual ones at most: a bad week does not make the next one usual, a wild scope becomes so."""
_PRIOR: Final = 4.0
"""What a usual peak is taken for before any day is known; two weeks of days replace it."""
_PRIOR_DAYS: Final = 14
_HOURS_A_DAY: Final = 24


class Peaks(Struct, array_like=True):
    """The peaks of the last four weeks, and the peak of today so far."""

    today: float = 0.0
    hours: int = 0
    days: list[float] = field(default_factory=list)
    usual: float = _PRIOR

    def measure(self, score: float, least: float) -> float:
        """An hour's score in units of the usual peak, which is never taken to be below `least`."""
        peak = max(self.usual, least)
        self.today = max(self.today, min(score, CAP * peak))
        self.hours += 1
        if self.hours == _HOURS_A_DAY:
            self._close()
        return score / peak

    def _close(self) -> None:
        self.days = [*self.days[1 - DAYS :], self.today]
        ranked = sorted(self.days)
        middle, high = ranked[len(ranked) // 2], ranked[int(HIGH * (len(ranked) - 1))]
        known = min(1.0, len(ranked) / _PRIOR_DAYS)
        self.usual = known * (middle + REACH * (high - middle)) + (1 - known) * _PRIOR
        self.today, self.hours = 0.0, 0
