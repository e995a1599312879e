"""Real series: daily page views over years, and the load of cloud machines with a day as its week."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from math import exp
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from services.cli.backtest.months import Month, months_of
from services.cli.errors import CliError
from services.core.forecast.series import WEEK

VISITS, CLOUD = "visits", "cloud"
VISITS_HISTORY: Final = 120
CLOUD_HISTORY: Final = 37
"""Cloud series are two weeks long: after so many steps two months fit."""

GAP_MAX: Final = 3
"""So many missing days are bridged by a line; a series with a longer gap is two series."""


def real_months(folder: Path) -> Iterator[Month]:
    """The months of the real series in a folder, plain or gzip. Nothing is learned from them. Raises CliError."""
    visits = sorted(folder.glob("daily/*.csv*"))
    if not visits:
        raise CliError(
            f"{folder} has no daily/*.csv with the columns ds and y (logarithms of daily counts)",
            advice="give a folder like examples/series, or leave --data out",
        )
    for path in visits:
        for name, amounts in _visits(path):
            yield from months_of(VISITS, name, amounts, first=VISITS_HISTORY)
    for path in sorted(folder.glob("nab/*/*.csv*")):
        yield from months_of(CLOUD, _name(path), _cloud(path), first=CLOUD_HISTORY)


def _visits(path: Path) -> Iterator[tuple[str, NDArray[np.float64]]]:
    rows = sorted((date.fromisoformat(row["ds"]), exp(float(row["y"]))) for row in _rows(path) if row["y"])
    begin = 0
    for index in range(1, len(rows) + 1):
        if index == len(rows) or (rows[index][0] - rows[index - 1][0]).days > GAP_MAX + 1:
            days = np.array([(day - rows[begin][0]).days for day, _ in rows[begin:index]], dtype=np.float64)
            counts = np.array([count for _, count in rows[begin:index]])
            if len(days) > VISITS_HISTORY:
                yield f"{_name(path)}-{rows[begin][0]}", np.interp(np.arange(days[-1] + 1), days, counts)
            begin = index


def _cloud(path: Path) -> NDArray[np.float64]:
    """Sums over sevenths of a day, so that its daily pattern is one of seven steps, as a week has."""
    step = timedelta(days=1) / WEEK
    rows = [(datetime.fromisoformat(row["timestamp"]), float(row["value"])) for row in _rows(path)]
    places = [(moment - rows[0][0]) // step for moment, _ in rows]
    sums = np.bincount(places, weights=[max(0.0, value) for _, value in rows])
    return sums[:-1].astype(np.float64)


def _rows(path: Path) -> list[dict[str, str]]:
    """Of a CSV file with a header. Raises CliError."""
    try:
        raw = path.read_bytes()
        text = gzip.decompress(raw) if path.suffix == ".gz" else raw
        return list(csv.DictReader(io.StringIO(text.decode())))
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
        raise CliError(f"{path} cannot be read as CSV: {error}") from error


def _name(path: Path) -> str:
    return path.name.partition(".csv")[0]
