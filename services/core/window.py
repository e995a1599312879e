"""Calendar windows: the period of a counter, in the organization's time zone, exact to the millisecond.

Every instant is in exactly one window of each kind, and windows of one kind follow one another without gap or overlap,
through every change of the clocks:

* A day, week, month, quarter or year begins when its first midnight strikes, and where clocks skip that midnight, at
  the first instant after it (America/Sao_Paulo, Asia/Beirut). Where midnight strikes twice, the first one counts.
* An hour or a minute is one of the wall clock at one UTC offset. A repeated hour is two windows; a change of the clocks
  inside an hour (Australia/Lord_Howe) ends one window and begins the next.

Dates and weeks are ISO 8601's (a week belongs to the year of its Thursday), zones are IANA's as `zoneinfo` reads them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from enum import StrEnum
from typing import Final
from zoneinfo import ZoneInfo

from services.core.events import to_ms
from services.core.wallclock import first_second, midnight_s, offset_at, utc_seconds

LAST_MS: Final = to_ms(datetime(9998, 1, 1, tzinfo=UTC))
"""The first instant that has no windows any more: soon after it the calendar runs out of years."""

_ONE_DAY = timedelta(days=1)


class WindowError(ValueError):
    """An instant or a label that has no window; the message says why."""


class WindowKind(StrEnum):
    """How long a window is."""

    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    QUARTER = "quarter"
    YEAR = "year"
    TOTAL = "total"


@dataclass(frozen=True, slots=True)
class Window:
    """One period, `start_ms <= at_ms < end_ms` in UTC milliseconds; without `end_ms` it never ends."""

    kind: WindowKind
    label: str
    start_ms: int
    end_ms: int | None


TOTAL: Final = Window(WindowKind.TOTAL, "total", 0, None)

_CLOCK_SECONDS: Final = {WindowKind.MINUTE: 60, WindowKind.HOUR: 3600}
_INTO_NEXT: Final = {
    WindowKind.DAY: timedelta(days=1),
    WindowKind.WEEK: timedelta(days=7),
    WindowKind.MONTH: timedelta(days=31),
    WindowKind.QUARTER: timedelta(days=92),
    WindowKind.YEAR: timedelta(days=366),
}
"""From the first day of a period, this leads to some day of the next one."""


def window_at(kind: WindowKind, at_ms: int, zone: ZoneInfo) -> Window:
    """The window of a kind that an instant (UTC milliseconds) is in.

    Raises WindowError for instants before 1970 and from `LAST_MS` on.
    """
    if not 0 <= at_ms < LAST_MS:
        raise WindowError(f"{at_ms} ms is outside of the years 1970 to 9997")
    if kind is WindowKind.TOTAL:
        return TOTAL
    local = datetime.fromtimestamp(at_ms // 1000, zone)
    if kind in _CLOCK_SECONDS:
        return _clock_window(kind, local, zone)
    first_day = _first_day(kind, local.date())
    next_day = _first_day(kind, first_day + _INTO_NEXT[kind])
    end_ms = _midnight_ms(next_day, zone)
    if at_ms >= end_ms:  # the midnight of `next_day` had struck, and then the clocks went back over it
        return _calendar_window(kind, next_day, zone)
    return Window(kind, _calendar_label(kind, first_day), _midnight_ms(first_day, zone), end_ms)


def window_of_label(label: str, zone: ZoneInfo) -> Window:
    """The window with this label; the inverse of `window_at`.

    Raises WindowError when the label is not one of ours, or names a period that the zone's clocks skipped.
    """
    if label == TOTAL.label:
        return TOTAL
    name, _, period = label.partition(":")
    try:
        kind = WindowKind(name)
        window = _clock_of(kind, period, zone) if kind in _CLOCK_SECONDS else _calendar_of(kind, period, zone)
    except (ValueError, OverflowError) as error:
        raise WindowError(f"{label[:80]!r} is not the label of a window, such as month:2026-11") from error
    if window.label != label:
        raise WindowError(f"{label[:80]!r} must be written {window.label}")
    if window.start_ms == window.end_ms:
        raise WindowError(f"the clocks of {zone.key} skipped {label}")
    return window


def _clock_of(kind: WindowKind, period: str, zone: ZoneInfo) -> Window:
    local = datetime.fromisoformat(period)
    if local.tzinfo is None:
        raise WindowError("no UTC offset")
    return _clock_window(kind, local, zone)


def _clock_window(kind: WindowKind, local: datetime, zone: ZoneInfo) -> Window:
    """The minute or hour of the wall clock around `local`, as far as the zone keeps `local`'s UTC offset in it.

    Empty when the zone never has that offset there. No zone changes its offset twice in an hour.
    """
    offset = local.utcoffset() or timedelta()
    floor = local.replace(minute=local.minute if kind is WindowKind.MINUTE else 0, second=0, microsecond=0)
    start_s = utc_seconds(floor, offset)
    end_s = start_s + _CLOCK_SECONDS[kind]
    starts_right, ends_right = offset_at(start_s, zone) == offset, offset_at(end_s - 1, zone) == offset
    if not ends_right:
        end_s = first_second(start_s, end_s, lambda s: offset_at(s, zone) != offset) if starts_right else start_s
    elif not starts_right:
        start_s = first_second(start_s, end_s, lambda s: offset_at(s, zone) == offset)
    text = floor.replace(tzinfo=timezone(offset)).isoformat(timespec="minutes")
    return Window(kind, f"{kind}:{text}", start_s * 1000, end_s * 1000)


def _calendar_of(kind: WindowKind, period: str, zone: ZoneInfo) -> Window:
    match kind:
        case WindowKind.DAY:
            first_day = date.fromisoformat(period)
        case WindowKind.WEEK:
            first_day = date.fromisoformat(f"{period}-1")
        case WindowKind.MONTH:
            first_day = date.fromisoformat(f"{period}-01")
        case WindowKind.QUARTER:
            year, _, quarter = period.partition("-Q")
            first_day = date(int(year), 3 * int(quarter) - 2, 1)
        case WindowKind.YEAR:
            first_day = date.fromisoformat(f"{period}-01-01")
        case _:
            raise WindowError(f"a {kind} has no dates")
    return _calendar_window(kind, first_day, zone)


def _calendar_window(kind: WindowKind, first_day: date, zone: ZoneInfo) -> Window:
    next_day = _first_day(kind, first_day + _INTO_NEXT[kind])
    return Window(kind, _calendar_label(kind, first_day), _midnight_ms(first_day, zone), _midnight_ms(next_day, zone))


def _first_day(kind: WindowKind, day: date) -> date:
    match kind:
        case WindowKind.WEEK:
            return day - day.weekday() * _ONE_DAY
        case WindowKind.MONTH:
            return day.replace(day=1)
        case WindowKind.QUARTER:
            return day.replace(month=day.month - (day.month - 1) % 3, day=1)
        case WindowKind.YEAR:
            return day.replace(month=1, day=1)
    return day


def _calendar_label(kind: WindowKind, first_day: date) -> str:
    match kind:
        case WindowKind.WEEK:
            year, week, _ = first_day.isocalendar()
            return f"week:{year:04d}-W{week:02d}"
        case WindowKind.MONTH:
            return f"month:{first_day.isoformat()[:7]}"
        case WindowKind.QUARTER:
            return f"quarter:{first_day.year:04d}-Q{(first_day.month + 2) // 3}"
        case WindowKind.YEAR:
            return f"year:{first_day.year:04d}"
    return f"day:{first_day.isoformat()}"


def _midnight_ms(day: date, zone: ZoneInfo) -> int:
    return midnight_s(day, zone) * 1000
