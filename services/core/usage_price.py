"""What a usage costs: as the provider stated, else by the price book. The ledger and the enforcers ask the same."""

from __future__ import annotations

from services.core.events import Usage
from services.core.money import parse_cost
from services.core.pricing import Price, PriceBook


def price_usage(usage: Usage, prices: PriceBook, at_ms: int) -> Price | None:
    """The price of a usage at its own time (UTC milliseconds); None while it is unpriced.

    A stated cost has no parts by token class. Raises `MoneyError` or `InconsistentUsage` for what cannot be counted.
    """
    if usage.cost_usd is not None:
        return Price(parse_cost(usage.cost_usd), 0, 0, 0, 0)
    if usage.input_tokens is None or usage.output_tokens is None:
        return None
    return prices.price(
        usage.provider,
        usage.model,
        at_ms,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=usage.cache_read_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        reasoning_tokens=usage.reasoning_tokens,
    )
