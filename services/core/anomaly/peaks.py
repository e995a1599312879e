"""How high a score usually climbs in a day: a scope is measured by its own past, not by a normal curve."""

from __future__ import annotations

from typing import Final

from msgspec import Struct, field

DAYS: Final = 28
_PRIOR: Final = (4.0,) * 5
"""What a day's peak is taken for while few are known."""
_RANK: Final = 0.85


class Peaks(Struct, array_like=True):
    """The peaks of the last days. One bad week does not make the next one usual: the highest days are left out."""

    today: float = 0.0
    hours: int = 0
    days: list[float] = field(default_factory=list)
    usual: float = 4.0

    def measure(self, score: float, least: float) -> float:
        """A score in units of the usual peak, which is never taken to be below `least`."""
        measured = score / max(self.usual, least)
        self.today = max(self.today, score)
        self.hours += 1
        if self.hours == 24:
            self._close()
        return measured

    def _close(self) -> None:
        self.days = [*self.days[1 - DAYS :], self.today]
        ranked = sorted([*self.days, *_PRIOR[: max(0, DAYS - len(self.days))]])
        self.usual = ranked[int(_RANK * (len(ranked) - 1))]
        self.today, self.hours = 0.0, 0
