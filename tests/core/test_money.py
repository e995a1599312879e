"""Money is exact: it comes back as it was written, and is rounded as Decimal rounds."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.money import NANOS_PER_USD, USD_MAX, MoneyError, format_usd, parse_usd, round_half_even

amounts = st.integers(-USD_MAX * NANOS_PER_USD, USD_MAX * NANOS_PER_USD)


@given(amounts)
def test_printed_money_reads_back_the_same(nanos: int) -> None:
    assert parse_usd(format_usd(nanos)) == nanos


@given(amounts)
def test_money_prints_the_decimal_that_it_is(nanos: int) -> None:
    text = format_usd(nanos)
    assert Decimal(text) == Decimal(nanos).scaleb(-9)
    decimals = text.partition(".")[2]
    assert len(decimals) == 2 or (2 < len(decimals) <= 9 and not decimals.endswith("0"))


@given(st.decimals(-USD_MAX, USD_MAX, allow_nan=False, allow_infinity=False, places=9))
def test_any_decimal_to_the_nano_dollar_is_read_exactly(amount: Decimal) -> None:
    assert parse_usd(str(amount)) == int(amount.scaleb(9))


@pytest.mark.parametrize(
    ("text", "nanos"),
    [
        ("0", 0),
        ("-0", 0),
        ("12.50", 12_500_000_000),
        ("-12.5", -12_500_000_000),
        ("0.000000001", 1),
        ("1e-07", 100),
        ("2.5E+3", 2_500 * NANOS_PER_USD),
        ("1.0000000000000", NANOS_PER_USD),
        ("0007", 7 * NANOS_PER_USD),
        ("9000000000", USD_MAX * NANOS_PER_USD),
    ],
)
def test_people_write_money_in_many_ways(text: str, nanos: int) -> None:
    assert parse_usd(text) == nanos


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "not an amount"),
        (" 1", "not an amount"),
        ("1 ", "not an amount"),
        ("1\n", "not an amount"),
        ("+1", "not an amount"),
        (".5", "not an amount"),
        ("5.", "not an amount"),
        ("1,50", "not an amount"),
        ("1_000", "not an amount"),
        ("$1", "not an amount"),
        ("NaN", "not an amount"),
        ("-Infinity", "not an amount"),
        ("0x10", "not an amount"),
        ("\u0661", "not an amount"),  # a digit, but an Arabic one
        ("1e999999999", "not an amount"),
        ("9" * 1000, "not an amount"),
        ("1e21", "exponent"),
        ("0.0000000001", "finer than a nano-dollar"),
        ("1e-10", "finer than a nano-dollar"),
        ("9000000000.000000001", "more than"),
        ("-9000000001", "more than"),
    ],
)
def test_what_is_not_exact_money_is_refused_with_the_reason(text: str, why: str) -> None:
    with pytest.raises(MoneyError, match=why):
        parse_usd(text)


@given(st.integers(-(10**30), 10**30), st.integers(-(10**12), 10**12).filter(bool))
def test_rounding_is_decimals_half_even(numerator: int, denominator: int) -> None:
    with localcontext() as exact:
        exact.prec = 80
        expected = (Decimal(numerator) / Decimal(denominator)).quantize(Decimal(1), ROUND_HALF_EVEN)
    assert round_half_even(numerator, denominator) == expected


@given(st.integers(-(10**20), 10**20), st.integers(1, 10**9))
def test_ties_go_to_the_even_neighbour(floor: int, half: int) -> None:
    rounded = round_half_even((2 * floor + 1) * half, 2 * half)
    assert rounded in (floor, floor + 1)
    assert rounded % 2 == 0


def test_nothing_is_divided_by_zero() -> None:
    with pytest.raises(ZeroDivisionError):
        round_half_even(1, 0)
