"""Where a budget stands and where it is going: spent, left, expected, and when it runs out. Money exact, no clock."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Final, Literal
from zoneinfo import ZoneInfo

from services.core.explain import utilization
from services.core.forecast import FIRST_DAY, Projection
from services.core.money import round_half_even
from services.core.window import Window

DAY_MS: Final = 86_400_000
RATE_SHARE: Final = 8
"""The pace so far says something once an eighth of the window has gone by, or a day."""

Basis = Literal["forecast", "first_day", "run_rate"]
"""What an expectation rests on: the first day of a scope that has no past says little more than its pace."""


@dataclass(frozen=True, slots=True)
class Counted:
    """What a balance says, in nano-dollars. `reserved` is set aside and not spent; `unconfirmed` is part of settled."""

    settled_nanousd: int = 0
    reserved_nanousd: int = 0
    unconfirmed_nanousd: int = 0
    unpriced: int = 0
    requests: int = 0


@dataclass(frozen=True, slots=True)
class Expected:
    """What the window is expected to end at. A pace alone has no interval (80%) and knows no probabilities."""

    basis: Basis
    total_nanousd: int
    low_nanousd: int | None = None
    high_nanousd: int | None = None
    as_of: date | None = None


@dataclass(frozen=True, slots=True)
class Outlook:
    """The status of one budget, or of a balance that none limits (`limit_nanousd` None).

    `daily_average` is what the days so far cost, `recommended_daily` what each day that is left may cost; None in
    windows that are shorter than a day, or never end. `exhausted_on` is the day on which the limit is reached, in the
    organization's calendar: today once it is. `probability` that the window ends above the limit, None: nobody knows.
    """

    counted: Counted
    limit_nanousd: int | None
    remaining_nanousd: int | None
    utilization: float | None
    days_elapsed: float | None
    days_remaining: float | None
    daily_average_nanousd: int | None
    recommended_daily_nanousd: int | None
    expected: Expected | None
    probability: float | None
    exhausted_on: date | None


def outlook(
    counted: Counted,
    window: Window,
    zone: ZoneInfo,
    now_ms: int,
    *,
    limit_nanousd: int | None = None,
    projection: Projection | None = None,
    chance: float | None = None,
) -> Outlook:
    """The outlook of a balance at an instant. A projection must be of this scope and window; without, the pace counts.

    `chance` is the probability of this limit where the forecaster, who knows the whole distribution, has told it. What
    is reserved is neither remaining nor unused. Raises ValueError for an instant before the window.
    """
    if now_ms < window.start_ms:
        raise ValueError(f"{now_ms} ms is before {window.label} begins")
    spent = counted.settled_nanousd
    used = spent + counted.reserved_nanousd
    expected = _expected(spent, window, now_ms, projection)
    elapsed_ms, left_ms = _elapsed(window, now_ms)
    daily = window.end_ms is not None and window.end_ms - window.start_ms > DAY_MS * 3 // 2
    remaining = None if limit_nanousd is None else limit_nanousd - used
    return Outlook(
        counted=counted,
        limit_nanousd=limit_nanousd,
        remaining_nanousd=remaining,
        utilization=None if limit_nanousd is None else utilization(used, limit_nanousd),
        days_elapsed=None if window.end_ms is None else _days(elapsed_ms),
        days_remaining=None if left_ms is None else _days(left_ms),
        daily_average_nanousd=round_half_even(spent * DAY_MS, max(elapsed_ms, DAY_MS)) if daily else None,
        recommended_daily_nanousd=(
            max(0, remaining) * DAY_MS // max(left_ms, DAY_MS)
            if daily and remaining is not None and left_ms is not None
            else None
        ),
        expected=expected,
        probability=None if limit_nanousd is None else _probability(spent, limit_nanousd, projection, chance),
        exhausted_on=(
            None if limit_nanousd is None else _exhausted_on(spent, limit_nanousd, window, zone, now_ms, projection)
        ),
    )


def _expected(spent: int, window: Window, now_ms: int, projection: Projection | None) -> Expected | None:
    """A total is never below what is spent by now: a forecast is as of the start of a day, and spending goes on."""
    if projection is not None:
        return Expected(
            "first_day" if projection.models == (FIRST_DAY,) else "forecast",
            max(spent, projection.total_nanousd),
            max(spent, projection.low_nanousd),
            max(spent, projection.high_nanousd),
            projection.as_of,
        )
    if window.end_ms is None or not _has_pace(window, now_ms):
        return None
    length_ms, elapsed_ms = window.end_ms - window.start_ms, _elapsed(window, now_ms)[0]
    return Expected("run_rate", max(spent, round_half_even(spent * length_ms, elapsed_ms)))


def _probability(spent: int, limit: int, projection: Projection | None, chance: float | None) -> float | None:
    if spent > limit:
        return 1.0
    if chance is not None:
        return chance
    return None if projection is None else round(projection.probability_above(limit), 4)


def _exhausted_on(
    spent: int, limit: int, window: Window, zone: ZoneInfo, now_ms: int, projection: Projection | None
) -> date | None:
    today = _day(now_ms, zone)
    if spent >= limit:
        return today
    if projection is not None:
        day = projection.reaches(limit)
        return None if day is None else max(day, today)
    if window.end_ms is None or spent <= 0 or not _has_pace(window, now_ms):
        return None
    reached_ms = window.start_ms + -(-limit * _elapsed(window, now_ms)[0] // spent)
    return _day(reached_ms, zone) if reached_ms < window.end_ms else None


def _has_pace(window: Window, now_ms: int) -> bool:
    assert window.end_ms is not None, "a window without an end has no pace to its end"
    return now_ms - window.start_ms >= min(DAY_MS, (window.end_ms - window.start_ms) // RATE_SHARE) > 0


def _elapsed(window: Window, now_ms: int) -> tuple[int, int | None]:
    """How much of the window is over, and how much is left; milliseconds."""
    if window.end_ms is None:
        return now_ms - window.start_ms, None
    return min(now_ms, window.end_ms) - window.start_ms, max(0, window.end_ms - now_ms)


def _days(duration_ms: int) -> float:
    return round(duration_ms / DAY_MS, 2)


def _day(at_ms: int, zone: ZoneInfo) -> date:
    return datetime.fromtimestamp(at_ms // 1000, zone).date()
