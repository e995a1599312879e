"""What happened in a run: counted, so that a quiet run is not taken for a sound one."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(slots=True)
class Happenings:
    """Counts of one run, or of many. `stranded`: denials while more than one percent of the limit was really free."""

    allowed: int = 0
    denied: int = 0
    refused_for_budget: int = 0
    stranded: int = 0
    kills: int = 0
    zombies: int = 0
    reclaimed: int = 0
    graced: int = 0
    throttled: int = 0
    admitted_after_reclaim: int = 0
    moved: int = 0
    carried: int = 0

    def admitted(self, *, reclaimed: bool, graced: bool) -> None:
        """A request was allowed, perhaps beyond the limit, by an enforcer that may have been given up by then."""
        self.allowed += 1
        self.graced += graced
        self.admitted_after_reclaim += reclaimed

    def refused(self, *, stranded: bool) -> None:
        """A request was denied for want of room in a budget."""
        self.refused_for_budget += 1
        self.stranded += stranded

    def add(self, other: Happenings) -> None:
        """Count another run in."""
        for each in fields(self):
            setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))
