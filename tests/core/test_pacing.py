"""Pacing: money comes at the pace plus one burst, whatever the requests, and who waits as told is let through."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.core.decide import Action, decide
from services.core.estimate import Estimate
from services.core.pacing import BURST_MS, Pace, advance, interval_us, unused_us, wait_ms
from tests.core.chains import NO_CAPS, NOW_MS, PACING, ask, budget, link, take_pace

USD = 1_000_000_000
PACES = st.builds(Pace, st.integers(1, 10**13), st.integers(1, 31 * 86_400_000), st.integers(1, 20))
ARRIVALS = st.lists(st.tuples(st.integers(0, 200_000), st.integers(0, 10**12)), min_size=1, max_size=60)
"""Requests: so long after the one before, at such an amount."""


@given(PACES, ARRIVALS)
def test_what_is_let_through_never_exceeds_the_pace_and_one_burst(pace: Pace, arrivals: list[tuple[int, int]]) -> None:
    state, now_ms, admitted, largest = 0, NOW_MS, 0, 0
    for elapsed_ms, amount in arrivals:
        now_ms += elapsed_ms
        interval = interval_us(min(amount, pace.room_nanousd), pace)
        if wait_ms(state, interval, now_ms) == 0:
            state = advance(state, interval, now_ms)
            admitted += min(amount, pace.room_nanousd)
            largest = max(largest, min(amount, pace.room_nanousd))
        # The rate is room / (left * enforcers); both sides times its denominator, so that nothing is rounded.
        burst = max(pace.room_nanousd * BURST_MS, largest * pace.left_ms * pace.enforcers)
        earned = pace.room_nanousd * (now_ms - NOW_MS)
        assert admitted * pace.left_ms * pace.enforcers <= earned + burst


@given(PACES, st.integers(0, 10**13), st.integers(-(10**6), 10**6))
def test_who_waits_as_told_is_let_through_and_not_a_millisecond_before(pace: Pace, amount: int, ahead_ms: int) -> None:
    interval = interval_us(min(amount, pace.room_nanousd), pace)
    state = (NOW_MS + ahead_ms) * 1000 + 1
    told = wait_ms(state, interval, NOW_MS)
    assert wait_ms(state, interval, NOW_MS + told) == 0
    assert told == 0 or wait_ms(state, interval, NOW_MS + told - 1) > 0


@given(PACES, st.integers(0, 10**12), st.integers(0, 10**12))
def test_larger_requests_take_longer_to_earn(pace: Pace, one: int, other: int) -> None:
    small, large = sorted(min(amount, pace.room_nanousd) for amount in (one, other))
    assert interval_us(small, pace) <= interval_us(large, pace)
    assert wait_ms(10**15, interval_us(small, pace), 0) <= wait_ms(10**15, interval_us(large, pace), 0)


@given(st.integers(0, 10**12), st.integers(1, 10**12), st.integers(0, 10**12))
def test_no_more_is_given_back_than_was_taken_and_all_of_it_when_nothing_was_spent(
    interval: int, estimate: int, cost: int
) -> None:
    assert 0 <= unused_us(interval, estimate, cost) <= interval
    assert unused_us(interval, estimate, 0) == interval
    assert unused_us(interval, estimate, estimate + cost) == 0


def test_a_small_interval_is_rounded_up_to_a_microsecond() -> None:
    assert interval_us(1, Pace(10**13, 1)) == 1
    assert interval_us(0, Pace(10**13, 1)) == 0


@given(st.lists(st.tuples(st.integers(0, 60_000), st.integers(1, USD // 2)), min_size=5, max_size=60))
def test_the_tier_lasts_to_the_end_of_the_window(arrivals: list[tuple[int, int]]) -> None:
    """Through the decision itself: intervals are worked out anew from what is left, and add up to the time gone."""
    throttled = link(budget(100 * USD, tiers=PACING), settled=90 * USD)
    standing, now_ms, earned_us, largest_us = throttled.standing, NOW_MS, 0, 0
    for elapsed_ms, amount in arrivals:
        now_ms += elapsed_ms
        ruling = decide(ask(), Estimate(amount, 1), [throttled], NO_CAPS, now_ms)
        if ruling.action is Action.ALLOW:
            interval = ruling.judgements[0].interval_us
            earned_us, largest_us = earned_us + interval, max(largest_us, interval)
            take_pace(ruling)
            standing.held_nanousd += amount
        elif ruling.action is Action.THROTTLE:
            assert ruling.retry_after_ms is not None
            again = decide(ask(), Estimate(amount, 1), [throttled], NO_CAPS, now_ms + ruling.retry_after_ms)
            assert again.action is Action.ALLOW
        assert earned_us <= (now_ms - NOW_MS + BURST_MS) * 1000 + largest_us
