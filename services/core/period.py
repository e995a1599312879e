"""The period of a report: as people name it, in the organization's time zone, and the one to compare it with.

A calendar period is a window of `window`, so a report of a month adds up to the balance of that month. Names say either
a calendar period (`2026-11`, `last-month`), a number of whole days that ends with today (`7d`), or any two ends
(`2026-11-01..2026-11-15T12:00`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from services.core.events import from_ms, to_ms
from services.core.wallclock import midnight_s
from services.core.window import LAST_MS, Window, WindowError, WindowKind, window_at, window_of_label

RANGE: Final = ".."
DAYS_MAX: Final = 3_660
EXAMPLES: Final = (
    "today, yesterday, this-week, last-month, this-quarter, 7d, 2026-11, 2026-11-24, 2026-W48, 2026-Q4, 2026, A..B"
)

_RELATIVE = re.compile(r"(this|last)-(week|month|quarter|year)")
_DAYS = re.compile(r"([0-9]{1,4})d")
CALENDAR: Final = (
    (WindowKind.DAY, re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}"), "2026-11-24"),
    (WindowKind.WEEK, re.compile(r"[0-9]{4}-W[0-9]{2}"), "2026-W48"),
    (WindowKind.MONTH, re.compile(r"[0-9]{4}-[0-9]{2}"), "2026-11"),
    (WindowKind.QUARTER, re.compile(r"[0-9]{4}-Q[1-4]"), "2026-Q4"),
    (WindowKind.YEAR, re.compile(r"[0-9]{4}"), "2026"),
)
"""How people write a calendar period of each kind, with an example."""

_DAY = timedelta(days=1)


class PeriodError(ValueError):
    """A text that names no period; the message says why and what to write."""


@dataclass(frozen=True, slots=True)
class Period:
    """`start_ms <= at_ms < end_ms` in UTC milliseconds. `zone`: whose days; `kind`: which one calendar window it is."""

    start_ms: int
    end_ms: int
    zone: ZoneInfo
    kind: WindowKind | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.start_ms < self.end_ms <= LAST_MS:
            raise PeriodError("the period is empty, or outside of the years 1970 to 9997")

    @property
    def begin(self) -> datetime:
        """The start, as clocks of the zone show it."""
        return from_ms(self.start_ms).astimezone(self.zone)

    @property
    def end(self) -> datetime:
        """The end, as clocks of the zone show it; the first instant that is not in the period."""
        return from_ms(self.end_ms).astimezone(self.zone)


def zone_of(name: str) -> ZoneInfo:
    """The time zone of an IANA name. Raises PeriodError."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise PeriodError(f"{name[:80]!r} is no time zone: write an IANA name, as in America/New_York") from error


def parse_period(text: str, zone: ZoneInfo, now_ms: int) -> Period:
    """The period that a text names. Raises PeriodError.

    `7d` is the last seven days, today included. Either side of `A..B` is a date, a time without an offset (of the
    zone), or an instant with one; `A..` lasts until the end of today. What lies ahead is part of a period: `this-month`
    is all of it.
    """
    if RANGE in text:
        return _range(text, zone, now_ms)
    try:
        if match := _RELATIVE.fullmatch(text):
            this = _of_window(window_at(WindowKind(match[2]), now_ms, zone), zone)
            return this if match[1] == "this" else previous(this)
        if text in ("today", "yesterday"):
            today = _of_window(window_at(WindowKind.DAY, now_ms, zone), zone)
            return today if text == "today" else previous(today)
        if match := _DAYS.fullmatch(text):
            return _last_days(int(match[1]), zone, now_ms)
        for kind, pattern, _ in CALENDAR:
            if pattern.fullmatch(text):
                return _of_window(window_of_label(f"{kind}:{text}", zone), zone)
    except WindowError as error:
        raise PeriodError(f"{text[:80]!r} is no period: {error}") from error
    raise PeriodError(f"{text[:80]!r} is no period: write one of {EXAMPLES}")


