"""The outlook of a budget: what is spent, left and expected agree with one another, and money is exact."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.events import to_ms
from services.core.forecast import DailySeries, FanPoint, Projection, first_day
from services.core.outlook import DAY_MS, Counted, Expected, Outlook, outlook
from services.core.window import TOTAL, Window, WindowKind, window_at

USD = 1_000_000_000
NEW_YORK = ZoneInfo("America/New_York")
KINDS = [kind for kind in WindowKind if kind is not WindowKind.TOTAL]


def at(text: str) -> int:
    return to_ms(datetime.fromisoformat(text))


def month_of(now_ms: int, zone: ZoneInfo = NEW_YORK) -> Window:
    return window_at(WindowKind.MONTH, now_ms, zone)


def projection(spent: int, *mids: int, spread: int = 0) -> Projection:
    """Of November 2026, as of the 11th: the last days' cumulative middles, evenly in between."""
    begin, as_of, end = date(2026, 11, 1), date(2026, 11, 11), date(2026, 12, 1)
    days = [begin + timedelta(n) for n in range(30)]
    fan = [FanPoint(day, spent, spent, spent) for day in days[:10]]
    fan += [FanPoint(day, mid - spread, mid, mid + spread) for day, mid in zip(days[10:], mids, strict=True)]
    last = fan[-1]
    return Projection(
        scope="org:acme",
        begin=begin,
        end=end,
        as_of=as_of,
        spent_nanousd=spent,
        total_nanousd=last.mid_nanousd,
        low_nanousd=last.low_nanousd,
        high_nanousd=last.high_nanousd,
        fan=tuple(fan),
        models=("run-rate",),
    )


STEADY = projection(10 * USD, *[(11 + n) * USD for n in range(20)], spread=2 * USD)
"""A dollar a day."""
MORNING_MS = at("2026-11-11T12:00:00-05:00")


def of_november(
    settled: int, *, limit: int | None, now_ms: int = MORNING_MS, made: Projection | None = STEADY
) -> Outlook:
    return outlook(
        Counted(settled_nanousd=settled), month_of(now_ms), NEW_YORK, now_ms, limit_nanousd=limit, projection=made
    )


def test_everything_that_a_team_lead_asks_of_a_budget() -> None:
    counted = Counted(
        settled_nanousd=10_500_000_000, reserved_nanousd=500_000_000, unconfirmed_nanousd=7, unpriced=2, requests=40
    )
    told = outlook(counted, month_of(MORNING_MS), NEW_YORK, MORNING_MS, limit_nanousd=25 * USD, projection=STEADY)
    assert told.counted is counted
    assert (told.remaining_nanousd, told.utilization) == (14 * USD, 0.44)
    assert (told.days_elapsed, told.days_remaining) == (10.54, 19.5)  # the clocks went back on the first
    assert told.daily_average_nanousd == 10_500_000_000 * DAY_MS // (MORNING_MS - at("2026-11-01T00:00:00-04:00")) + 1
    assert told.recommended_daily_nanousd == 14 * USD * 2 // 39
    assert told.expected is not None
    assert told.expected.basis == "forecast"
    assert (told.expected.low_nanousd, told.expected.total_nanousd, told.expected.high_nanousd) == (
        28 * USD,
        30 * USD,
        32 * USD,
    )
    assert told.exhausted_on == date(2026, 11, 25)
    assert told.probability is not None
    assert told.probability > 0.9


@pytest.mark.parametrize(
    ("settled", "limit", "day"),
    [
        (10 * USD, 30 * USD, date(2026, 11, 30)),
        (10 * USD, 30 * USD + 1, None),
        (10 * USD, 10 * USD, date(2026, 11, 11)),  # reached: today
        (12 * USD, 10 * USD, date(2026, 11, 11)),
        (0, 0, date(2026, 11, 11)),
    ],
)
def test_the_day_on_which_the_limit_is_reached(settled: int, limit: int, day: date | None) -> None:
    assert of_november(settled, limit=limit).exhausted_on == day


def test_an_old_forecast_names_no_day_that_is_over() -> None:
    later_ms = at("2026-11-20T12:00:00-05:00")
    assert of_november(10 * USD, limit=12 * USD, now_ms=later_ms).exhausted_on == date(2026, 11, 20)


def test_a_forecast_is_never_below_what_is_spent_by_now() -> None:
    told = of_november(40 * USD, limit=30 * USD)
    assert told.expected is not None
    assert (told.expected.low_nanousd, told.expected.total_nanousd, told.expected.high_nanousd) == (40 * USD,) * 3
    assert told.probability == 1.0
    assert told.recommended_daily_nanousd == 0
    assert told.remaining_nanousd == -10 * USD


