"""Months whose end is known: what a forecast made within them is judged by."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from services.core.forecast import DailySeries
from services.core.forecast.series import DAYS_MAX

MONTH_DAYS: Final = 30
BEGIN: Final = date(2026, 6, 1)
END: Final = BEGIN + timedelta(MONTH_DAYS)
SCALE_NANOUSD: Final = 100_000_000_000
"""A series costs a hundred dollars a day on average: real ones count visits or load, and become money."""

Purpose = Literal["calibrate", "judge"]
"""No month serves both."""


@dataclass(frozen=True, slots=True, eq=False)
class Month:
    """A window of `MONTH_DAYS` days of some class, moved to `BEGIN`, with the days before it."""

    kind: str
    series: DailySeries

    @property
    def total_nanousd(self) -> int:
        """What it came to."""
        return sum(self.series.between(BEGIN, END))

    def daily_mean(self) -> float:
        """What a day costs on average, before and in the month: the scale on which errors of months are added up."""
        amounts = self.series.amounts_nanousd
        return float(amounts.mean()) if len(amounts) else 0.0


def month_at(kind: str, name: str, amounts: NDArray[np.float64], start: int) -> Month:
    """The month that begins at index `start` of a series of any unit."""
    recent = amounts[max(0, start - DAYS_MAX) : start + MONTH_DAYS]
    nanos = np.rint(recent * (SCALE_NANOUSD / max(recent.mean(), 1e-9))).astype(np.int64)
    days_before = min(start, DAYS_MAX)
    return Month(kind, DailySeries(name, BEGIN - timedelta(days_before), nanos))


def months_of(kind: str, name: str, amounts: NDArray[np.float64], *, first: int) -> Iterator[Month]:
    """The months of a series, one after another, from index `first` on; none without spending."""
    for start in range(first, len(amounts) - MONTH_DAYS + 1, MONTH_DAYS):
        if amounts[start : start + MONTH_DAYS].sum() > 0:
            yield month_at(kind, f"{name}@{start}", amounts, start)
