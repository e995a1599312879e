"""What is forecast: the daily spending of one scope, and many scopes side by side as matrices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

WEEK: Final = 7
DAYS_MAX: Final = 26 * WEEK
"""How much of the past is looked at: what is older says little about next month and costs as much to read."""


@dataclass(frozen=True, slots=True, eq=False)
class DailySeries:
    """Daily spending of a scope in the organization's calendar days, oldest first; a day without spending is a zero.

    Corrections may make a day negative. Raises ValueError for anything but one dimension of int64.
    """

    scope: str
    first_day: date
    amounts_nanousd: NDArray[np.int64]

    def __post_init__(self) -> None:
        if self.amounts_nanousd.ndim != 1 or self.amounts_nanousd.dtype != np.int64:
            raise ValueError(f"{self.scope}: amounts must be one dimension of int64 nano-dollars, one for each day")

    def before(self, day: date) -> DailySeries:
        """The same series as it was known at the beginning of `day`."""
        days = max(0, (day - self.first_day).days)
        return DailySeries(self.scope, self.first_day, self.amounts_nanousd[:days])

    def between(self, begin: date, end: date) -> list[int]:
        """The amount of each day from `begin` up to `end`, which is not included; zero where none is known."""
        amounts = [0] * (end - begin).days
        skipped = (begin - self.first_day).days
        known = self.amounts_nanousd[max(0, skipped) : max(0, skipped + len(amounts))].tolist()
        amounts[max(0, -skipped) : max(0, -skipped) + len(known)] = known
        return amounts


@dataclass(frozen=True, slots=True, eq=False)
class Panel:
    """Series as a matrix [series, day] whose last column is the day before `as_of`, so that weekdays line up.

    Amounts are at least zero. A series begins with its first spending; `ages` says how many days ago that was, and
    columns before it do not count. `elapsed` days of the window that is forecast are in the panel.
    """

    amounts: Floats
    ages: NDArray[np.int64]
    as_of: date
    elapsed: int

    @classmethod
    def of(cls, series: Sequence[DailySeries], *, begin: date, as_of: date, days: int = DAYS_MAX) -> Panel:
        """The last `days` days of the series before `as_of`, of a window that begins at `begin`."""
        amounts = np.zeros((len(series), days))
        for row, each in zip(amounts, series, strict=True):
            known = each.before(as_of)
            first = days - (as_of - known.first_day).days
            recent = known.amounts_nanousd[max(0, -first) :]
            if len(recent):
                start = max(0, first)
                row[start : start + len(recent)] = recent
        np.maximum(amounts, 0.0, out=amounts)
        return cls(amounts, _ages(amounts), as_of, max(0, (as_of - begin).days))

    @property
    def days(self) -> int:
        """How many columns there are."""
        return int(self.amounts.shape[1])

    @property
    def known(self) -> Mask:
        """Which days count, [series, day]."""
        return np.arange(self.days, 0, -1) <= self.ages[:, None]

    def last(self, days: int) -> Panel:
        """The same without the days before the last `days`."""
        return Panel(self.amounts[:, -days:], np.minimum(self.ages, days), self.as_of, self.elapsed)

    def without(self, days: int) -> Panel:
        """The panel as it was `days` days ago."""
        if not days:
            return self
        return Panel(
            self.amounts[:, :-days],
            np.maximum(self.ages - days, 0),
            self.as_of - timedelta(days),
            max(0, self.elapsed - days),
        )


def _ages(amounts: Floats) -> NDArray[np.int64]:
    spent = amounts > 0
    first = np.argmax(spent, axis=1)
    return np.where(spent.any(axis=1), amounts.shape[1] - first, 0).astype(np.int64)
