"""Periods as people name them: where they begin and end in the organization's zone, and what they are compared with."""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.events import to_ms
from services.core.period import Period, PeriodError, parse_period, previous, previous_so_far, windows, zone_of
from services.core.window import WindowKind

NEW_YORK = ZoneInfo("America/New_York")
DAY_MS = 86_400_000


def at(text: str) -> int:
    """UTC milliseconds of a time with an offset."""
    return to_ms(datetime.fromisoformat(text))


NOON = at("2026-11-24T12:00-05:00")


def shown(period: Period) -> tuple[str, str]:
    """Both ends, as clocks of the zone show them."""
    return f"{period.begin:%Y-%m-%dT%H:%M%z}", f"{period.end:%Y-%m-%dT%H:%M%z}"


@pytest.mark.parametrize(
    ("text", "begin", "end"),
    [
        ("today", "2026-11-24T00:00-0500", "2026-11-25T00:00-0500"),
        ("yesterday", "2026-11-23T00:00-0500", "2026-11-24T00:00-0500"),
        ("this-week", "2026-11-23T00:00-0500", "2026-11-30T00:00-0500"),
        ("last-week", "2026-11-16T00:00-0500", "2026-11-23T00:00-0500"),
        ("this-month", "2026-11-01T00:00-0400", "2026-12-01T00:00-0500"),
        ("last-month", "2026-10-01T00:00-0400", "2026-11-01T00:00-0400"),
        ("this-quarter", "2026-10-01T00:00-0400", "2027-01-01T00:00-0500"),
        ("last-quarter", "2026-07-01T00:00-0400", "2026-10-01T00:00-0400"),
        ("this-year", "2026-01-01T00:00-0500", "2027-01-01T00:00-0500"),
        ("2026-11", "2026-11-01T00:00-0400", "2026-12-01T00:00-0500"),
        ("2026-11-01", "2026-11-01T00:00-0400", "2026-11-02T00:00-0500"),
        ("2026-W48", "2026-11-23T00:00-0500", "2026-11-30T00:00-0500"),
        ("2026-Q4", "2026-10-01T00:00-0400", "2027-01-01T00:00-0500"),
        ("2025", "2025-01-01T00:00-0500", "2026-01-01T00:00-0500"),
        ("1d", "2026-11-24T00:00-0500", "2026-11-25T00:00-0500"),
        ("30d", "2026-10-26T00:00-0400", "2026-11-25T00:00-0500"),
        ("2026-10-30..2026-11-03", "2026-10-30T00:00-0400", "2026-11-03T00:00-0500"),
        ("2026-11-01T01:30..2026-11-01T03:00", "2026-11-01T01:30-0400", "2026-11-01T03:00-0500"),
        ("2026-11-01T00:00Z..2026-11-02", "2026-10-31T20:00-0400", "2026-11-02T00:00-0500"),
        ("2026-11-20..", "2026-11-20T00:00-0500", "2026-11-25T00:00-0500"),
    ],
)
def test_a_name_is_a_period_of_the_zone(text: str, begin: str, end: str) -> None:
    assert shown(parse_period(text, NEW_YORK, NOON)) == (begin, end)


@pytest.mark.parametrize(
    "text",
    [
        *("", "tomorrow", "0d", "99999d", "-1d", "2026-13", "2026-00", "2026-W54", "2026-W00", "2026-Q5", "2026-02-30"),
        *(
            "..",
            "..2026-11-01",
            "2026-11-02..2026-11-02",
            "2026-11-03..2026-11-02",
            "2026-11-01..x",
            "2026-11-01..9999",
        ),
        *("next-month", "last-day", "1969", "0001-01-01", "9999", "٢٠٢٦-11", "2026-11\n", "this-month "),
    ],
)
def test_what_is_no_period_is_refused_with_advice(text: str) -> None:
    with pytest.raises(PeriodError, match=r"period|date"):
        parse_period(text, NEW_YORK, NOON)