def test_a_forecast_of_a_first_day_says_so() -> None:
    zone, now_ms, scope = ZoneInfo("UTC"), at("2026-11-16T12:00:00+00:00"), "org:acme/user:new"
    today, begin, end = date(2026, 11, 16), date(2026, 11, 1), date(2026, 12, 1)
    spent, nothing = (DailySeries(scope, today, np.array([nanos], dtype=np.int64)) for nanos in (USD, 0))
    made = first_day(spent, begin=begin, end=end, as_of=today, day_share=0.5)
    told = outlook(Counted(settled_nanousd=USD), month_of(now_ms, zone), zone, now_ms, projection=made)
    assert told.expected == Expected("first_day", 30 * USD, USD, made.high_nanousd, today)
    with pytest.raises(ValueError, match="has not spent anything"):
        first_day(nothing, begin=begin, end=end, as_of=today, day_share=0.5)


def test_without_a_forecast_the_pace_counts_once_it_says_something() -> None:
    zone, start_ms = ZoneInfo("UTC"), at("2026-11-01T00:00:00+00:00")

    def after(days: float) -> Outlook:
        now_ms = start_ms + int(days * DAY_MS)
        counted = Counted(settled_nanousd=3 * USD)
        return outlook(counted, month_of(now_ms, zone), zone, now_ms, limit_nanousd=45 * USD)

    young, day_old = after(0.99), after(1)
    assert (young.expected, young.exhausted_on, young.probability) == (None, None, None)
    assert young.daily_average_nanousd == 3 * USD
    assert day_old.expected is not None
    assert (day_old.expected.basis, day_old.expected.total_nanousd) == ("run_rate", 90 * USD)
    assert day_old.expected.low_nanousd is None
    assert day_old.exhausted_on == date(2026, 11, 16)
    assert after(3).exhausted_on is None


def test_a_day_has_a_pace_and_no_daily_amounts() -> None:
    zone, now_ms = ZoneInfo("UTC"), at("2026-11-11T06:00:00+00:00")
    window = window_at(WindowKind.DAY, now_ms, zone)
    told = outlook(Counted(settled_nanousd=USD), window, zone, now_ms, limit_nanousd=2 * USD)
    assert told.expected is not None
    assert told.expected.total_nanousd == 4 * USD
    assert told.exhausted_on == date(2026, 11, 11)
    assert (told.daily_average_nanousd, told.recommended_daily_nanousd) == (None, None)


def test_a_window_without_an_end_has_no_future() -> None:
    told = outlook(Counted(settled_nanousd=USD), TOTAL, NEW_YORK, MORNING_MS, limit_nanousd=2 * USD)
    assert (told.expected, told.days_remaining, told.exhausted_on, told.recommended_daily_nanousd) == (None,) * 4
    assert told.remaining_nanousd == USD


def test_a_balance_without_a_limit_is_told_all_the_same() -> None:
    told = of_november(10 * USD, limit=None)
    assert (told.limit_nanousd, told.utilization, told.probability, told.exhausted_on) == (None,) * 4
    assert told.expected is not None


def test_an_instant_before_the_window_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="before month:2026-11 begins"):
        outlook(Counted(), month_of(MORNING_MS), NEW_YORK, at("2026-10-30T00:00:00+00:00"))


money = st.integers(0, 10**18)


@given(
    st.sampled_from(KINDS),
    st.integers(to_ms(datetime(2020, 1, 1, tzinfo=UTC)), to_ms(datetime(2030, 1, 1, tzinfo=UTC))),
    st.sampled_from(["UTC", "America/New_York", "Asia/Kathmandu", "America/Santiago", "Pacific/Chatham"]),
    money,
    money,
    money,
)
def test_the_parts_agree_whatever_the_window_and_the_clocks(
    kind: WindowKind, now_ms: int, name: str, settled: int, reserved: int, limit: int
) -> None:
    zone = ZoneInfo(name)
    window = window_at(kind, now_ms, zone)
    told = outlook(
        Counted(settled_nanousd=settled, reserved_nanousd=reserved), window, zone, now_ms, limit_nanousd=limit
    )
    assert window.end_ms is not None
    assert told.remaining_nanousd == limit - settled - reserved
    if told.recommended_daily_nanousd is not None:
        left_ms = max(window.end_ms - now_ms, DAY_MS)
        assert 0 <= told.recommended_daily_nanousd * left_ms <= max(0, told.remaining_nanousd) * DAY_MS
    if told.daily_average_nanousd is not None:
        elapsed_ms = max(now_ms - window.start_ms, DAY_MS)
        assert abs(told.daily_average_nanousd * elapsed_ms - settled * DAY_MS) * 2 <= elapsed_ms
    if told.expected is not None:
        assert told.expected.total_nanousd >= settled
        reached = told.expected.total_nanousd > limit
        assert (told.exhausted_on is not None) or not reached
    today = datetime.fromtimestamp(now_ms // 1000, zone).date()
    assert told.exhausted_on is None or told.exhausted_on >= today
    assert (told.exhausted_on == today) or settled < limit
    assert told.probability == (1.0 if settled > limit else None)
