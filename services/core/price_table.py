"""One set of prices as integers, so that pricing a request is a few multiplications and exact.

Source: genai-prices (`genai_prices.types.ModelPrice`): dollars per million tokens, dearer above a threshold of input
tokens where a model has tiers (then *all* tokens are at the tier's price), and a fee for each request.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from itertools import accumulate
from math import lcm
from typing import Final

from genai_prices.types import ModelPrice, TieredPrices
from mypy_extensions import mypyc_attr

from services.core.money import NANOS_PER_USD
from services.core.price import Price, check_counts

Quote = Decimal | TieredPrices

_TOKENS: Final = 1_000_000
_REQUESTS: Final = 1_000
_PICO: Final = 1_000


@mypyc_attr(acyclic=True)
@dataclass(frozen=True, slots=True)
class Rates:
    """Prices per token in a table's units, for requests of more than `above` input tokens.

    No `output` price: the model makes no output tokens (embeddings). `reasoning` is what a reasoning token costs on top
    of an output token, which it is too; it may be negative. `dearest_input` and `dearest_output` are what a token can
    cost at most, here and below `above`.
    """

    above: int
    input: int
    cache_read: int
    cache_write: int
    output: int | None
    reasoning: int
    dearest_input: int
    dearest_output: int


@mypyc_attr(acyclic=True)
@dataclass(frozen=True, slots=True)
class PriceTable:
    """A model's prices at one time. `unit` of them are a nano-dollar: 1,000, so pico-dollars, unless some are finer.

    `fee`: what a request costs beside its tokens; `fee_rounded`: half a nano-dollar more. `base`: the rates below all
    thresholds of input tokens; `tiers`: those above one, the highest first.
    """

    unit: int
    fee: int
    fee_rounded: int
    base: Rates
    tiers: tuple[Rates, ...] = ()

    def price(
        self,
        input_tokens: int,
        output_tokens: int,
        cache_read_tokens: int,
        cache_write_tokens: int,
        reasoning_tokens: int,
    ) -> Price | None:
        """The price of a request; None if it has output tokens and the model has no price for them.

        Raises InconsistentUsage as `check_counts` does.
        """
        fresh_tokens = input_tokens - cache_read_tokens - cache_write_tokens
        if (
            fresh_tokens < 0
            or cache_read_tokens < 0
            or cache_write_tokens < 0
            or not 0 <= reasoning_tokens <= output_tokens
        ):
            check_counts(input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, reasoning_tokens)
        rates = self.rates_for(input_tokens) if self.tiers else self.base
        # Each class gets what it adds to the rounded running sum, so that the classes add up to the rounded total. Sums
        # begin half a nano-dollar up: rounding down then rounds to the nearest. No rest means a tie, and then the even
        # neighbour is the one without its last bit.
        unit = self.unit
        exact = self.fee_rounded + fresh_tokens * rates.input
        nearest, rest = divmod(exact, unit)
        after_input = after_read = after_write = nearest if rest else nearest & ~1
        if cache_read_tokens:
            exact += cache_read_tokens * rates.cache_read
            nearest, rest = divmod(exact, unit)
            after_read = after_write = nearest if rest else nearest & ~1
        if cache_write_tokens:
            exact += cache_write_tokens * rates.cache_write
            nearest, rest = divmod(exact, unit)
            after_write = nearest if rest else nearest & ~1
        total = after_write
        if output_tokens:
            if rates.output is None:
                return None
            nearest, rest = divmod(exact + output_tokens * rates.output + reasoning_tokens * rates.reasoning, unit)
            total = nearest if rest else nearest & ~1
        return Price(total, after_input, after_read - after_input, after_write - after_read, total - after_write)

    def rates_for(self, input_tokens: int) -> Rates:
        """The rates of a request with so many input tokens, cached ones among them."""
        for rates in self.tiers:
            if input_tokens > rates.above:
                return rates
        return self.base

    def ceiling(self, input_tokens: int, output_tokens: int) -> int:
        """Nano-dollars, rounded up, that no request within these caps exceeds, whatever classes its tokens are of."""
        rates = self.rates_for(input_tokens)
        exact = self.fee + input_tokens * rates.dearest_input + output_tokens * rates.dearest_output
        return -(-exact // self.unit)


def compile_prices(prices: ModelPrice) -> PriceTable | None:
    """The table of a set of prices; None when tokens do not tell the cost (priced by the page, the hour, the image).

    A model that is listed without any price is free, which is how genai-prices writes it.
    """
    quotes: dict[str, Quote] = {name: quote for name, quote in vars(prices).items() if quote is not None}
    if quotes and "input_mtok" not in quotes:
        return None
    steps = sorted({tier.start for quote in quotes.values() if isinstance(quote, TieredPrices) for tier in quote.tiers})
    fee = _at(quotes.get("requests_kcount"), 0, _REQUESTS) or Fraction()
    rows = [_row(quotes, step) for step in (-1, *steps)]
    unit = lcm(_PICO, fee.denominator, *[rate.denominator for row in rows for rate in row if rate is not None])
    base, *tiers = accumulate(
        [_rates(row, step, unit) for row, step in zip(rows, (-1, *steps), strict=True)], _dearest_so_far
    )
    fee_units = (fee * unit).numerator
    return PriceTable(unit, fee_units, fee_units + unit // 2, base, tuple(reversed(tiers)))


Row = tuple[Fraction, Fraction, Fraction, Fraction | None, Fraction]


def _row(quotes: dict[str, Quote], step: int) -> Row:
    """Nano-dollars per token of each class just above a threshold; a class without a price is at its parent's."""
    missing_output = None if quotes else Fraction()
    input_rate = _at(quotes.get("input_mtok"), step, _TOKENS) or Fraction()
    cache_read = _at(quotes.get("cache_read_mtok"), step, _TOKENS)
    cache_write = _at(quotes.get("cache_write_mtok"), step, _TOKENS)
    output = _at(quotes.get("output_mtok"), step, _TOKENS)
    reasoning = _at(quotes.get("output_reasoning_mtok"), step, _TOKENS)
    return (
        input_rate,
        input_rate if cache_read is None else cache_read,
        input_rate if cache_write is None else cache_write,
        missing_output if output is None else output,
        Fraction() if reasoning is None else reasoning - (output or 0),
    )


def _rates(row: Row, step: int, unit: int) -> Rates:
    rates = [0 if rate is None else (rate * unit).numerator for rate in row]
    input_rate, cache_read, cache_write, output, reasoning = rates
    return Rates(
        above=step,
        input=input_rate,
        cache_read=cache_read,
        cache_write=cache_write,
        output=None if row[3] is None else output,
        reasoning=reasoning,
        dearest_input=max(input_rate, cache_read, cache_write),
        dearest_output=output + max(reasoning, 0),
    )


def _dearest_so_far(below: Rates, rates: Rates) -> Rates:
    return replace(
        rates,
        dearest_input=max(below.dearest_input, rates.dearest_input),
        dearest_output=max(below.dearest_output, rates.dearest_output),
    )


def _at(quote: Quote | None, step: int, per: int) -> Fraction | None:
    """Nano-dollars for one of what the quote counts, for requests just above a threshold of input tokens."""
    if quote is None:
        return None
    if isinstance(quote, TieredPrices):
        quote = next((tier.price for tier in reversed(quote.tiers) if step >= tier.start), quote.base)
    return Fraction(quote) * NANOS_PER_USD / per
