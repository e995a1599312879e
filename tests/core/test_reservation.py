"""Reservation ids round-trip, and nothing else passes for one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.reservation import ENFORCER_NAME, ReservationId, base36
from services.core.window import LAST_MS

ENFORCERS = st.from_regex(ENFORCER_NAME, fullmatch=True)
MOMENTS = st.integers(0, 36**9 - 1)
SERIALS = st.integers(0, 36**12 - 1)


@given(ENFORCERS, MOMENTS, SERIALS)
def test_what_is_written_is_read_back(enforcer: str, at_ms: int, serial: int) -> None:
    reservation = ReservationId(enforcer, at_ms, serial)
    assert ReservationId.parse(str(reservation)) == reservation


@given(st.text() | st.from_regex(r"rsv-[a-z0-9-]{1,70}-[0-9a-z]{1,12}-[0-9a-z]{1,14}", fullmatch=True))
def test_every_text_is_refused_or_is_the_one_spelling_of_its_id(text: str) -> None:
    reservation = ReservationId.parse(text)
    assert reservation is None or str(reservation) == text


@given(st.integers(0, 10**30))
def test_base_36_is_what_python_reads(number: int) -> None:
    text = base36(number)
    assert int(text, 36) == number
    assert text == "0" or not text.startswith("0")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "rsv",
        "rsv-a-1",
        "rsv-a-01-1",
        "rsv-a-1-A",
        "rsv-A-1-1",
        "rsv--a-1-1",
        "rsv-a-1-1 ",
        "xrsv-a-1-1",
        "rsv-a-1_0-1",
    ],
)
def test_other_spellings_are_no_ids(text: str) -> None:
    assert ReservationId.parse(text) is None


def test_an_enforcer_with_dashes_keeps_its_name() -> None:
    assert ReservationId.parse("rsv-eu-west-1-m7-2") == ReservationId("eu-west-1", int("m7", 36), 2)


def test_no_id_names_a_time_beyond_the_calendar() -> None:
    assert ReservationId("a", 36**9 - 1, 0).reserved_at_ms < LAST_MS
    assert ReservationId.parse(str(ReservationId("a", 36**9, 0))) is None
