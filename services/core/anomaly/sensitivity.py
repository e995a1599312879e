"""How little it takes to call spending unusual: the settings of a detector."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

COOLDOWN_HOURS_MAX: Final = 168


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """A finding needs a score of `threshold`, an excess of `effect_nanousd`, and one of a part of a usual day.

    The score is in units of the scope's own usual peaks. The defaults were chosen on simulated spending, from
    other seeds than those that the bench reports: about one false alert a scope and month. Raises `ValueError` for
    settings under which nothing, or everything, would be a finding.
    """

    threshold: float = 1.0
    effect_nanousd: int = 1_000_000_000
    effect_share: float = 0.25
    cooldown_hours: int = 24
    """An episode is over after so many hours without anything unusual."""
    escalation: float = 2.0
    """An episode is told again once its excess is so many times what was told last."""

    def __post_init__(self) -> None:
        for name in ("threshold", "effect_share", "escalation"):
            # An int here would come back as a float from a dumped state, whose bytes would then differ.
            object.__setattr__(self, name, float(getattr(self, name)))
        if not self.threshold > 0 or not self.escalation > 1:
            raise ValueError("threshold must be above 0, escalation above 1")
        if self.effect_nanousd < 0 or not self.effect_share >= 0:
            raise ValueError("effect_nanousd and effect_share must not be negative")
        if not 1 <= self.cooldown_hours <= COOLDOWN_HOURS_MAX:
            raise ValueError(f"cooldown_hours must be from 1 to {COOLDOWN_HOURS_MAX}")


DEFAULT: Final = Sensitivity()
