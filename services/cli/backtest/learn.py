"""The calibration: whom to listen to and how wrong the answer is, learned from synthetic months that nobody judges."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import repeat
from typing import Final

import numpy as np
from numpy.typing import NDArray

from services.cli.backtest.months import BEGIN, MONTH_DAYS, Month
from services.cli.backtest.synthetic import synthetic_months
from services.core.forecast.calibration import Calibration
from services.core.forecast.ensemble import MODELS, all_paths, combine, softmax
from services.core.forecast.intervals import error_unit, scale_traits, scales
from services.core.forecast.projection import LEVELS, MIDDLE
from services.core.forecast.series import Floats, Panel
from services.core.forecast.traits import NAMES, SORTS, sort_of, traits

Told = Callable[[float], None]

SEED: Final = 1
EACH: Final = 300
"""Series of each class: half of them for the weights, the others for the intervals of what was learned."""

EMPHASIS: Final = {"shift": 3, "bursty": 3, "batch": 2}
"""Months in which something happens count so often for the intervals: those are the ones in which budgets break."""

LEARN_STEPS: Final = 900
STEP: Final = 0.05
CALM: Final = 0.6
"""After this part of the steps they become smaller."""

RIDGE: Final = 0.4
"""How much it costs to listen to some models more than to others: a gain that is not worth it is luck."""

SMOOTH: Final = 0.02
"""Errors below this share of a month count by their square."""

NINE_IN_TEN: Final = 0.9
ERROR_MIN: Final = 0.03
"""Relative errors below this are as good as none."""

SOFT: Final = 0.1
SCALE_RIDGE: Final = 0.0003
"""How sharp the edge of an interval is while it is sought, and how much it costs to let a trait widen it."""

HORIZONS: Final = (1, 2, 4, 7, 10, 14, 18, 22, 26, 30, 60, 90)
NEAR: Final = 0.25
"""For these horizons quantiles are kept, each from horizons that differ from it by less than a quarter."""

FEW: Final = 200
ALL_SORTS: Final = range(len(SORTS))

MOMENTS: Final = (0.9, 0.99)


@dataclass(frozen=True, slots=True)
class Origin:
    """A moment to forecast from: so many days after `BEGIN`, so far into a window, so far ahead."""

    offset: int
    elapsed: int
    days: int


ORIGINS: Final = (
    *(Origin(day, day, MONTH_DAYS - day) for day in (0, 1, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 29)),
    *(Origin(20 + day, day, 7 - day) for day in (1, 3, 5)),
    *(Origin(-15, 45, 45), Origin(-30, 30, 60), Origin(-60, 2, 90)),
)
"""Months, weeks and quarters."""


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """What was known at one origin, and what came: everything as a share of what such a time usually costs."""

    origin: Origin
    panel: Panel
    expected: Floats
    traits: Floats
    came: Floats
    usual: Floats


def learn(*, seed: int = SEED, each: int = EACH, steps: int = LEARN_STEPS, told: Told = lambda _: None) -> Calibration:
    """A calibration from synthetic months of the calibrating stream; `told` hears how much is done, from 0 to 1."""
    months = list(synthetic_months("calibrate", seed=seed, each=each))
    gate = fit_gate(_lessons(months[0::2]), steps=steps, told=told)
    scale, horizons, quantiles = fit_intervals(_lessons([*_with_emphasis(months[1::2])]), gate, steps=steps)
    return Calibration(gate, scale, horizons, quantiles)


def _with_emphasis(months: Sequence[Month]) -> Iterator[Month]:
    for month in months:
        yield from repeat(month, EMPHASIS.get(month.kind, 1))


def fit_gate(lessons: Sequence[Lesson], *, steps: int, told: Told) -> Floats:
    """The weights that would have been wrong least, in money: [model, trait], by Adam's gradient descent."""
    known = np.concatenate([lesson.traits for lesson in lessons])
    expected = np.concatenate([lesson.expected for lesson in lessons])
    came = np.concatenate([lesson.came for lesson in lessons])

    def slope_of(gate: Floats) -> Floats:
        weights = softmax(known @ gate)
        mixed = (weights * expected).sum(axis=1)
        error = mixed - came
        pull = error / np.sqrt(error**2 + SMOOTH**2) / len(came)
        slope: Floats = known.T @ (pull[:, None] * weights * (expected - mixed[:, None])) + RIDGE / gate.size * gate
        return slope

    return _descend(np.zeros((len(NAMES), len(MODELS))), slope_of, steps=steps, told=told).T


