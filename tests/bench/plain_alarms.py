"""The alarms that people set up themselves: so many times the trailing mean, and so many EWMA deviations above it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tests.bench.injected import Outcome, Spending, outcome

Floats = NDArray[np.float64]

WEEK_HOURS: Final = 168
EPISODE_HOURS: Final = 6
"""False alarms that follow one another so closely are counted as one."""
_HALVINGS: Final = 20


def trailing_mean(amounts: NDArray[np.int64]) -> Floats:
    """Each hour over the mean of the week before it; 0 in the first week."""
    sums = np.concatenate([[0.0], np.cumsum(amounts, dtype=np.float64)])
    means = (sums[WEEK_HOURS:-1] - sums[: -WEEK_HOURS - 1]) / WEEK_HOURS
    return np.concatenate([np.zeros(WEEK_HOURS), amounts[WEEK_HOURS:] / np.maximum(means, 1.0)])


def ewma(amounts: NDArray[np.int64]) -> Floats:
    """How many deviations each hour lies above an exponentially weighted mean with a half-life of a week.

    0 in the first week.
    """
    rate = 1 - 0.5 ** (1 / WEEK_HOURS)
    mean, variance, scores = float(amounts[0]), 0.0, [0.0]
    for hour, amount in enumerate(amounts[1:].tolist(), start=1):
        error = amount - mean
        scores.append(max(0.0, error) / (math.sqrt(variance) + 1.0) if hour >= WEEK_HOURS else 0.0)
        weight = max(rate, 1 / (hour + 1))
        mean += weight * error
        variance = (1 - weight) * (variance + weight * error * error)
    return np.array(scores)


def at_budget(
    scopes: Sequence[Spending], score: Callable[[NDArray[np.int64]], Floats], false_per_30_days: float
) -> tuple[float, Outcome]:
    """The lowest threshold with so few false alarms, and what it achieves: chosen with the answers at hand."""
    scores = [score(scope.amounts_nanousd) for scope in scopes]
    low, high = 0.0, max(float(each.max()) for each in scores)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        false = heard(scopes, scores, middle).false_per_30_days
        low, high = (middle, high) if false > false_per_30_days else (low, middle)
    return high, heard(scopes, scores, high)


def heard(scopes: Sequence[Spending], scores: Sequence[Floats], threshold: float) -> Outcome:
    """What alarms at every hour at or above a threshold are worth."""
    above = [np.flatnonzero(each >= threshold).tolist() for each in scores]
    return outcome(scopes, above, quiet_hours=EPISODE_HOURS)