@pytest.mark.parametrize(
    ("text", "begin", "end"),
    [
        ("2026-11", "2026-10-01T00:00-0400", "2026-11-01T00:00-0400"),
        ("2026-03", "2026-02-01T00:00-0500", "2026-03-01T00:00-0500"),
        ("2026-Q1", "2025-10-01T00:00-0400", "2026-01-01T00:00-0500"),
        ("2026-W01", "2025-12-22T00:00-0500", "2025-12-29T00:00-0500"),
        ("2026-11-02", "2026-11-01T00:00-0400", "2026-11-02T00:00-0500"),
        ("2026-10-30..2026-11-03", "2026-10-26T00:00-0400", "2026-10-30T00:00-0400"),
        ("2026-11-02..2026-11-04", "2026-10-31T00:00-0400", "2026-11-02T00:00-0500"),
        ("2026-11-24T08:00..2026-11-24T09:30", "2026-11-24T06:30-0500", "2026-11-24T08:00-0500"),
    ],
)
def test_the_period_before_is_of_the_calendar_or_as_long(text: str, begin: str, end: str) -> None:
    assert shown(previous(parse_period(text, NEW_YORK, NOON))) == (begin, end)


@pytest.mark.parametrize(
    ("text", "now", "end"),
    [
        ("this-month", "2026-11-24T12:00-05:00", "2026-10-24T12:00-0400"),
        ("this-month", "2026-03-31T12:00-04:00", "2026-03-01T00:00-0500"),
        ("this-month", "2026-04-08T02:30-04:00", "2026-03-08T03:30-0400"),
        ("this-week", "2026-11-24T12:00-05:00", "2026-11-17T12:00-0500"),
        ("today", "2026-11-24T12:00-05:00", "2026-11-23T12:00-0500"),
        ("7d", "2026-11-24T12:00-05:00", "2026-11-17T12:00-0500"),
        ("last-month", "2026-11-24T12:00-05:00", "2026-10-01T00:00-0400"),
    ],
)
def test_a_period_that_is_not_over_is_compared_with_as_much_of_the_one_before(text: str, now: str, end: str) -> None:
    period = parse_period(text, NEW_YORK, at(now))
    before = previous_so_far(period, at(now))
    assert shown(before)[1] == end
    assert before.start_ms == previous(period).start_ms


def test_a_period_that_has_just_begun_is_compared_with_the_first_instant_at_least() -> None:
    period = parse_period("2026-11", NEW_YORK, NOON)
    before = previous_so_far(period, period.start_ms + 1)
    assert before.end_ms - before.start_ms == 1


def test_there_is_nothing_before_1970() -> None:
    with pytest.raises(PeriodError, match="1970"):
        previous(Period(0, DAY_MS, ZoneInfo("UTC")))


@pytest.mark.parametrize("name", ["", "Mars/Olympus", "../../etc/passwd", "/etc/passwd", "UTC\0", "a" * 300])
def test_what_is_no_zone_is_refused(name: str) -> None:
    with pytest.raises(PeriodError, match="time zone"):
        zone_of(name)


@given(
    st.sampled_from(["today", "this-week", "this-month", "this-quarter", "this-year", "5d", "40d"]),
    st.sampled_from(["America/New_York", "Asia/Kolkata", "Africa/Cairo", "America/Havana", "Australia/Lord_Howe"]),
    st.integers(at("2015-01-01T00:00Z"), at("2035-01-01T00:00Z")),
)
def test_a_named_period_holds_now_and_ends_where_the_next_begins(text: str, zone: str, now_ms: int) -> None:
    period = parse_period(text, zone_of(zone), now_ms)
    assert period.start_ms <= now_ms < period.end_ms
    before = previous(period)
    assert before.end_ms == period.start_ms
    assert previous_so_far(period, now_ms).end_ms <= before.end_ms
    days = list(windows(period, WindowKind.DAY))
    assert days[0].start_ms == period.start_ms
    assert days[-1].end_ms == period.end_ms
    assert all(a.end_ms == b.start_ms for a, b in pairwise(days))
