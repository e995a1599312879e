"""What a detector says: that a scope has been spending more than it usually does, since when and by how much."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["spike", "shift", "ramp"]
"""Hours far above usual; hours that are each a little above, for long; hours that climb."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One episode, when it is noticed and again whenever it has become much worse.

    `begin_ms` is where the episode began and names it: an escalation repeats it. `hour_ms` is the hour that showed it.
    Both amounts are of the hours from `begin_ms` to the end of `hour_ms`, in nano-dollars: what was spent, and
    what usually is. `score` is how far the hour lies above the scope's own usual peaks; 1 and more is a finding.
    """

    begin_ms: int
    hour_ms: int
    observed_nanousd: int
    expected_nanousd: int
    score: float
    kind: Kind

    @property
    def excess_nanousd(self) -> int:
        """What was spent beyond what was expected."""
        return self.observed_nanousd - self.expected_nanousd
