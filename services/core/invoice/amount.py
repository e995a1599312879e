"""Amounts of an invoice, exactly: providers write more decimals than money has, and floats never hold any."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Final

from services.core.money import NANOS_PER_USD, round_half_even

LARGEST_DIGITS: Final = 10
DIGITS_MAX: Final = 40


class AmountError(ValueError):
    """It is no amount of money; the message says why."""


def nanousd(value: str | int | Decimal, *, unit_nanousd: int = NANOS_PER_USD) -> int:
    """Nano-dollars of an amount in dollars, or in another unit such as a cent; rounded half-even, once.

    Raises AmountError for what is no finite number, or too large to be meant.
    """
    text = str(value).strip().removeprefix("$").replace(",", "")
    if len(text) > DIGITS_MAX:
        raise AmountError(f"{text[:DIGITS_MAX]}... has too many digits")
    try:
        amount = Decimal(text)
    except InvalidOperation as error:
        raise AmountError(f"{text!r} is no amount: write 12.50") from error
    # By its digits first: computing with an exponent of a million takes for ever.
    if amount == 0:
        return 0
    if not amount.is_finite() or not -DIGITS_MAX <= amount.adjusted() <= LARGEST_DIGITS:
        raise AmountError(f"{text!r} is not an amount that anybody pays")
    numerator, denominator = (amount * unit_nanousd).as_integer_ratio()
    return round_half_even(numerator, denominator)
