"""Prophet as one voice of the ensemble: its trend follows recent changes and is not carried beyond the last one."""

from __future__ import annotations

import logging
import multiprocessing
import os
import warnings
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import repeat
from multiprocessing.process import BaseProcess
from threading import Thread
from typing import Final

import numpy as np

from services.core.forecast import DailySeries
from services.core.forecast.series import DAYS_MAX, Floats

POINTS_MIN: Final = 14
ZEROS_MAX: Final = 0.8
"""With fewer days or more zeros Prophet raises, or goes below zero: it is not asked."""

CHANGEPOINTS: Final = 15
CHANGEPOINT_PRIOR: Final = 0.3
DAYS_PER_CHANGEPOINT: Final = 4
ALGORITHM: Final = "LBFGS"
ITERATIONS: Final = 300
"""Prophet's own choice for short series is Newton's method, and 10,000 steps: half a minute where there is no noise."""

CHUNK: Final = 4
ABOVE_MAX: Final = 5.0
"""No day is expected to cost more than so many times the dearest day so far: what says so has not converged."""


@dataclass(frozen=True, slots=True)
class ProphetVoice:
    """Fits of some 0.1 s each, in so many processes; 0 fits in this one.

    The processes are started by `spawn` for each call and end with it, so a service with threads and event loops may
    use them. Their main module must be importable without side effects, as Python's own documentation asks.
    """

    processes: int = 0

    @property
    def name(self) -> str:
        """What forecasts call it."""
        return "prophet"

    def paths(self, series: Sequence[DailySeries], days: int) -> Floats:
        """The expected amount of each day after each series ends; NaN where Prophet is not asked, or fails."""
        made = np.full((len(series), days), np.nan)
        asked = {index: known for index, each in enumerate(series) if (known := usable(each)) is not None}
        if not asked or days < 1:
            return made
        for index, path in zip(asked, self._fit_all(list(asked.values()), days), strict=True):
            made[index] = path
        return made

    def _fit_all(self, known: Sequence[Known], days: int) -> list[Floats]:
        if not self.processes:
            return [fit(each, days) for each in known]
        workers = min(self.processes, -(-len(known) // CHUNK))
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(workers, mp_context=context, initializer=_begin) as pool:
            return list(pool.map(fit, known, repeat(days), chunksize=CHUNK))


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """What Prophet is told of a series, in units of its mean."""

    first_day: date
    amounts: Floats
    mean: float


def _begin() -> None:
    """What each process does first. A parent that is killed closes no pipe that its workers hold among themselves."""
    parent = multiprocessing.parent_process()
    assert parent is not None, "workers are started by a pool"
    Thread(target=_end_with, args=(parent,), daemon=True).start()
    hush()


def _end_with(parent: BaseProcess) -> None:
    parent.join()
    os._exit(1)


def hush() -> None:
    """Fits and imports say nothing: what they have to say is in their result."""
    for name in ("cmdstanpy", "prophet", "prophet.models", "prophet.plot"):
        logging.getLogger(name).disabled = True


def usable(series: DailySeries) -> Known | None:
    """The last days of a series from its first spending on; None where that is too little for Prophet."""
    recent = np.maximum(series.amounts_nanousd[-DAYS_MAX:].astype(np.float64), 0.0)
    spent = np.flatnonzero(recent)
    if not len(spent):
        return None
    amounts = recent[spent[0] :]
    if len(amounts) < POINTS_MIN or np.count_nonzero(amounts) < (1.0 - ZEROS_MAX) * len(amounts):
        return None
    last = series.first_day + timedelta(len(series.amounts_nanousd))
    mean = float(amounts.mean())
    return Known(last - timedelta(len(amounts)), amounts / mean, mean)


def fit(known: Known, days: int) -> Floats:
    """One fit: weekly seasonality on the trend of the last day, which is frozen there. Never negative."""
    hush()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Prophet's own use of pandas
        return _fit(known, days)


def _fit(known: Known, days: int) -> Floats:
    import pandas as pd
    from prophet import Prophet

    dates = pd.date_range(known.first_day, periods=len(known.amounts) + days)
    model = Prophet(
        n_changepoints=min(CHANGEPOINTS, len(known.amounts) // DAYS_PER_CHANGEPOINT),
        changepoint_prior_scale=CHANGEPOINT_PRIOR,
        changepoint_range=0.95,
        yearly_seasonality=False,
        weekly_seasonality=True,
        daily_seasonality=False,
        uncertainty_samples=0,
    )
    try:
        history = pd.DataFrame({"ds": dates[: len(known.amounts)], "y": known.amounts})
        model.fit(history, algorithm=ALGORITHM, iter=ITERATIONS)
        told = model.predict(pd.DataFrame({"ds": dates[len(known.amounts) - 1 :]}))
    except (RuntimeError, ValueError):
        return np.full(days, np.nan)
    finally:
        if model.stan_backend is not None:
            model.stan_backend.cleanup()
    frozen = told["trend"].to_numpy()[0] + told["additive_terms"].to_numpy()[1:]
    path: Floats = np.clip(frozen, 0.0, ABOVE_MAX * known.amounts.max()) * known.mean
    return path
