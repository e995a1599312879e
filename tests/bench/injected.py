"""Hourly spending with cost anomalies put into it, from a seed, and what a detector's alerts are worth on it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final, Literal

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Anomaly = Literal["runaway", "spike", "leak", "ramp", "price"]

HOUR_MS: Final = 3_600_000
BEGIN_HOUR: Final = 487_296
"""Monday 2025-08-04, in hours from the epoch."""
CLEAN_HOURS: Final = 28 * 24
HOURS: Final = 70 * 24
GRACE_HOURS: Final = 6
"""An alert so soon after an anomaly is late, but about it: neither found nor false."""
KINDS: Final = ("office", "global", "nightly", "sparse", "growing", "agents")
ANOMALIES: Final[tuple[Anomaly, ...]] = ("runaway", "spike", "leak", "ramp", "price")
_WEEK: Final = np.array([1.0, 1.05, 1.1, 1.05, 0.95, 0.25, 0.2])
_MILD_WEEK: Final = np.array([1.0, 1.0, 1.0, 1.0, 1.0, 0.8, 0.8])


@dataclass(frozen=True, slots=True)
class Injected:
    """One anomaly: its first and its last hour, as places in the series."""

    kind: Anomaly
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Spending:
    """A scope's hours from `BEGIN_HOUR` on, in nano-dollars, and what was put into them."""

    kind: str
    amounts_nanousd: NDArray[np.int64]
    injected: tuple[Injected, ...]


def spending(seed: int, series: int) -> list[Spending]:
    """So many scopes, of every kind in turn; equal seeds give equal scopes."""
    return [_scope(np.random.default_rng([seed, index]), KINDS[index % len(KINDS)]) for index in range(series)]


def _scope(random: Generator, kind: str) -> Spending:
    usual = _usual(random, kind)
    amounts, injected, at = usual.copy(), [], CLEAN_HOURS
    # A new price stays, so it comes last: what follows it would be measured against another usual.
    for anomaly in (*random.permutation(ANOMALIES[:-1]), "price"):
        at += int(random.integers(48, 120))
        mean = float(amounts[at - 168 : at].mean())
        put = _PUT[str(anomaly)](random, amounts, at, mean)
        injected.append(put)
        at = put.last + 24
    return Spending(kind, np.round(amounts * 1e9).astype(np.int64), tuple(injected))


def _usual(random: Generator, kind: str) -> Floats:
    """Dollars an hour: a shape of day and week, noise that multiplies, a level that wanders."""
    hours = np.arange(HOURS)
    of_day, of_week = hours % 24, hours // 24 % 7
    base = 10 ** random.uniform(0.5, 2.5)
    bell = 0.05 + 0.95 * np.exp(-0.5 * ((of_day - random.uniform(12, 16)) / 3.5) ** 2)
    shape = bell * _WEEK[of_week]
    if kind == "global":
        shape = (1 + 0.35 * np.sin((of_day - 8) / 24 * 2 * np.pi)) * _MILD_WEEK[of_week]
    elif kind == "nightly":
        shape = 0.05 + 5.0 * (of_day == random.integers(0, 5))
    elif kind == "growing":
        shape = shape * np.exp(hours / 24 * 0.02)
    noise = random.normal(0, random.uniform(0.2, 0.5), HOURS) + np.cumsum(random.normal(0, 0.004, HOURS))
    if kind == "sparse":
        busy = random.random(HOURS) < 0.02 + 0.25 * shape
        return np.where(busy, base * np.exp(random.normal(0, 0.8, HOURS)), 0.0)
    if kind == "agents":
        # A few long runs of very different size, now and then, above a small service that never sleeps.
        runs = random.poisson(1.5 * bell) * random.lognormal(0, 0.5, HOURS)
        return np.asarray(base * (0.1 + runs) * np.exp(noise / 2))
    return np.asarray(base * shape * np.exp(noise))


def _runaway(random: Generator, amounts: Floats, at: int, mean: float) -> Injected:
    """A key in a loop: two to four times the mean hour on top, for half a day or more."""
    hours = int(random.integers(12, 36))
    amounts[at : at + hours] += mean * random.uniform(2, 4) * np.exp(random.normal(0, 0.2, hours))
    return Injected("runaway", at, at + hours - 1)


def _spike(random: Generator, amounts: Floats, at: int, mean: float) -> Injected:
    """One to three hours of six to fifteen times the mean hour."""
    hours = int(random.integers(1, 4))
    amounts[at : at + hours] += mean * random.uniform(6, 15)
    return Injected("spike", at, at + hours - 1)


def _leak(random: Generator, amounts: Floats, at: int, mean: float) -> Injected:
    """A forgotten job that runs for six hours from midnight."""
    at += -at % 24
    amounts[at : at + 6] += mean * random.uniform(1.5, 3) * np.exp(random.normal(0, 0.2, 6))
    return Injected("leak", at, at + 5)


def _ramp(_: Generator, amounts: Floats, at: int, __: float) -> Injected:
    """Five times the usual within two days, hour by hour."""
    amounts[at : at + 48] *= np.linspace(1, 5, 48)
    return Injected("ramp", at, at + 47)


def _price(random: Generator, amounts: Floats, at: int, _: float) -> Injected:
    """Everything costs more from now on: another model, or another price. To be noticed within three days."""
    amounts[at:] *= random.uniform(1.8, 3.5)
    return Injected("price", at, at + 71)


_PUT: Final = {"runaway": _runaway, "spike": _spike, "leak": _leak, "ramp": _ramp, "price": _price}


@dataclass(slots=True)
class Outcome:
    """Alerts beside what was put in."""

    injected: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)
    false_by_kind: Counter[str] = field(default_factory=Counter)
    delays_hours: list[int] = field(default_factory=list)
    days: float = 0.0

    @property
    def recall(self) -> float:
        """The part of the anomalies with an alert while they went on."""
        return self.found.total() / self.injected.total()

    @property
    def false_per_30_days(self) -> float:
        """Alerts about nothing, a series and 30 days."""
        return self.false_by_kind.total() / self.days * 30


def outcome(scopes: Sequence[Spending], alerts: Sequence[Sequence[int]], *, quiet_hours: int = 0) -> Outcome:
    """What the alerts, places in each series, are worth. The clean weeks at the beginning are for learning.

    False ones are counted as one when at most `quiet_hours` lie between them: for detectors that know no episodes.
    """
    result = Outcome()
    for scope, places in zip(scopes, alerts, strict=True):
        heard = [at for at in places if at >= CLEAN_HOURS]
        result.days += (len(scope.amounts_nanousd) - CLEAN_HOURS) / 24
        for one in scope.injected:
            result.injected[one.kind] += 1
            hits = [at for at in heard if one.first <= at <= one.last]
            if hits:
                result.found[one.kind] += 1
                result.delays_hours.append(hits[0] - one.first)
        false = [at for at in heard if not any(one.first <= at <= one.last + GRACE_HOURS for one in scope.injected)]
        apart = [True, *(later - earlier > quiet_hours for earlier, later in pairwise(false))]
        result.false_by_kind[scope.kind] += sum(apart[: len(false)])
    return result