def previous(period: Period) -> Period:
    """The period before: of a calendar month the month before, else as many days (or as much time) right before it."""
    if period.start_ms == 0:
        raise PeriodError("there is nothing before 1970")
    if period.kind is not None:
        return _of_window(window_at(period.kind, period.start_ms - 1, period.zone), period.zone)
    begin, end = period.begin, period.end
    if _is_midnight(period.start_ms, period.zone) and _is_midnight(period.end_ms, period.zone):
        start_ms = midnight_s(begin.date() - (end.date() - begin.date()), period.zone) * 1000
    else:
        start_ms = 2 * period.start_ms - period.end_ms
    return Period(max(start_ms, 0), period.start_ms, period.zone)


def previous_so_far(period: Period, now_ms: int) -> Period:
    """What to compare with: of a period that is not over yet, as much of the one before as has gone by of this one.

    So on the 10th at noon a month is compared with the month before up to its 10th at noon, and never past its end.
    """
    before = previous(period)
    if not period.start_ms < now_ms < period.end_ms:
        return before
    now = from_ms(now_ms).astimezone(period.zone)
    days = now.date() - period.begin.date()
    end_ms = _instant_ms(before.begin.date() + days, now, period.zone)
    return Period(before.start_ms, min(max(end_ms, before.start_ms + 1), before.end_ms), period.zone)


def windows(period: Period, kind: WindowKind) -> Iterator[Window]:
    """The calendar windows that a period touches, in order; the first and the last may reach beyond it."""
    at_ms = period.start_ms
    while at_ms < period.end_ms:
        window = window_at(kind, at_ms, period.zone)
        assert window.end_ms is not None, "only the total never ends"
        yield window
        at_ms = window.end_ms


def _of_window(window: Window, zone: ZoneInfo) -> Period:
    assert window.end_ms is not None, "only the total never ends"
    return Period(window.start_ms, window.end_ms, zone, window.kind)


def _last_days(count: int, zone: ZoneInfo, now_ms: int) -> Period:
    if not 1 <= count <= DAYS_MAX:
        raise PeriodError(f"{count}d is no period: from 1d to {DAYS_MAX}d")
    today = window_at(WindowKind.DAY, now_ms, zone)
    assert today.end_ms is not None, "a day ends"
    first = from_ms(now_ms).astimezone(zone).date() - (count - 1) * _DAY
    return Period(midnight_s(first, zone) * 1000, today.end_ms, zone)


def _range(text: str, zone: ZoneInfo, now_ms: int) -> Period:
    begin, _, end = text.partition(RANGE)
    start_ms = parse_instant(begin, zone)
    end_ms = window_at(WindowKind.DAY, now_ms, zone).end_ms if end == "" else parse_instant(end, zone)
    assert end_ms is not None, "a day ends"
    if start_ms >= end_ms:
        raise PeriodError(f"the period {text[:80]!r} is empty: its end is not after its beginning")
    return Period(start_ms, end_ms, zone)


def parse_instant(text: str, zone: ZoneInfo) -> int:
    """UTC milliseconds of a date's beginning, a time of the zone, or one with its own offset. Raises PeriodError."""
    try:
        if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
            return midnight_s(date.fromisoformat(text), zone) * 1000
        shown = datetime.fromisoformat(text)
        return to_ms(shown) if shown.tzinfo else _instant_ms(shown.date(), shown, zone)
    except (ValueError, OverflowError) as error:
        raise PeriodError(f"{text[:80]!r} is no date: write 2026-11-24 or 2026-11-24T13:00") from error


def _instant_ms(day: date, clock: datetime, zone: tzinfo) -> int:
    """When the zone's clocks first show this day and time of day; where they skip it, the time they show instead."""
    shown = datetime.combine(day, clock.time().replace(fold=0), zone)
    return to_ms(shown.astimezone(UTC))


def _is_midnight(at_ms: int, zone: ZoneInfo) -> bool:
    return window_at(WindowKind.DAY, at_ms, zone).start_ms == at_ms
