"""From daily series to projections: what many scopes will have spent when a window ends."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from itertools import accumulate
from typing import Final

import numpy as np
from numpy.typing import NDArray

from services.core.forecast.calibration import Calibration
from services.core.forecast.ensemble import combine
from services.core.forecast.intervals import quantiles
from services.core.forecast.projection import HIGH, LEVELS, LOW, MIDDLE, FanPoint, Projection
from services.core.forecast.series import DailySeries, Floats, Panel
from services.core.forecast.voice import Voice
from services.core.money import NANOS_PER_USD, USD_MAX

_NOTHING: Final = np.zeros((0, len(LEVELS)), dtype=np.int64)

MOST_NANOUSD: Final = USD_MAX * NANOS_PER_USD
WINDOW_DAYS_MAX: Final = 366
BATCH: Final = 1024
"""So many series are forecast at once: enough for numpy to be fast, few enough for the memory."""


def project(
    series: Sequence[DailySeries], *, begin: date, end: date, as_of: date, voices: Sequence[Voice] = ()
) -> list[Projection]:
    """One projection for each series, in their order; what a series says of `as_of` and later is not looked at.

    `end` is the first day after the window. Before the window begins, the days up to it are forecast but not counted;
    after it, the total is what was spent. Raises ValueError for a window without days or too long.
    """
    if not 0 < (end - begin).days <= WINDOW_DAYS_MAX:
        raise ValueError(f"the window {begin} to {end} must have 1 to {WINDOW_DAYS_MAX} days")
    made: list[Projection] = []
    for first in range(0, len(series), BATCH):
        made += _project_batch(series[first : first + BATCH], begin, end, as_of, voices)
    return made


def _project_batch(
    series: Sequence[DailySeries], begin: date, end: date, as_of: date, voices: Sequence[Voice]
) -> Iterator[Projection]:
    days = (end - as_of).days
    known = [each.before(as_of) for each in series]
    if days <= 0:
        yield from (assemble(each, begin, end, as_of, _NOTHING, ()) for each in known)
        return
    panel = Panel.of(known, begin=begin, as_of=as_of)
    calibration = Calibration.shipped()
    ensemble = combine(
        panel, days, calibration.gate, others=[(voice.name, voice.paths(known, days)) for voice in voices]
    )
    ahead = max(0, (begin - as_of).days)
    to_come = to_nanos(quantiles(panel, ensemble, calibration, ahead=ahead))
    for each, spread, models in zip(known, to_come, ensemble.models, strict=True):
        yield assemble(each, begin, end, as_of, spread, models)


def assemble(
    series: DailySeries, begin: date, end: date, as_of: date, to_come: NDArray[np.int64], models: tuple[str, ...]
) -> Projection:
    """The projection of a series. `to_come` is [day, level], cumulative, for the days of the window from `as_of` on."""
    gone = list(accumulate(series.between(begin, max(begin, min(as_of, end)))))
    spent = gone[-1] if gone else 0
    room = max(0, min(MOST_NANOUSD, MOST_NANOUSD - spent))
    spread = [spent + nanos for row in np.minimum(to_come[-1:], room).tolist() for nanos in row]
    ahead = np.minimum(to_come[:, (LOW, MIDDLE, HIGH)], room).tolist()
    fan = [(nanos, nanos, nanos) for nanos in gone]
    fan += [(spent + low, spent + middle, spent + high) for low, middle, high in ahead]
    low, total, high = fan[-1]
    return Projection(
        scope=series.scope,
        begin=begin,
        end=end,
        as_of=as_of,
        spent_nanousd=spent,
        total_nanousd=total,
        low_nanousd=low,
        high_nanousd=high,
        fan=tuple(FanPoint(begin + timedelta(index), *point) for index, point in enumerate(fan)),
        models=models,
        spread_nanousd=tuple(spread),
    )


def to_nanos(amounts: Floats) -> NDArray[np.int64]:
    """Whole nano-dollars, at least nothing and at most what money can be."""
    return np.rint(np.clip(amounts, 0.0, MOST_NANOUSD)).astype(np.int64)
