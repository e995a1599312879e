"""Money is an int of nano-dollars: how decimal dollars become one, how one is printed, and the only rounding."""

from __future__ import annotations

import re

NANOS_PER_USD = 1_000_000_000
USD_MAX = 9_000_000_000
"""The largest amount, in dollars: what fits into a signed 64-bit count of nano-dollars, with room to spare."""

COST_MAX_NANOUSD = 1_000_000 * NANOS_PER_USD
"""No single request costs so much."""

_DECIMALS = 9
_EXPONENT_MAX = 20
_AMOUNT = re.compile(r"(-?)([0-9]{1,64})(?:\.([0-9]{1,64}))?(?:[eE]([+-]?[0-9]{1,3}))?")


class MoneyError(ValueError):
    """A text that is not an exact amount of nano-dollars; the message says why and what to write."""


def parse_usd(text: str) -> int:
    """Decimal dollars to nano-dollars, exactly.

    Takes `12`, `12.5`, `-0.000000001` and `1e-07`; raises MoneyError for anything that is not a finite decimal number,
    is finer than a nano-dollar or beyond `USD_MAX`.
    """
    match = _AMOUNT.fullmatch(text)
    if match is None:
        raise MoneyError(f'{text[:40]!r} is not an amount of dollars: write a decimal number, as in "12.50"')
    sign, whole, fraction, exponent = match.groups("")
    power = int(exponent or 0)
    if abs(power) > _EXPONENT_MAX:
        raise MoneyError(f"{text[:40]!r} has an exponent beyond {_EXPONENT_MAX}: write the amount out")
    nanos = _scale(int(whole + fraction), _DECIMALS + power - len(fraction), text)
    if nanos > USD_MAX * NANOS_PER_USD:
        raise MoneyError(f"{text[:40]!r} is more than {USD_MAX} dollars")
    return -nanos if sign else nanos


def parse_cost(text: str) -> int:
    """What one request costs, in nano-dollars: as `parse_usd`, and neither negative nor a million dollars or more.

    So sums of very many fit into the 64 bits that they have in the table of charges. Raises MoneyError.
    """
    nanos = parse_usd(text)
    if nanos < 0:
        raise MoneyError(f"{text[:40]!r} is negative")
    if nanos >= COST_MAX_NANOUSD:
        raise MoneyError(f"{text[:40]!r} is a million dollars or more: no single request costs that")
    return nanos


def format_usd(nanos: int) -> str:
    """Nano-dollars as decimal dollars, exactly, with at least two decimals: `12.50`, `-0.000000001`."""
    digits = str(abs(nanos)).zfill(_DECIMALS + 1)
    return f"{'-' if nanos < 0 else ''}{digits[:-9]}.{digits[-9:-7]}{digits[-7:].rstrip('0')}"


def round_half_even(numerator: int, denominator: int) -> int:
    """The integer nearest to `numerator / denominator`, ties to the even one; exact at any size.

    Raises ZeroDivisionError when the denominator is zero.
    """
    if denominator < 0:
        numerator, denominator = -numerator, -denominator
    quotient, remainder = divmod(numerator, denominator)
    doubled = 2 * remainder
    return quotient + (doubled > denominator or (doubled == denominator and quotient & 1))


def _scale(digits: int, power: int, text: str) -> int:
    """`digits * 10**power`, which must be whole."""
    factor: int = 10 ** abs(power)
    if power >= 0:
        return digits * factor
    nanos, finer = divmod(digits, factor)
    if finer:
        raise MoneyError(f"{text[:40]!r} is finer than a nano-dollar: at most {_DECIMALS} decimals")
    return nanos
