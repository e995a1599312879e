"""Who explains a change of spending: the keys whose own spending moved with it, the most first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Contributor:
    """A key (a user, a model, a feature) and its spending in the two periods; nano-dollars."""

    key: str
    before_nanousd: int
    now_nanousd: int

    @property
    def moved_nanousd(self) -> int:
        """By how much its spending grew."""
        return self.now_nanousd - self.before_nanousd


def contributors(before: Mapping[str, int], now: Mapping[str, int], *, most: int = 5) -> tuple[Contributor, ...]:
    """The keys that moved the way the sum moved, the largest move first; at most `most`.

    Both map a key to its nano-dollars, in periods of equal length; a key that is missing spent nothing. Equal moves are
    in the order of their keys, so the same figures always give the same answer.
    """
    moved = [Contributor(key, before.get(key, 0), now.get(key, 0)) for key in before.keys() | now.keys()]
    sign = 1 if sum(now.values()) >= sum(before.values()) else -1
    ranked = sorted(moved, key=lambda one: (-sign * one.moved_nanousd, one.key))
    return tuple(one for one in ranked[:most] if sign * one.moved_nanousd > 0)
