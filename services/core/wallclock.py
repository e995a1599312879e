"""What the clocks of a time zone show, and when: in whole seconds, through every change of the offset."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

_EPOCH_DAY = date(1970, 1, 1).toordinal()


def midnight_s(day: date, zone: ZoneInfo) -> int:
    """The first second (UTC, since the epoch) at which the zone's clocks show `day` or a later one.

    So it is the first of two midnights where clocks went back over it, and the end of the gap where they skipped it.
    """
    utc = datetime(day.year, day.month, day.day, tzinfo=UTC)
    before, after = _offset(utc.replace(tzinfo=zone)), _offset(utc.replace(tzinfo=zone, fold=1))
    struck_s = utc_seconds(utc, before)
    if after > before:  # skipped: PEP 495 gives the offsets on the two sides of the gap
        return first_second(utc_seconds(utc, after), struck_s, lambda second: offset_at(second, zone) != before)
    return struck_s


def first_second(low_s: int, high_s: int, holds: Callable[[int], bool]) -> int:
    """The second in `low_s < s <= high_s` from which on `holds` is true; it must be by `high_s`."""
    while high_s - low_s > 1:
        middle_s = (low_s + high_s) // 2
        low_s, high_s = (low_s, middle_s) if holds(middle_s) else (middle_s, high_s)
    return high_s


def offset_at(second: int, zone: ZoneInfo) -> timedelta:
    """The zone's UTC offset at a second since the epoch."""
    return _offset(datetime.fromtimestamp(second, zone))


def utc_seconds(shown: datetime, offset: timedelta) -> int:
    """The second since the epoch at which clocks at this UTC offset show `shown`, whose own time zone is ignored."""
    clock_s = (shown.toordinal() - _EPOCH_DAY) * 86_400 + shown.hour * 3600 + shown.minute * 60 + shown.second
    return clock_s - offset.days * 86_400 - offset.seconds


def _offset(moment: datetime) -> timedelta:
    offset = moment.utcoffset()
    if offset is None:
        raise ValueError(f"{moment} has no UTC offset")
    return offset
