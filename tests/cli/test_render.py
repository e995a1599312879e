"""Amounts for people: rounded half-even from integers, never through a float."""

from __future__ import annotations

import pytest

from services.cli.render import BAR_CELLS, bar, dollars, exact_dollars, milliseconds, percent


@pytest.mark.parametrize(
    ("nanos", "places", "text"),
    [
        (0, 2, "$0.00"),
        (1_234_567_891_000, 2, "$1,234.57"),
        (5_000_000, 2, "$0.00"),
        (15_000_000, 2, "$0.02"),
        (-12_500_000_000, 2, "-$12.50"),
        (-1, 2, "$0.00"),
        (123_456_789, 4, "$0.1235"),
        (999_999_999, 0, "$1"),
    ],
)
def test_dollars(nanos: int, places: int, text: str) -> None:
    assert dollars(nanos, places=places) == text


def test_what_is_not_priced_yet_shows() -> None:
    assert dollars(10**9, unpriced=3) == "≥ $1.00"


def test_exact_dollars_have_every_nano_dollar() -> None:
    assert exact_dollars(98_666_600_000_001) == "$98,666.600000001"


@pytest.mark.parametrize(("basis_points", "full"), [(0, 0), (5_000, 6), (9_999, 11), (10_000, 12), (25_000, 12)])
def test_a_bar_is_never_longer_than_its_cells(basis_points: int, full: int) -> None:
    assert bar(basis_points).plain == "█" * full + "░" * (BAR_CELLS - full)


@pytest.mark.parametrize(("value", "text"), [(0.123, "0.12 ms"), (41.4, "41 ms"), (1900, "1.9 s")])
def test_milliseconds(value: float, text: str) -> None:
    assert milliseconds(value) == text


@pytest.mark.parametrize(
    ("basis_points", "text"), [(0, "0.0%"), (8_755, "87.5%"), (9_999, "99.9%"), (13_260, "132.6%")]
)
def test_a_budget_that_is_not_full_never_says_so(basis_points: int, text: str) -> None:
    assert percent(basis_points) == text
