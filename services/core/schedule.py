"""Schedules: a factor on a limit as a function of the organization's local time, `22:00-06:00` or `sat,sun`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from schemas.when import DATES, DAYS, HOURS, when_problem

BASIS_POINTS: Final = 10_000
"""A factor of one."""

_WEEK: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_ONE_DAY: Final = timedelta(days=1)


class ScheduleError(ValueError):
    """A `when` that cannot be read; the message says why and what to write."""


@dataclass(frozen=True, slots=True)
class ScheduleRule:
    """While `when` holds, the limit is multiplied by `factor_bp` basis points."""

    when: str
    factor_bp: int


@dataclass(frozen=True, slots=True)
class _Condition:
    """The local days on which a stretch begins, and its minutes; one that ends before it starts runs overnight."""

    weekdays: frozenset[int]
    first_day: date
    last_day: date
    start_minute: int
    end_minute: int

    def holds(self, local: datetime) -> bool:
        minute, today = local.hour * 60 + local.minute, local.date()
        if self.start_minute < self.end_minute:
            return self.start_minute <= minute < self.end_minute and self._begins_on(today)
        if minute >= self.start_minute:
            return self._begins_on(today)
        return minute < self.end_minute and self._begins_on(today - _ONE_DAY)

    def _begins_on(self, day: date) -> bool:
        return self.first_day <= day <= self.last_day and day.weekday() in self.weekdays


def factor_at(rules: Sequence[ScheduleRule], at_ms: int, zone: ZoneInfo) -> int:
    """The factor at an instant (UTC milliseconds), in basis points: the last rule that holds wins, none means one.

    Wall-clock time counts, so a repeated hour is in a rule twice and a skipped one never. An overnight stretch belongs
    to the day on which it begins: `fri 22:00-06:00` ends on Saturday morning. Raises ScheduleError for an unreadable
    `when`.
    """
    if not rules:
        return BASIS_POINTS
    local = datetime.fromtimestamp(at_ms // 1000, zone)
    for rule in reversed(rules):
        if _condition(rule.when).holds(local):
            return rule.factor_bp
    return BASIS_POINTS


@lru_cache(maxsize=4096)
def _condition(when: str) -> _Condition:
    """Read the grammar of `schemas.when`."""
    problem = when_problem(when)
    if problem is not None:
        raise ScheduleError(problem)
    weekdays, first_day, last_day = frozenset(range(7)), date.min, date.max
    start_minute, end_minute = 0, 24 * 60
    for part in when.split(" "):
        if hours := HOURS.fullmatch(part):
            start_minute, end_minute = _minutes(hours[1]), _minutes(hours[2])
        elif dates := DATES.fullmatch(part):
            first_day, last_day = date.fromisoformat(dates[1]), date.fromisoformat(dates[2] or dates[1])
        elif DAYS.fullmatch(part):
            weekdays = _weekdays(part)
    return _Condition(weekdays, first_day, last_day, start_minute, end_minute)


def _weekdays(text: str) -> frozenset[int]:
    """`mon-fri,sun` as numbers of weekdays, Monday 0; a range may run over Sunday: `fri-mon`."""
    days: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        start, end = _WEEK.index(first), _WEEK.index(last or first)
        days.update(day % 7 for day in range(start, end + 1 if end >= start else end + 8))
    return frozenset(days)


def _minutes(clock: str) -> int:
    hours, _, minutes = clock.partition(":")
    return int(hours) * 60 + int(minutes)
