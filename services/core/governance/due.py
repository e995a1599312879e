"""Which scheduled reports are due: a function of the time, the time zone and what has been written already."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final, Literal
from zoneinfo import ZoneInfo

from services.core.events import from_ms, to_ms
from services.core.report_period import before, period_text
from services.core.window import WindowKind, window_at

HOUR: Final = 6
"""Reports are written on Mondays at this hour of the organization's clocks."""

CATCH_UP_WEEKS: Final = 5
"""After a long pause, so many Mondays are made up for; older reports are made on demand."""

Kind = Literal["weekly", "quarterly", "accountability"]


@dataclass(frozen=True, slots=True)
class Due:
    """A report that is to be written: its kind, its period, and since when it is due."""

    kind: Kind
    period: str
    since_ms: int


def due(now_ms: int, zone: ZoneInfo, written: Callable[[Kind, str], bool]) -> list[Due]:
    """What should exist by now and does not, the oldest first.

    Each Monday the review of the week before. On a month's first Monday the account of the month before. On the first
    Monday of a quarter's last month the plan for the next quarter, while there is time to decide.
    """
    today = from_ms(now_ms).astimezone(zone).date()
    this_monday = today - timedelta(days=today.weekday())
    mondays = [this_monday - timedelta(weeks=n) for n in range(CATCH_UP_WEEKS - 1, -1, -1)]
    found = [each for monday in mondays for each in _of_monday(monday, zone) if each.since_ms <= now_ms]
    return [each for each in found if not written(each.kind, each.period)]


def next_ms(now_ms: int, zone: ZoneInfo) -> int:
    """The next instant at which something becomes due."""
    today = from_ms(now_ms).astimezone(zone).date()
    monday = today - timedelta(days=today.weekday())
    this_week = _at(monday, zone)
    return this_week if now_ms < this_week else _at(monday + timedelta(weeks=1), zone)


def _of_monday(monday: date, zone: ZoneInfo) -> list[Due]:
    since_ms = _at(monday, zone)
    week = before(window_at(WindowKind.WEEK, since_ms, zone), zone)
    found = [Due("weekly", period_text(week), since_ms)]
    if monday.day <= 7:  # the first Monday of the month
        month = before(window_at(WindowKind.MONTH, since_ms, zone), zone)
        found.append(Due("accountability", period_text(month), since_ms))
        if monday.month % 3 == 0:
            found.append(Due("quarterly", period_text(window_at(WindowKind.QUARTER, since_ms, zone)), since_ms))
    return found


def _at(monday: date, zone: ZoneInfo) -> int:
    return to_ms(datetime(monday.year, monday.month, monday.day, HOUR, tzinfo=zone))
