"""Figures are written for the eye: rounded by what they are, never to a lie."""

from __future__ import annotations

from datetime import date
from zoneinfo import ZoneInfo

import pytest

from services.console import words
from tests.console.boards import NOW_MS, USD


@pytest.mark.parametrize(
    ("nanousd", "text"),
    [
        (None, words.MISSING),
        (0, "$0.00"),
        (1, "$0.000000001"),
        (12_300, "$0.000012300"),
        (123_456_789, "$0.1235"),
        (999_999_999, "$1.0000"),
        (USD, "$1.00"),
        (1_234_567_891_234_567, "$1,234,567.89"),
        (-5 * USD, "\N{MINUS SIGN}$5.00"),
    ],
)
def test_money(nanousd: int | None, text: str) -> None:
    assert words.money(nanousd) == text


def test_a_sum_without_some_prices_is_at_least_that() -> None:
    assert words.money(5 * USD, unpriced=2) == "≥ $5.00"


@pytest.mark.parametrize(
    ("nanousd", "text"),
    [(90 * USD, "$90"), (26_000 * USD, "$26,000"), (USD // 2, "$0.50"), (1_000_001, "$0.001000001")],
)
def test_a_limit_is_never_rounded(nanousd: int, text: str) -> None:
    assert words.limit(nanousd) == text


def test_an_exact_amount_keeps_every_digit() -> None:
    assert words.dollars("-16410.220000001") == "\N{MINUS SIGN}$16,410.220000001"
    assert words.dollars("0.00") == "$0.00"
    assert words.dollars(None) == words.MISSING


@pytest.mark.parametrize(
    ("basis_points", "text"), [(9_999, "100.0%"), (0, "0.0%"), (10_000, "100%"), (123_456, "1,234%")]
)
def test_shares(basis_points: int, text: str) -> None:
    assert words.percent(basis_points) == text


def test_a_chance_is_never_certain() -> None:
    assert [words.chance(each) for each in (0.0, 0.005, 0.5, 0.995, 1.0)] == ["< 1%", "< 1%", "50%", "> 99%", "> 99%"]


def test_times_are_those_of_the_organization() -> None:
    assert words.clock(NOW_MS, ZoneInfo("America/New_York")) == "17 Nov, 10:30:20"
    assert words.stamp(NOW_MS) == "2026-11-17T15:30:20.000Z"


@pytest.mark.parametrize(
    ("label", "text"),
    [
        ("month:2026-11", "Nov 2026"),
        ("day:2026-11-05", "5 Nov"),
        ("hour:2026-11-17T10:00-05:00", "17 Nov, 10:00"),
        ("week:2026-W47", "2026 W47"),
        ("quarter:2026-Q4", "2026 Q4"),
        ("year:2026", "2026"),
        ("total", "all time"),
    ],
)
def test_windows(label: str, text: str) -> None:
    assert words.period(label) == text


def test_a_day() -> None:
    assert words.day(date(2026, 11, 5)) == "5 Nov"
