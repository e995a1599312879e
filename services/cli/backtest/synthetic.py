"""Spending as it is known from LLM platforms, made up from a seed: eight classes, each series with its own numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from services.cli.backtest.months import MONTH_DAYS, Month, Purpose, month_at

Floats = NDArray[np.float64]

HISTORY: Final = 120
DAYS: Final = HISTORY + MONTH_DAYS
WALK: Final = 0.02
"""Every level wanders by so much a day, as nothing is ever quite steady."""

_STREAM: Final[dict[Purpose, int]] = {"calibrate": 1, "judge": 2}
"""The same seed gives other series for another purpose."""


def synthetic_months(purpose: Purpose, *, seed: int, each: int) -> Iterator[Month]:
    """So many months of each class; what they are follows from the seed and the purpose alone."""
    for rank, (kind, make) in enumerate(CLASSES.items()):
        for number in range(each):
            random = np.random.default_rng((_STREAM[purpose], seed, rank, number))
            amounts = make(random)
            if amounts[-MONTH_DAYS:].sum() > 0:
                yield month_at(kind, f"{kind}-{number}", amounts, len(amounts) - MONTH_DAYS)


def _weekly(random: Generator) -> Floats:
    """People at work: strong weekdays, weak weekends, a level that wanders."""
    return _week(random) * _noise(random)


def _growth(random: Generator) -> Floats:
    """Ten to sixty percent more each month."""
    return _weekly(random) * _compound(random.uniform(0.1, 0.6))


def _decline(random: Generator) -> Floats:
    """A product that is being left, or moved to a cheaper model step by step."""
    return _weekly(random) * _compound(-random.uniform(0.1, 0.4))


def _shift(random: Generator) -> Floats:
    """Another level from one day to the next, before or within the month: a new price, a new default model."""
    factor = random.choice([random.uniform(0.25, 0.6), random.uniform(1.6, 3.5)])
    return _weekly(random) * np.where(_days() >= random.integers(DAYS - 55, DAYS - 5), factor, 1.0)


def _launch(random: Generator) -> Floats:
    """A launch: several times the usual for some days, then a new level somewhat above the old one."""
    since = _days() - random.integers(DAYS - 45, DAYS - 10)
    rush = random.uniform(2.0, 8.0) * np.exp(-since.clip(0) / random.uniform(3.0, 8.0)) + random.uniform(0.0, 0.5)
    return _weekly(random) * np.where(since >= 0, 1.0 + rush, 1.0)


def _campaigns(random: Generator) -> Floats:
    """Bursts that come unannounced, some weeks apart, and fade within days: campaigns, evaluations, the news."""
    begins = random.random(DAYS) < random.uniform(0.02, 0.08)
    heights = np.where(begins, random.uniform(0.5, 2.0) * np.exp(random.normal(0.0, 0.9, DAYS)), 0.0)
    fading = np.exp(-_days() / random.uniform(1.0, 8.0))
    return _weekly(random) * (1.0 + np.convolve(heights, fading)[:DAYS])


def _bursty(random: Generator) -> Floats:
    """Machines rather than people: no week, busy for days and quiet for days."""
    memory, spread = random.uniform(0.3, 0.9), random.uniform(0.3, 1.3)
    shocks = random.normal(0.0, spread * np.sqrt(1.0 - memory**2), DAYS)
    lasting = np.convolve(shocks, memory ** _days())[:DAYS]
    busy: Floats = np.exp(lasting)
    above: Floats = np.maximum(busy - random.choice([0.0, 0.5]), 0.0)
    return above


def _batch(random: Generator) -> Floats:
    """Jobs that run on one day in three to twelve, of very different sizes; nothing between them."""
    runs = random.random(DAYS) < random.uniform(0.08, 0.35)
    return np.where(runs, np.exp(random.normal(0.0, 0.8, DAYS)), 0.0)


def _intermittent(random: Generator) -> Floats:
    """One developer: about half of the working days, hardly a weekend."""
    works = random.random(DAYS) < 0.55 * np.minimum(_week(random), 1.0)
    return np.where(works, _noise(random) * np.exp(random.normal(0.0, 0.6, DAYS)), 0.0)


def _short(random: Generator) -> Floats:
    """A project that began shortly before the month, or in it: at its level, or finding it from below or above."""
    age = int(random.integers(MONTH_DAYS - 4, MONTH_DAYS + 18))
    first = random.choice([random.uniform(0.05, 0.5), random.uniform(1.5, 4.0), 1.0])
    finding = 1.0 + (first - 1.0) * np.exp(-np.arange(age) / random.uniform(2.0, 15.0))
    return np.concatenate([np.zeros(DAYS - age), _weekly(random)[-age:] * finding])


CLASSES: Final[dict[str, Callable[[Generator], Floats]]] = {
    "weekly": _weekly,
    "growth": _growth,
    "decline": _decline,
    "shift": _shift,
    "launch": _launch,
    "campaigns": _campaigns,
    "bursty": _bursty,
    "batch": _batch,
    "intermittent": _intermittent,
    "short": _short,
}


def _compound(monthly: float) -> Floats:
    """So much more, or less, each month."""
    grown: Floats = (1.0 + monthly) ** (_days() / MONTH_DAYS)
    return grown


def _days() -> Floats:
    return np.arange(DAYS, dtype=np.float64)


def _week(random: Generator) -> Floats:
    """A weekly pattern that begins on any weekday."""
    weekend = random.uniform(0.05, 0.7)
    shape = np.array([1.0, 1.08, 1.1, 1.05, 0.92, weekend, weekend * 0.9])
    return np.resize(np.roll(shape, random.integers(7)), DAYS)


def _noise(random: Generator) -> Floats:
    spread = random.uniform(0.04, 0.45)
    return np.exp(np.cumsum(random.normal(0.0, WALK, DAYS)) + random.normal(-(spread**2) / 2, spread, DAYS))
