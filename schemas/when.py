"""The grammar of a schedule's `when`: days of the week or dates, and hours of the day."""

from __future__ import annotations

import re
from datetime import date

ADVICE = 'write days ("sat,sun", "mon-fri"), dates ("2026-12-24..2026-12-26"), hours ("22:00-06:00"), or days and hours'

DAY = "(?:mon|tue|wed|thu|fri|sat|sun)"
CLOCK = "(?:[01][0-9]|2[0-3]):[0-5][0-9]"
DATE = "[0-9]{4}-[0-9]{2}-[0-9]{2}"

DAYS = re.compile(rf"{DAY}(?:-{DAY})?(?:,{DAY}(?:-{DAY})?)*")
DATES = re.compile(rf"({DATE})(?:\.\.({DATE}))?")
HOURS = re.compile(rf"({CLOCK})-({CLOCK}|24:00)")


def when_problem(text: str) -> str | None:
    """Why `text` cannot be a `when`, or None when it can."""
    parts = text.split(" ")
    hours = HOURS.fullmatch(parts[-1])
    days = parts[:-1] if hours else parts
    if len(days) > 1 or not all(DAYS.fullmatch(part) or DATES.fullmatch(part) for part in days):
        return f"cannot read {text!r}: {ADVICE}"
    if hours and hours[1] == hours[2]:
        return f"{hours[0]} starts when it ends: leave the hours out for whole days"
    return next((problem for part in days if (problem := _dates_problem(part))), None)


def _dates_problem(text: str) -> str | None:
    dates = DATES.fullmatch(text)
    if not dates:
        return None
    try:
        first, last = date.fromisoformat(dates[1]), date.fromisoformat(dates[2] or dates[1])
    except ValueError:
        return f"{text} names a date that no calendar has"
    return f"{text} ends before it starts: write the earlier date first" if last < first else None
