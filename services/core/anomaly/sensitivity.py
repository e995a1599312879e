"""How little it takes to call spending unusual: the settings of a detector, and how they were chosen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """The settings of a detector. The defaults come from simulated spending, other seeds than the bench reports.

    A finding needs all three: `threshold` times the scope's own usual peak score, an excess of `effect_nanousd`,
    and an excess of `effect_share` of what the scope spends in a usual day.
    """

    threshold: float = 1.0
    effect_nanousd: int = 1_000_000_000
    effect_share: float = 0.1
    cooldown_hours: int = 24
    """An episode is over after so many hours without anything unusual."""
    escalation: float = 2.0
    """An episode is told again once its excess is so many times what was told last."""

    def __post_init__(self) -> None:
        """Raises `ValueError` for settings under which nothing, or everything, would be a finding."""
        if not self.threshold > 0 or not self.escalation > 1:
            raise ValueError("threshold must be above 0, escalation above 1")
        if self.effect_nanousd < 0 or self.effect_share < 0 or self.cooldown_hours < 1:
            raise ValueError("effects must not be negative, the cool-down at least 1 hour")


DEFAULT: Final = Sensitivity()
