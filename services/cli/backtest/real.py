"""Real series: daily page views over years, and the load of cloud machines with a day as its week."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from math import exp
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from services.cli.backtest.months import Month, Purpose, months_of
from services.cli.errors import CliError
from services.core.forecast.series import WEEK

VISITS, CLOUD = "visits", "cloud"
VISITS_HISTORY: Final = 120
CLOUD_HISTORY: Final = 37
"""Cloud series are two weeks long: after so many steps two months fit."""

GAP_MAX: Final = 3
"""So many missing days are bridged by a line; a series with a longer gap is two series."""


def real_months(folder: Path, purpose: Purpose) -> Iterator[Month]:
    """The months of the real series in a folder.

    Years of visits are cut in two: calibration has the older half, the newer one is judged. Cloud machines are only
    judged. Raises CliError where the folder has none.
    """
    visits = sorted((folder / "daily").glob("*.csv"))
    if not visits:
        raise CliError(
            f"{folder} has no daily/*.csv with columns ds and y (logarithms of daily counts)",
            advice="give the folder of the real series with --data, or leave them out with --synthetic-only",
        )
    for path in visits:
        for name, amounts in _visits(path):
            half = VISITS_HISTORY + (len(amounts) - VISITS_HISTORY) // 2
            if purpose == "calibrate":
                yield from months_of(VISITS, name, amounts, first=VISITS_HISTORY, before=half)
            else:
                yield from months_of(VISITS, name, amounts, first=half)
    if purpose == "judge":
        for path in sorted((folder / "nab").glob("*/*.csv")):
            yield from months_of(CLOUD, path.stem, _cloud(path), first=CLOUD_HISTORY)


def _visits(path: Path) -> Iterator[tuple[str, NDArray[np.float64]]]:
    with path.open(encoding="utf-8", newline="") as file:
        rows = sorted((date.fromisoformat(row["ds"]), exp(float(row["y"]))) for row in csv.DictReader(file) if row["y"])
    begin = 0
    for index in range(1, len(rows) + 1):
        if index == len(rows) or (rows[index][0] - rows[index - 1][0]).days > GAP_MAX + 1:
            days = np.array([(day - rows[begin][0]).days for day, _ in rows[begin:index]], dtype=np.float64)
            counts = np.array([count for _, count in rows[begin:index]])
            if len(days) > VISITS_HISTORY:
                yield f"{path.stem}-{rows[begin][0]}", np.interp(np.arange(days[-1] + 1), days, counts)
            begin = index


def _cloud(path: Path) -> NDArray[np.float64]:
    """Sums over sevenths of a day, so that its daily pattern is one of seven steps, as a week has."""
    step = timedelta(days=1) / WEEK
    with path.open(encoding="utf-8", newline="") as file:
        rows = [(datetime.fromisoformat(row["timestamp"]), float(row["value"])) for row in csv.DictReader(file)]
    places = [(moment - rows[0][0]) // step for moment, _ in rows]
    sums = np.bincount(places, weights=[max(0.0, value) for _, value in rows])
    return sums[:-1].astype(np.float64)
