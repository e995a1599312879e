"""Dividing an amount so that the parts add up to it again, to the nano-dollar."""

from __future__ import annotations

from collections.abc import Sequence


def apportion(amount_nanousd: int, weights: Sequence[int]) -> list[int]:
    """Parts in proportion to the weights, by largest remainder; of equal remainders the first gets more.

    Without any positive weight the parts are equal; negative weights count as zero. A negative amount is divided like
    a positive one. Raises ValueError when there is nobody to take a part.
    """
    if not weights:
        raise ValueError("nobody to divide among")
    positive = [max(weight, 0) for weight in weights]
    total = sum(positive)
    if total == 0:
        positive, total = [1] * len(weights), len(weights)
    amount = abs(amount_nanousd)
    parts = [amount * weight // total for weight in positive]
    by_remainder = sorted(range(len(parts)), key=lambda n: (-(amount * positive[n] % total), n))
    for n in by_remainder[: amount - sum(parts)]:
        parts[n] += 1
    return parts if amount_nanousd >= 0 else [-part for part in parts]


def share_bp(part: int, whole: int) -> int:
    """A part in basis points of the whole, rounded down; 0 of nothing."""
    return part * 10_000 // whole if whole > 0 else 0