def fit_intervals(lessons: Sequence[Lesson], gate: Floats, *, steps: int) -> tuple[Floats, Floats, Floats]:
    """How the size of errors follows from traits; and, per horizon, the quantiles of errors in units of that size."""
    errors, known, ahead = [], [], []
    for lesson in lessons:
        ensemble = combine(lesson.panel, lesson.origin.days, gate)
        to_come = np.cumsum(ensemble.paths, axis=1)
        unit = error_unit(lesson.panel, to_come)[:, -1]
        told = (lesson.usual > 0) & (unit > 0)
        errors.append(((lesson.came * lesson.usual - to_come[:, -1]) / np.where(told, unit, 1.0))[told])
        known.append(scale_traits(lesson.panel, ensemble.disagreement)[told, -1])
        ahead.append(np.full(told.sum(), lesson.origin.days))
    relative, coefficients = np.concatenate(errors), np.concatenate(known)
    scale = _fit_scale(coefficients, relative, steps=steps)
    down, up = scales(coefficients, scale).T
    units = relative / np.where(relative < 0, down, up)
    days = np.concatenate(ahead)
    sorts = sort_of(coefficients)
    quantiles = [
        [_quantiles(units[sorts == sort], days[sorts == sort], each) for each in HORIZONS] for sort in ALL_SORTS
    ]
    return scale, np.array(HORIZONS, dtype=np.float64), np.array(quantiles)


def _lessons(months: Sequence[Month]) -> list[Lesson]:
    return [_lesson(months, origin) for origin in ORIGINS]


def _lesson(months: Sequence[Month], origin: Origin) -> Lesson:
    as_of = BEGIN + timedelta(origin.offset)
    begin, end = as_of - timedelta(origin.elapsed), as_of + timedelta(origin.days)
    panel = Panel.of([month.series for month in months], begin=begin, as_of=as_of)
    usual = np.array([month.daily_mean() for month in months]) * origin.days * (panel.ages > 0)
    came = np.array([float(sum(month.series.between(as_of, end))) for month in months])
    safe = np.where(usual > 0, usual, 1.0)
    expected = all_paths(panel, origin.days).sum(axis=2).T / safe[:, None]
    return Lesson(origin, panel, expected, traits(panel, origin.days), came / safe * (usual > 0), usual)


def _fit_scale(known: Floats, relative: Floats, *, steps: int) -> Floats:
    """How far errors go down and up in nine cases of ten, [trait, side]: the logarithm is a sum of traits.

    It is quantile regression: a logarithm keeps the order of errors, and so their quantiles.
    """
    sides = np.log(np.maximum(np.stack([-relative, relative], axis=1), ERROR_MIN))
    start = np.zeros((known.shape[1], 2))
    start[0] = np.quantile(sides, NINE_IN_TEN, axis=0)

    def slope_of(made: Floats) -> Floats:
        beyond = 1.0 / (1.0 + np.exp(np.clip((known @ made - sides) / SOFT, -40.0, 40.0)))
        slope: Floats = known.T @ (1.0 - NINE_IN_TEN - beyond) / len(known) + SCALE_RIDGE * (made - start)
        return slope

    return _descend(start, slope_of, steps=steps)


def _descend(start: Floats, slope_of: Callable[[Floats], Floats], *, steps: int, told: Told = lambda _: None) -> Floats:
    """Where gradient descent ends, by Adam's rule, with smaller steps in the end."""
    made, first, second = start.copy(), np.zeros_like(start), np.zeros_like(start)
    for step in range(1, steps + 1):
        slope = slope_of(made)
        first = MOMENTS[0] * first + (1 - MOMENTS[0]) * slope
        second = MOMENTS[1] * second + (1 - MOMENTS[1]) * slope**2
        pace = STEP if step < CALM * steps else STEP / 5
        made -= pace * (first / (1 - MOMENTS[0] ** step)) / (np.sqrt(second / (1 - MOMENTS[1] ** step)) + 1e-8)
        told(step / steps)
    return made


def _quantiles(units: Floats, days: NDArray[np.int64], horizon: int) -> Floats:
    """Of the errors at horizons like this one; of all, where those are too few.

    The middle stays where the models put it: what is steady is expected to stay so, even if most spending grew.
    """
    near = np.abs(np.log(days / horizon)) <= NEAR
    found = np.quantile(units[near] if near.sum() >= FEW else units, LEVELS)
    found[: MIDDLE + 1] = np.minimum(found[: MIDDLE + 1], 0.0)
    found[MIDDLE:] = np.maximum(found[MIDDLE:], 0.0)
    return found
