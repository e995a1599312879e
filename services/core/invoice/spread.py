"""Gives a difference to the charges it belongs to, in proportion and exactly: the parts add up to the nano-dollar."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Correctable:
    """A charge as it stands, earlier corrections included. Without a cost it is unpriced, and weighs by its tokens."""

    charge: str
    cost_nanousd: int | None
    tokens: int


@dataclass(frozen=True, slots=True)
class Corrected:
    """A charge and what it should have cost."""

    charge: str
    previous_nanousd: int | None
    cost_nanousd: int


def spread(difference_nanousd: int, charges: Sequence[Correctable]) -> list[Corrected]:
    """Who gets which part of a difference. Empty when there is nobody to give it to, or nothing to give.

    More than was charged goes to unpriced charges first, by their tokens: that is what the provider knew and we did
    not. Else every charge gets its part by what it cost. No charge comes to cost less than nothing: a difference below
    all that was charged is given as far as that goes. Parts are rounded down, and what is left over goes to the largest
    fractions (Hamilton's method), then by name.
    """
    unpriced = {each.charge: max(1, each.tokens) for each in charges if each.cost_nanousd is None}
    priced = {
        each.charge: each.cost_nanousd for each in charges if each.cost_nanousd is not None and each.cost_nanousd > 0
    }
    if difference_nanousd > 0 and unpriced:
        parts = _parts(difference_nanousd, unpriced)
        return [Corrected(name, None, part) for name, part in parts.items()]
    parts = _parts(max(difference_nanousd, -sum(priced.values())), priced)
    return [Corrected(name, priced[name], priced[name] + part) for name, part in parts.items() if part]


def _parts(amount: int, weights: Mapping[str, int]) -> dict[str, int]:
    total = sum(weights.values())
    if not total:
        return {}
    floors = {name: amount * weight // total for name, weight in weights.items()}
    left = amount - sum(floors.values())
    for name in sorted(weights, key=lambda name: (-(amount * weights[name] % total), name))[:left]:
        floors[name] += 1
    return floors
