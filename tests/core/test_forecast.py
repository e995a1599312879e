"""What a projection promises, for any series: an honest shape, whole nano-dollars, the same answer each time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.core.forecast import DailySeries, Projection, project
from services.core.forecast.project import MOST_NANOUSD
from services.core.forecast.projection import LEVELS
from services.core.forecast.series import Floats

BEGIN, END = date(2026, 10, 1), date(2026, 11, 1)
AS_OF = date(2026, 10, 11)
USD = 1_000_000_000
WEEK = (100, 110, 110, 105, 95, 30, 20)
AMOUNTS = st.lists(st.one_of(st.just(0), st.integers(-(10**9), 10**13)), max_size=200)


def series(amounts: Sequence[int], scope: str = "org:acme", *, until: date = AS_OF) -> DailySeries:
    """The amounts of the days before `until`."""
    return DailySeries(scope, until - timedelta(len(amounts)), np.array(amounts, dtype=np.int64))


def forecast(amounts: Sequence[int], *, as_of: date = AS_OF) -> Projection:
    [made] = project([series(amounts, until=as_of)], begin=BEGIN, end=END, as_of=as_of)
    return made


def steady(days: int, *, seed: int = 3) -> list[int]:
    """Weekdays, weekends and some noise, in nano-dollars."""
    noise = np.random.default_rng(seed).gamma(20, 1 / 20, days)
    return [int(WEEK[index % 7] * USD * each) for index, each in enumerate(noise)]


@given(AMOUNTS, st.integers(0, 31))
@settings(deadline=None, max_examples=60)
def test_a_projection_is_ordered_complete_and_never_takes_money_back(amounts: list[int], day: int) -> None:
    made = forecast(amounts, as_of=BEGIN + timedelta(day))
    assert made.low_nanousd <= made.total_nanousd <= made.high_nanousd
    assert made.spent_nanousd == sum(amounts[-day:] if day else [])
    assert made.low_nanousd >= made.spent_nanousd
    assert [point.day for point in made.fan] == [BEGIN + timedelta(index) for index in range(31)]
    assert made.fan[-1][1:] == (made.low_nanousd, made.total_nanousd, made.high_nanousd)
    for before, after in pairwise(made.fan[max(0, day - 1) :]):
        assert all(earlier <= later for earlier, later in zip(before[1:], after[1:], strict=True))
    assert all(type(nanos) is int for point in made.fan for nanos in point[1:])


@given(AMOUNTS, st.lists(st.integers(0, 10**16), min_size=2, max_size=20))
@settings(deadline=None, max_examples=60)
def test_a_higher_limit_is_never_more_likely_to_be_exceeded(amounts: list[int], limits: list[int]) -> None:
    made = forecast(amounts)
    chances = [made.probability_above(limit) for limit in sorted(limits)]
    assert all(0.0 <= chance <= 1.0 for chance in chances)
    assert chances == sorted(chances, reverse=True)


def test_probabilities_are_those_of_the_interval() -> None:
    made = forecast(steady(120))
    assert made.probability_above(made.low_nanousd) == pytest.approx(0.9)
    assert made.probability_above(made.total_nanousd) == pytest.approx(0.5)
    assert made.probability_above(made.high_nanousd) == pytest.approx(0.1)
    assert made.probability_above(made.spent_nanousd - 1) == 1.0
    assert made.probability_above(100 * made.high_nanousd) < 1e-6
    assert len(made.spread_nanousd) == len(LEVELS)


def test_a_projection_read_back_without_its_distribution_still_answers() -> None:
    made = forecast(steady(120))
    kept = Projection(*(getattr(made, name) for name in Projection.__slots__ if name != "spread_nanousd"))
    for limit in (made.low_nanousd, made.total_nanousd, made.high_nanousd):
        assert kept.probability_above(limit) == pytest.approx(made.probability_above(limit))
    assert kept.probability_above(2 * made.high_nanousd) < 0.1


def test_the_day_a_limit_is_reached_is_that_of_the_middle_of_the_fan() -> None:
    made = forecast(steady(120))
    for limit in (made.spent_nanousd // 2, made.spent_nanousd + 1, made.total_nanousd):
        day = made.reaches(limit)
        assert day is not None
        by_day = {point.day: point.mid_nanousd for point in made.fan}
        assert by_day[day] >= limit
        assert by_day.get(day - timedelta(1), 0) < limit
    assert made.reaches(made.total_nanousd + 1) is None


def test_a_steady_month_ends_where_its_weekdays_lead() -> None:
    made = forecast(steady(120))
    known = steady(200)[120:141]
    truth = made.spent_nanousd + sum(WEEK[index % 7] * USD for index in range(120, 141))
    assert made.total_nanousd == pytest.approx(truth, rel=0.1)
    assert made.low_nanousd < made.spent_nanousd + sum(known) < made.high_nanousd
    assert len(made.models) >= 1


def test_nothing_spent_is_nothing_expected() -> None:
    for amounts in ([], [0] * 100):
        made = forecast(amounts)
        assert (made.spent_nanousd, made.low_nanousd, made.total_nanousd, made.high_nanousd) == (0, 0, 0, 0)
        assert made.probability_above(0) == 0.0
        assert made.reaches(1) is None


def test_a_project_of_three_days_is_forecast_at_its_pace_and_with_a_wider_interval() -> None:
    young, old = forecast([10 * USD] * 3), forecast([10 * USD] * 120)
    assert young.total_nanousd == pytest.approx(30 * USD + 21 * 10 * USD, rel=0.25)
    assert young.high_nanousd - young.low_nanousd > 1.1 * (old.high_nanousd - old.low_nanousd)


def test_jobs_that_run_now_and_then_are_expected_at_their_average() -> None:
    jobs = [70 * USD if index % 7 == 3 else 0 for index in range(154)]
    made = forecast(jobs)
    assert made.total_nanousd - made.spent_nanousd == pytest.approx(3 * 70 * USD, rel=0.25)
    scattered = np.random.default_rng(5).random(154) < 0.2
    made = forecast([70 * USD * int(runs) for runs in scattered])
    assert made.remaining_nanousd == pytest.approx(21 * scattered.mean() * 70 * USD, rel=0.4)


def test_a_new_level_is_followed_within_two_weeks() -> None:
    made = forecast([10 * USD] * 100 + [30 * USD] * 14)
    assert made.total_nanousd - made.spent_nanousd > 21 * 24 * USD


def test_the_same_series_give_the_same_forecast_alone_and_among_others() -> None:
    many = [series(steady(90 + index, seed=index), f"org:acme/project:p{index}") for index in range(20)]
    together = project(many, begin=BEGIN, end=END, as_of=AS_OF)
    again = project(many, begin=BEGIN, end=END, as_of=AS_OF)
    assert together == again
    [alone] = project(many[7:8], begin=BEGIN, end=END, as_of=AS_OF)
    assert alone.scope == together[7].scope
    assert alone.total_nanousd == pytest.approx(together[7].total_nanousd, rel=1e-9)


def test_what_comes_after_as_of_is_not_looked_at() -> None:
    known = steady(150)
    [early] = project([series(known, until=END)], begin=BEGIN, end=END, as_of=AS_OF)
    [only] = project([series(known[: -(END - AS_OF).days])], begin=BEGIN, end=END, as_of=AS_OF)
    assert early == only


def test_the_largest_amounts_do_not_overflow() -> None:
    made = forecast([MOST_NANOUSD] * 120)
    assert made.spent_nanousd == 10 * MOST_NANOUSD
    assert made.total_nanousd == made.spent_nanousd
    one = forecast([0] * 60 + [MOST_NANOUSD // 50] * 60)
    assert one.high_nanousd <= MOST_NANOUSD
    assert one.total_nanousd > one.spent_nanousd


def test_single_nano_dollars_are_forecast_too() -> None:
    made = forecast([1] * 120)
    assert made.total_nanousd == 31


def test_refunds_count_as_spent_and_are_not_expected_again() -> None:
    made = forecast([10 * USD] * 119 + [-500 * USD])
    assert made.spent_nanousd == 90 * USD - 500 * USD
    assert made.total_nanousd > made.spent_nanousd


def test_a_month_that_is_over_is_what_was_spent() -> None:
    amounts = [USD] * 100
    made = forecast(amounts, as_of=END + timedelta(20))
    assert made.total_nanousd == made.low_nanousd == made.high_nanousd == made.spent_nanousd == 31 * USD
    assert made.probability_above(31 * USD) == 0.0
    assert made.probability_above(31 * USD - 1) == 1.0


def test_a_month_that_has_not_begun_is_forecast_whole() -> None:
    made = forecast([USD] * 100, as_of=BEGIN - timedelta(10))
    assert made.spent_nanousd == 0
    assert made.total_nanousd == pytest.approx(31 * USD, rel=0.05)


def test_windows_without_days_or_of_years_are_refused() -> None:
    for end in (BEGIN, BEGIN - timedelta(1), BEGIN + timedelta(800)):
        with pytest.raises(ValueError, match="must have 1 to 366 days"):
            project([series([1])], begin=BEGIN, end=end, as_of=AS_OF)


def test_amounts_that_are_not_whole_nano_dollars_are_refused() -> None:
    with pytest.raises(ValueError, match="int64"):
        DailySeries("org:acme", BEGIN, np.array([1.5]))


def test_a_voice_from_outside_is_heard_where_it_has_something_to_say() -> None:
    many = [series(steady(120), "org:acme"), series(steady(120), "org:other")]
    plain = project(many, begin=BEGIN, end=END, as_of=AS_OF)
    heard = project(many, begin=BEGIN, end=END, as_of=AS_OF, voices=[Doubling(plain[0].remaining_nanousd)])
    assert heard[0].total_nanousd > plain[0].total_nanousd
    assert heard[0].models == (*plain[0].models, "doubling")
    assert heard[1] == plain[1]


class Doubling:
    """Expects twice as much of the first series, and says nothing of the others."""

    name = "doubling"

    def __init__(self, remaining: int) -> None:
        self._remaining = remaining

    def paths(self, series: Sequence[DailySeries], days: int) -> Floats:
        made = np.full((len(series), days), np.nan)
        made[0] = 2.0 * self._remaining / days
        return made
