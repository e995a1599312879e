"""Where an episode of unusual spending began, what it has cost so far, and what shape it has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from services.core.anomaly.finding import Kind

SPIKE_HOURS: Final = 3
_SLACK: Final = 0.25
"""An hour that is above the expected by a smaller part of it does not carry an episode further back."""
_CLIMBS: Final = 1.5
"""A ramp's last third lies so many times further above the expected than its first."""


class Episode(Struct, array_like=True):
    """What is going on since `begin_hour` and known for `known_hours`; `told_nanousd` is the excess told last."""

    begin_hour: int
    observed_nanousd: int
    expected_nanousd: float
    told_nanousd: int = 0
    known_hours: int = 0
    quiet_hours: int = 0

    @property
    def excess_nanousd(self) -> int:
        """What was spent beyond what was expected."""
        return self.observed_nanousd - round(self.expected_nanousd)

    def go_on(self, observed_nanousd: int, expected_nanousd: float, *, unusual: bool) -> None:
        """One more hour."""
        self.observed_nanousd += observed_nanousd
        self.expected_nanousd += expected_nanousd
        self.known_hours += 1
        self.quiet_hours = 0 if unusual else self.quiet_hours + 1


def begun(hour: int, observed: Sequence[int], expected: Sequence[float]) -> Episode:
    """The episode that `hour`, the last of these, is part of: it began where what is clearly excess adds up to most.

    Going further back would add hours like the expected ones; going less far would leave out hours above them.
    """
    best = Episode(hour, observed[-1], expected[-1])
    spent, usual, most = 0, 0.0, float("-inf")
    for back in range(len(observed)):
        spent += observed[-1 - back]
        usual += expected[-1 - back]
        clear = spent - (1 + _SLACK) * usual
        if clear > most:
            most, best = clear, Episode(hour - back, spent, usual)
    return best


def shape(observed: Sequence[int], expected: Sequence[float]) -> Kind:
    """What an episode looks like, from its hours so far."""
    if len(observed) <= SPIKE_HOURS:
        return "spike"
    third = len(observed) // 3
    first = (sum(observed[:third]) + 1) / (sum(expected[:third]) + 1)
    last = (sum(observed[-third:]) + 1) / (sum(expected[-third:]) + 1)
    return "ramp" if last > _CLIMBS * first else "shift"
