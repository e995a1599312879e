"""A change of level is found, with its size and age, and neither noise nor weekends are taken for one."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pytest

from services.core.forecast import DailySeries, project
from services.core.forecast.change import change
from services.core.forecast.ensemble import AFTER_DROP
from services.core.forecast.series import Floats, Panel

AS_OF = date(2026, 10, 15)
BEGIN, END = date(2026, 10, 1), date(2026, 11, 1)
DAYS = 120
WEEK = np.array([1.0, 1.1, 1.1, 1.0, 0.9, 0.3, 0.2])


def steady(seed: int, spread: float = 0.2) -> Floats:
    """Weekdays, weekends and noise, in nano-dollars."""
    noise = np.random.default_rng(seed).normal(-(spread**2) / 2, spread, DAYS)
    return np.resize(WEEK, DAYS) * np.exp(noise) * 1e11


def stepped(seed: int, factor: float, age: int) -> Floats:
    """The same, but the last days are at another level."""
    return steady(seed) * np.where(np.arange(DAYS) >= DAYS - age, factor, 1.0)


def series(amounts: Floats) -> DailySeries:
    return DailySeries("org:acme", AS_OF - timedelta(len(amounts)), np.rint(amounts).astype(np.int64))


def panel(*amounts: Floats) -> Panel:
    return Panel.of([series(each) for each in amounts], begin=BEGIN, as_of=AS_OF)


@pytest.mark.parametrize("factor", [0.35, 0.5, 2.0, 3.0])
@pytest.mark.parametrize("age", [5, 7, 14])
def test_a_step_is_found_with_its_size_and_age(factor: float, age: int) -> None:
    found = change(panel(*(stepped(seed, factor, age) for seed in range(40))))
    assert np.median(found.sure) > 0.8
    assert np.median(found.size) == pytest.approx(np.log(factor), abs=0.25)
    assert np.median(found.age) == pytest.approx(age, abs=1)


@pytest.mark.parametrize("spread", [0.05, 0.2, 0.5])
def test_a_week_and_noise_are_no_step(spread: float) -> None:
    found = change(panel(*(steady(seed, spread) for seed in range(200))))
    assert np.mean(found.sure > 0.5) < 0.05


@pytest.mark.parametrize("amounts", [np.zeros(DAYS), np.ones(1) * 1e9, np.full(DAYS, 1e11), np.eye(1, DAYS)[0] * 1e12])
def test_what_has_no_noise_or_no_past_is_sure_of_nothing(amounts: Floats) -> None:
    found = change(panel(amounts))
    assert np.isfinite([found.sure, found.size, found.age]).all()
    assert found.sure[0] == 0.0


def test_a_drop_that_has_lasted_is_followed_and_a_rise_is_waited_out() -> None:
    calm, halved, tripled = project(
        [series(steady(1)), series(stepped(1, 0.4, 5)), series(stepped(1, 3.0, 5))], begin=BEGIN, end=END, as_of=AS_OF
    )
    assert [AFTER_DROP in each.models for each in (calm, halved, tripled)] == [False, True, False]
    assert halved.remaining_nanousd == pytest.approx(0.45 * calm.remaining_nanousd, rel=0.15)
    assert halved.low_nanousd < halved.total_nanousd < halved.high_nanousd


def test_a_quiet_week_of_jobs_that_seldom_run_is_no_drop() -> None:
    jobs = np.where(np.arange(DAYS) % 4 == 0, 1e12, 0.0)
    jobs[-7:] = 0.0
    (made,) = project([series(jobs)], begin=BEGIN, end=END, as_of=AS_OF)
    assert AFTER_DROP not in made.models
