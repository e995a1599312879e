"""Forecasts against what came: errors of the month's total, coverage of the interval, worth of the probabilities."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import numpy as np
from numpy.typing import NDArray

from services.cli.backtest.months import BEGIN, END, MONTH_DAYS, Month
from services.core.forecast import Projection, Voice, project

DAYS: Final = (4, 7, 10, 14, 17, 21)
"""So many days of a month have gone by when it is forecast."""

LIMITS: Final = (0.8, 0.9, 1.0, 1.1, 1.25)
"""Budgets, as multiples of what the four weeks before would come to in a month."""

USUAL_DAYS: Final = 28
FLOOR: Final = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """What became of each forecast, one row for each month: of one day, or of several one after the other.

    Errors are shares of what such a month usually costs, so that no series outweighs the others. Of the probabilities
    there is the mean squared distance (Brier) from what came, over `LIMITS`: ours, and the run-rate's yes or no.
    """

    kinds: NDArray[np.str_]
    total: NDArray[np.float64]
    error: NDArray[np.float64]
    run_rate_error: NDArray[np.float64]
    covered: NDArray[np.bool_]
    width: NDArray[np.float64]
    brier: NDArray[np.float64]
    run_rate_brier: NDArray[np.float64]

    def of(self, kinds: Sequence[str]) -> Scores:
        """Only the months of these classes."""
        chosen = np.isin(self.kinds, kinds)
        return Scores(*(getattr(self, name)[chosen] for name in self.__slots__))

    @property
    def wape(self) -> float:
        """The weighted absolute percentage error: errors as a share of what was spent."""
        return float(self.error.sum() / max(self.total.sum(), FLOOR))

    @property
    def run_rate_wape(self) -> float:
        """The same of the run-rate: what was spent so far, divided by the days gone by, times the days of the month."""
        return float(self.run_rate_error.sum() / max(self.total.sum(), FLOOR))

    @property
    def ratio(self) -> float:
        """Our error over the run-rate's; below 1 is better."""
        return float(self.error.sum() / max(self.run_rate_error.sum(), FLOOR))

    @property
    def coverage(self) -> float:
        """How often the truth was within the 80% interval."""
        return float(self.covered.mean()) if len(self.covered) else 0.0

    @property
    def brier_ratio(self) -> float:
        """Our Brier score over the run-rate's; below 1 is better."""
        return float(self.brier.mean() / max(self.run_rate_brier.mean(), FLOOR)) if len(self.brier) else 0.0


def score(months: Sequence[Month], day: int, *, voices: Sequence[Voice] = ()) -> Scores:
    """Forecast each month when `day` days of it are known, and compare."""
    as_of = BEGIN + timedelta(day)
    made = project([month.series for month in months], begin=BEGIN, end=END, as_of=as_of, voices=voices)
    return Scores(*(np.array(column) for column in zip(*map(_judge, months, made), strict=True)))


def together(scores: Sequence[Scores]) -> Scores:
    """Scores of several days as one."""
    return Scores(*(np.concatenate([getattr(each, name) for each in scores]) for name in Scores.__slots__))


def backtest(
    months: Sequence[Month],
    *,
    voices: Sequence[Voice] = (),
    days: Sequence[int] = DAYS,
    told: Callable[[int], None] = lambda _: None,
) -> dict[int, Scores]:
    """The scores of each day of the month; `told` hears of each day that is done."""
    made = {}
    for day in days:
        made[day] = score(months, day, voices=voices)
        told(day)
    return made


def _judge(month: Month, made: Projection) -> tuple[str, float, float, float, bool, float, float, float]:
    total, usual = month.total_nanousd, month.daily_mean() * MONTH_DAYS
    gone = (made.as_of - made.begin).days
    run_rate = made.spent_nanousd * MONTH_DAYS / gone
    limits = [int(share * _usual_month(month)) for share in LIMITS]
    above = [float(total > limit) for limit in limits]
    brier = [(made.probability_above(limit) - truth) ** 2 for limit, truth in zip(limits, above, strict=True)]
    plain = [(float(run_rate > limit) - truth) ** 2 for limit, truth in zip(limits, above, strict=True)]
    return (
        month.kind,
        total / usual,
        abs(made.total_nanousd - total) / usual,
        abs(run_rate - total) / usual,
        made.low_nanousd <= total <= made.high_nanousd,
        (made.high_nanousd - made.low_nanousd) / usual,
        sum(brier) / len(LIMITS),
        sum(plain) / len(LIMITS),
    )


def _usual_month(month: Month) -> float:
    """What the last four weeks before the month would come to in a month; for a new series, what the month came to."""
    before = month.series.between(BEGIN - timedelta(USUAL_DAYS), BEGIN)
    first = next((index for index, nanos in enumerate(before) if nanos), len(before))
    known = before[first:]
    if len(known) < 7:
        return float(month.total_nanousd)
    return sum(known) / len(known) * MONTH_DAYS
