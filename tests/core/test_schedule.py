"""Schedules: which rule holds at an instant of the organization's own time."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.events import to_ms
from services.core.schedule import BASIS_POINTS, ScheduleError, ScheduleRule, factor_at

BERLIN = ZoneInfo("Europe/Berlin")
SAMPLE = 2_500
WEEKDAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]

instants = st.integers(to_ms(datetime(2020, 1, 1, tzinfo=UTC)), to_ms(datetime(2035, 1, 1, tzinfo=UTC)))


def at(local: str, zone: ZoneInfo = BERLIN) -> int:
    return to_ms(datetime.fromisoformat(local).replace(tzinfo=zone))


def holds(when: str, at_ms: int, zone: ZoneInfo = BERLIN) -> bool:
    return factor_at([ScheduleRule(when, SAMPLE)], at_ms, zone) == SAMPLE


@pytest.mark.parametrize(
    ("when", "inside", "outside"),
    [
        ("sat,sun", "2026-11-28T00:00 2026-11-29T23:59:59.999", "2026-11-27T23:59:59.999 2026-11-30T00:00"),
        ("mon-fri", "2026-11-23T00:00 2026-11-27T23:59", "2026-11-22T23:59 2026-11-28T00:00"),
        ("fri-mon", "2026-11-27T12:00 2026-11-29T12:00 2026-11-30T12:00", "2026-11-26T12:00 2026-12-01T12:00"),
        ("mon,wed-thu", "2026-11-23T12:00 2026-11-25T12:00 2026-11-26T12:00", "2026-11-24T12:00 2026-11-27T12:00"),
        ("09:00-17:00", "2026-11-24T09:00 2026-11-24T16:59:59.999", "2026-11-24T08:59:59.999 2026-11-24T17:00"),
        ("18:00-24:00", "2026-11-24T18:00 2026-11-24T23:59", "2026-11-24T17:59 2026-11-25T00:00"),
        ("22:00-06:00", "2026-11-24T22:00 2026-11-25T05:59 2026-11-25T00:00", "2026-11-24T21:59 2026-11-25T06:00"),
        ("mon-fri 09:00-17:00", "2026-11-27T09:00", "2026-11-28T09:00 2026-11-27T17:00"),
        ("fri 22:00-06:00", "2026-11-27T22:00 2026-11-28T05:59", "2026-11-27T05:59 2026-11-28T22:00 2026-11-28T06:00"),
        ("2026-12-24..2026-12-26", "2026-12-24T00:00 2026-12-26T23:59", "2026-12-23T23:59 2026-12-27T00:00"),
        ("2026-12-31", "2026-12-31T00:00", "2026-12-30T23:59 2027-01-01T00:00"),
        ("2026-12-31 20:00-04:00", "2026-12-31T20:00 2027-01-01T03:59", "2026-12-31T03:59 2027-01-01T20:00"),
    ],
)
def test_when_is_read_in_local_time(when: str, inside: str, outside: str) -> None:
    assert all(holds(when, at(local)) for local in inside.split())
    assert not any(holds(when, at(local)) for local in outside.split())


def test_the_same_instant_is_another_day_elsewhere() -> None:
    friday_evening_ms = at("2026-11-27T23:30", ZoneInfo("UTC"))
    assert not holds("sat", friday_evening_ms, ZoneInfo("UTC"))
    assert holds("sat", friday_evening_ms, ZoneInfo("Asia/Kathmandu"))


def test_the_last_matching_rule_wins() -> None:
    rules = [ScheduleRule("sat,sun", 2_500), ScheduleRule("22:00-06:00", 5_000), ScheduleRule("2026-11-28", 0)]
    assert factor_at(rules, at("2026-11-28T23:00"), BERLIN) == 0
    assert factor_at(rules, at("2026-11-29T23:00"), BERLIN) == 5_000
    assert factor_at(rules, at("2026-11-29T12:00"), BERLIN) == 2_500
    assert factor_at(rules, at("2026-11-30T12:00"), BERLIN) == BASIS_POINTS


def test_without_rules_the_factor_is_one() -> None:
    assert factor_at([], at("2026-11-28T23:00"), BERLIN) == BASIS_POINTS


def test_a_repeated_hour_is_in_a_rule_twice_and_a_skipped_one_never() -> None:
    half_past_ms = at("2026-10-25T02:30")
    assert holds("02:00-03:00", half_past_ms)
    assert holds("02:00-03:00", half_past_ms + 3_600_000)
    before_the_gap_ms = at("2026-03-29T01:59:59")
    assert not holds("02:00-03:00", before_the_gap_ms)
    assert not holds("02:00-03:00", before_the_gap_ms + 1000)


@given(instants, st.sampled_from(WEEKDAYS), st.sampled_from(WEEKDAYS))
def test_a_range_of_days_and_the_other_days_fill_the_week(at_ms: int, first: str, last: str) -> None:
    days = WEEKDAYS[WEEKDAYS.index(first) :] + WEEKDAYS[: WEEKDAYS.index(first)]
    others = days[days.index(last) + 1 :]
    inside = holds(f"{first}-{last}", at_ms)
    assert inside != (holds(",".join(others), at_ms) if others else False)


@given(instants, st.integers(0, 23), st.integers(0, 23))
def test_hours_and_the_other_hours_fill_the_day(at_ms: int, start: int, end: int) -> None:
    if start != end:
        assert holds(f"{start:02d}:00-{end:02d}:00", at_ms) != holds(f"{end:02d}:00-{start:02d}:00", at_ms)


@pytest.mark.parametrize("when", ["", "weekend", "9-17", "25:00-26:00", "2026-02-30", "sat 10:00-10:00", "sat  10:00"])
def test_what_cannot_be_read_is_refused(when: str) -> None:
    with pytest.raises(ScheduleError):
        factor_at([ScheduleRule(when, SAMPLE)], 0, BERLIN)
