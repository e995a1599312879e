"""Windows tile time: every instant is in one window of each kind, through every change of the clocks."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.core.events import from_ms, to_ms
from services.core.wallclock import midnight_s
from services.core.window import LAST_MS, TOTAL, Window, WindowError, WindowKind, window_at, window_of_label

DAY_MS = 86_400_000
HOUR_MS = 3_600_000

ZONES = (
    "UTC",
    "America/New_York",
    "Europe/Berlin",
    "Europe/London",
    "Australia/Sydney",  # DST over new year
    "America/Santiago",  # southern, and the gap is at midnight
    "America/Sao_Paulo",  # until 2019: the gap at midnight
    "Asia/Beirut",  # the gap at midnight
    "Africa/Cairo",  # the gap at midnight
    "America/Havana",  # midnight strikes twice
    "America/St_Johns",  # until 2011 clocks went back over midnight, at 00:01; a half-hour zone
    "Australia/Lord_Howe",  # DST of half an hour
    "Asia/Kolkata",
    "Asia/Kathmandu",  # a quarter hour
    "Pacific/Chatham",  # a quarter hour, and DST
    "Pacific/Apia",  # skipped a whole day
    "Pacific/Kiritimati",
    "Africa/Casablanca",  # DST the other way round, by the moon
    "Europe/Dublin",  # standard time in summer
    "Antarctica/Troll",  # DST of two hours
)
KINDS = [kind for kind in WindowKind if kind is not WindowKind.TOTAL]
LIMITED = [kind for kind in KINDS if kind not in (WindowKind.MINUTE, WindowKind.HOUR)]

zones = st.sampled_from(ZONES).map(ZoneInfo)
years_2000_to_2100 = st.integers(to_ms(datetime(2000, 1, 1, tzinfo=UTC)), to_ms(datetime(2101, 1, 1, tzinfo=UTC)) - 1)


def transitions(zone: ZoneInfo, first_year: int = 1995, last_year: int = 2030) -> list[int]:
    """The instants at which the zone changes its offset."""
    found = []
    days = range(to_ms(datetime(first_year, 1, 1, tzinfo=UTC)), to_ms(datetime(last_year, 1, 1, tzinfo=UTC)), DAY_MS)
    for low_ms, high_ms in pairwise(days):
        low_s, high_s = low_ms // 1000, high_ms // 1000
        if offset(low_s, zone) == offset(high_s, zone):
            continue
        while high_s - low_s > 1:
            middle_s = (low_s + high_s) // 2
            low_s, high_s = (middle_s, high_s) if offset(middle_s, zone) == offset(low_s, zone) else (low_s, middle_s)
        found.append(high_s * 1000)
    return found


def offset(second: int, zone: ZoneInfo) -> timedelta | None:
    return datetime.fromtimestamp(second, zone).utcoffset()


TRANSITIONS = {name: transitions(ZoneInfo(name)) for name in ZONES}


@st.composite
def near_a_change_of_clocks(draw: st.DrawFn) -> tuple[ZoneInfo, int]:
    name = draw(st.sampled_from([name for name in ZONES if TRANSITIONS[name]]))
    change_ms = draw(st.sampled_from(TRANSITIONS[name]))
    near, far = st.integers(-HOUR_MS, HOUR_MS), st.integers(-2 * DAY_MS, 2 * DAY_MS)
    distance_ms = draw(st.sampled_from([-1, 0, 1]) | near | far)
    return ZoneInfo(name), change_ms + distance_ms


anywhere = st.one_of(st.tuples(zones, years_2000_to_2100), near_a_change_of_clocks())


def end_of(window: Window) -> int:
    assert window.end_ms is not None
    return window.end_ms


@given(anywhere, st.sampled_from(KINDS))
@example((ZoneInfo("America/Sao_Paulo"), to_ms(datetime(2018, 11, 4, 3, 0, tzinfo=UTC))), WindowKind.DAY)
@example((ZoneInfo("America/St_Johns"), to_ms(datetime(2010, 11, 7, 3, 0, tzinfo=UTC))), WindowKind.DAY)
@example((ZoneInfo("America/St_Johns"), to_ms(datetime(2010, 11, 7, 2, 30, tzinfo=UTC))), WindowKind.HOUR)
@example((ZoneInfo("Pacific/Apia"), to_ms(datetime(2011, 12, 30, 10, 0, tzinfo=UTC))), WindowKind.DAY)
def test_an_instant_is_in_its_window_and_no_other(where: tuple[ZoneInfo, int], kind: WindowKind) -> None:
    zone, at_ms = where
    window = window_at(kind, at_ms, zone)
    assert window.start_ms <= at_ms < end_of(window)
    # Both ends belong to the same window, their outer neighbours to others: windows tile without gap or overlap.
    assert window_at(kind, window.start_ms, zone) == window
    assert window_at(kind, end_of(window) - 1, zone) == window
    following, preceding = window_at(kind, end_of(window), zone), window_at(kind, window.start_ms - 1, zone)
    assert following.start_ms == window.end_ms
    assert preceding.end_ms == window.start_ms
    assert len({window.label, following.label, preceding.label}) == 3


@given(anywhere, st.sampled_from(list(WindowKind)))
def test_a_label_gives_its_window_back(where: tuple[ZoneInfo, int], kind: WindowKind) -> None:
    zone, at_ms = where
    window = window_at(kind, at_ms, zone)
    assert window_of_label(window.label, zone) == window


@given(anywhere, st.sampled_from(KINDS))
def test_windows_of_one_kind_are_about_as_long_as_their_name_says(
    where: tuple[ZoneInfo, int], kind: WindowKind
) -> None:
    zone, at_ms = where
    window = window_at(kind, at_ms, zone)
    longest = {"minute": 1 / 1440, "hour": 1 / 24, "day": 1, "week": 7, "month": 31, "quarter": 92, "year": 366}
    slack_ms = 0 if kind in (WindowKind.MINUTE, WindowKind.HOUR) else 3 * HOUR_MS
    assert 0 < end_of(window) - window.start_ms <= longest[kind] * DAY_MS + slack_ms


@given(anywhere)
def test_the_local_date_decides_except_where_clocks_went_back_over_midnight(where: tuple[ZoneInfo, int]) -> None:
    zone, at_ms = where
    day = window_at(WindowKind.DAY, at_ms, zone).label.removeprefix("day:")
    local = datetime.fromtimestamp(at_ms // 1000, zone).date()
    assert date.fromisoformat(day) - local in (
        timedelta(),
        timedelta(days=1) if zone.key == "America/St_Johns" else timedelta(),
    )


@given(anywhere, st.sampled_from(LIMITED))
def test_longer_windows_are_made_of_whole_days(where: tuple[ZoneInfo, int], kind: WindowKind) -> None:
    zone, at_ms = where
    window = window_at(kind, at_ms, zone)
    assert window_at(WindowKind.DAY, window.start_ms, zone).start_ms == window.start_ms
    assert window_at(WindowKind.DAY, end_of(window), zone).start_ms == window.end_ms


@given(years_2000_to_2100, st.sampled_from(LIMITED))
def test_in_utc_windows_are_those_of_the_calendar(at_ms: int, kind: WindowKind) -> None:
    moment = from_ms(at_ms)
    iso = moment.isocalendar()
    expected = {
        WindowKind.DAY: moment.strftime("day:%Y-%m-%d"),
        WindowKind.WEEK: f"week:{iso.year}-W{iso.week:02d}",
        WindowKind.MONTH: moment.strftime("month:%Y-%m"),
        WindowKind.QUARTER: f"quarter:{moment.year}-Q{-(-moment.month // 3)}",
        WindowKind.YEAR: moment.strftime("year:%Y"),
    }
    assert window_at(kind, at_ms, ZoneInfo("UTC")).label == expected[kind]


def test_a_century_of_months_has_no_gap() -> None:
    zone = ZoneInfo("America/New_York")
    at_ms = to_ms(datetime(2000, 1, 1, 5, tzinfo=UTC))
    labels = []
    while at_ms < to_ms(datetime(2100, 1, 1, 5, tzinfo=UTC)):
        month = window_at(WindowKind.MONTH, at_ms, zone)
        assert month.start_ms == at_ms
        labels.append(month.label)
        at_ms = end_of(month)
    assert labels == [f"month:{year}-{month:02d}" for year in range(2000, 2100) for month in range(1, 13)]


@pytest.mark.parametrize(
    ("zone", "label", "start", "end"),
    [
        # The longest and the shortest day of New York.
        ("America/New_York", "day:2026-11-01", "2026-11-01T04:00:00Z", "2026-11-02T05:00:00Z"),
        ("America/New_York", "day:2026-03-08", "2026-03-08T05:00:00Z", "2026-03-09T04:00:00Z"),
        # Midnight is skipped: the day begins at 01:00, at the instant at which midnight would have been.
        ("America/Sao_Paulo", "day:2018-11-04", "2018-11-04T03:00:00Z", "2018-11-05T02:00:00Z"),
        ("Asia/Beirut", "day:2024-03-31", "2024-03-30T22:00:00Z", "2024-03-31T21:00:00Z"),
        # Midnight strikes twice: the first counts.
        ("America/Havana", "day:2026-11-01", "2026-11-01T04:00:00Z", "2026-11-02T05:00:00Z"),
        # At 00:01 the clocks went back to 23:01: the day had begun.
        ("America/St_Johns", "day:2010-11-07", "2010-11-07T02:30:00Z", "2010-11-08T03:30:00Z"),
        ("America/St_Johns", "day:2010-11-06", "2010-11-06T02:30:00Z", "2010-11-07T02:30:00Z"),
        # Samoa crossed the date line: the 29th is followed by the 31st.
        ("Pacific/Apia", "day:2011-12-29", "2011-12-29T10:00:00Z", "2011-12-30T10:00:00Z"),
        ("Pacific/Apia", "day:2011-12-31", "2011-12-30T10:00:00Z", "2011-12-31T10:00:00Z"),
        # The gap was from 23:30 to 00:30.
        ("America/Toronto", "day:1919-03-31", "1919-03-31T04:30:00Z", "1919-04-01T04:00:00Z"),
        # ISO weeks at the ends of years.
        ("UTC", "week:2020-W53", "2020-12-28T00:00:00Z", "2021-01-04T00:00:00Z"),
        ("UTC", "week:2026-W01", "2025-12-29T00:00:00Z", "2026-01-05T00:00:00Z"),
        # Leap years: 2000 is one, 2100 is not.
        ("UTC", "month:2000-02", "2000-02-01T00:00:00Z", "2000-03-01T00:00:00Z"),
        ("UTC", "month:2100-02", "2100-02-01T00:00:00Z", "2100-03-01T00:00:00Z"),
        ("Australia/Sydney", "quarter:2026-Q4", "2026-09-30T14:00:00Z", "2026-12-31T13:00:00Z"),
        ("Asia/Kathmandu", "year:2026", "2025-12-31T18:15:00Z", "2026-12-31T18:15:00Z"),
        # The repeated hour is two windows.
        ("America/New_York", "hour:2026-11-01T01:00-04:00", "2026-11-01T05:00:00Z", "2026-11-01T06:00:00Z"),
        ("America/New_York", "hour:2026-11-01T01:00-05:00", "2026-11-01T06:00:00Z", "2026-11-01T07:00:00Z"),
        # Half an hour repeated: a whole window, then half a one.
        ("Australia/Lord_Howe", "hour:2026-04-05T01:00+11:00", "2026-04-04T14:00:00Z", "2026-04-04T15:00:00Z"),
        ("Australia/Lord_Howe", "hour:2026-04-05T01:00+10:30", "2026-04-04T15:00:00Z", "2026-04-04T15:30:00Z"),
        ("Asia/Kolkata", "minute:2026-11-24T13:05+05:30", "2026-11-24T07:35:00Z", "2026-11-24T07:36:00Z"),
        ("UTC", "minute:2026-11-24T13:05+00:00", "2026-11-24T13:05:00Z", "2026-11-24T13:06:00Z"),
        # An offset with seconds.
        ("Africa/Monrovia", "hour:1971-06-01T00:00-00:44:30", "1971-06-01T00:44:30Z", "1971-06-01T01:44:30Z"),
    ],
)
def test_well_known_windows(zone: str, label: str, start: str, end: str) -> None:
    window = window_of_label(label, ZoneInfo(zone))
    assert from_ms(window.start_ms) == datetime.fromisoformat(start)
    assert from_ms(end_of(window)) == datetime.fromisoformat(end)


def test_milliseconds_are_exact_at_the_edge_of_a_window() -> None:
    midnight_ms = to_ms(datetime(2100, 1, 1, tzinfo=UTC))
    assert window_at(WindowKind.YEAR, midnight_ms - 1, ZoneInfo("UTC")).label == "year:2099"
    assert window_at(WindowKind.YEAR, midnight_ms, ZoneInfo("UTC")).label == "year:2100"


def test_the_total_never_ends() -> None:
    assert window_at(WindowKind.TOTAL, 0, ZoneInfo("UTC")) is TOTAL
    assert TOTAL.end_ms is None


@pytest.mark.parametrize("at_ms", [-1, LAST_MS, 1 << 62, -(1 << 62)])
@pytest.mark.parametrize("kind", list(WindowKind))
def test_time_outside_of_the_calendar_has_no_window(kind: WindowKind, at_ms: int) -> None:
    with pytest.raises(WindowError):
        window_at(kind, at_ms, ZoneInfo("UTC"))


@pytest.mark.parametrize("kind", list(WindowKind))
@pytest.mark.parametrize("zone", ZONES)
def test_the_first_and_the_last_instant_have_windows(kind: WindowKind, zone: str) -> None:
    for at_ms in (0, LAST_MS - 1):
        window = window_at(kind, at_ms, ZoneInfo(zone))
        assert window_of_label(window.label, ZoneInfo(zone)) == window


@pytest.mark.parametrize(
    "label",
    [
        "",
        "day",
        "day:",
        "month:2026-13",
        "month:2026-1",
        "day:2026-02-29",
        "day:20261124",
        "day:2026-W48-2",
        "week:2026-W54",
        "week:2025-W53",
        "week:2026-48",
        "quarter:2026-Q5",
        "quarter:2026-Q0",
        "quarter:26-Q1",
        "year:0000",
        "year:9999",
        "year:2026-01",
        "fortnight:2026-01",
        "total:2026",
        "hour:2026-11-24T13:00",
        "hour:2026-11-24T13:05+00:00",
        "hour:2026-11-24T13:00Z",
        "minute:2026-11-24T13:05:30+00:00",
        "minute:2026-11-24T13:05+01:00",
        "\N{ARABIC-INDIC DIGIT TWO}",
    ],
)
def test_what_is_not_a_label_is_refused(label: str) -> None:
    with pytest.raises(WindowError):
        window_of_label(label, ZoneInfo("UTC"))


@pytest.mark.parametrize(
    ("zone", "label"),
    [
        ("Pacific/Apia", "day:2011-12-30"),
        ("America/New_York", "hour:2026-03-08T02:00-05:00"),
        ("America/New_York", "hour:2026-03-08T02:00-04:00"),
        ("America/New_York", "minute:2026-03-08T02:30-04:00"),
    ],
)
def test_a_period_that_clocks_skipped_has_no_window(zone: str, label: str) -> None:
    with pytest.raises(WindowError, match="skipped"):
        window_of_label(label, ZoneInfo(zone))


@given(zones, st.dates(date(1970, 1, 2), date(2100, 1, 1)))
def test_clocks_show_a_day_from_its_first_midnight_on(zone: ZoneInfo, day: date) -> None:
    struck_s = midnight_s(day, zone)
    assert datetime.fromtimestamp(struck_s, zone).date() >= day
    assert datetime.fromtimestamp(struck_s - 1, zone).date() < day
