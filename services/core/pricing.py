"""The price book: what a request costs, to the nano-dollar, at the prices of its time.

A model's prices come from the `price_list` and are compiled into integers when it is first asked for (`price_dates`,
`price_table`), so that pricing a request is exact and takes half a microsecond.
"""

from __future__ import annotations

from functools import cache, cached_property
from typing import Final, TypeVar

from services.core.price import InconsistentUsage, Price, check_counts
from services.core.price_dates import UNKNOWN, Dated, Outlook, Stretch, compile_dates, outlook_at, stretch_at
from services.core.price_list import PriceList

__all__ = ["ESTIMATE_LASTS_MS", "InconsistentUsage", "Price", "PriceBook"]

ESTIMATE_LASTS_MS: Final = 3_600_000
"""An upper bound covers prices in force up to so much earlier or later: a call ends after it was estimated."""

_MAX_CACHED: Final = 65_536

Key = tuple[str | None, str]
Value = TypeVar("Value")


class PriceBook:
    """Prices of models by provider, name and time, each model compiled when it is first asked for."""

    def __init__(self, prices: PriceList) -> None:
        self._list = prices
        self._dates: dict[Key, tuple[Dated, ...]] = {}
        self._stretches: dict[Key, Stretch] = {}
        self._outlooks: dict[Key, Outlook] = {}
        self._owners: dict[Key, str | None] = {}

    @classmethod
    def bundled(cls) -> PriceBook:
        """The prices that came with the installed genai-prices, one book for the whole process."""
        return _bundled()

    @cached_property
    def version(self) -> str:
        """Names these prices, as in `genai-prices/0.2.3+1a2b3c4d`; a charge keeps the version that it was priced by."""
        return self._list.version

    @property
    def cached(self) -> int:
        """How many names are remembered, known or not."""
        return len(self._dates)

    def price(
        self,
        provider: str | None,
        model: str,
        at_ms: int,
        *,
        input_tokens: int,
        output_tokens: int,
        cache_read_tokens: int = 0,
        cache_write_tokens: int = 0,
        reasoning_tokens: int = 0,
    ) -> Price | None:
        """The price of a request made at an instant (UTC milliseconds), or None when it is not known.

        Cached tokens are part of the input, reasoning tokens part of the output. Not known are models that the price
        list does not have, and those that are not, or not only, paid by the token classes used. Raises
        InconsistentUsage when a part is larger than its whole, or a count negative.
        """
        stretch = self._stretches.get((provider, model))
        if stretch is None or not stretch.from_ms <= at_ms < stretch.until_ms:
            stretch = self._find_stretch(provider, model, at_ms)
        table = stretch.table
        if table is None:
            check_counts(input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, reasoning_tokens)
            return None
        return table.price(input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, reasoning_tokens)

    def upper_bound(
        self, provider: str | None, model: str, at_ms: int, *, input_tokens: int, max_output_tokens: int
    ) -> int | None:
        """Nano-dollars that no request within these caps exceeds, made now or within `ESTIMATE_LASTS_MS`.

        All input counts at the dearest of the model's input prices (cache writes and tiers among them), all output at
        the dearest output price; rounded up. None when the model is unknown or not paid by tokens. Raises
        InconsistentUsage when a cap is negative.
        """
        if input_tokens < 0 or max_output_tokens < 0:
            check_counts(input_tokens, max_output_tokens)
        outlook = self._outlooks.get((provider, model))
        if outlook is None or not outlook.from_ms <= at_ms < outlook.until_ms:
            outlook = self._look_out(provider, model, at_ms)
        tables = outlook.tables
        if len(tables) == 1:
            return tables[0].ceiling(input_tokens, max_output_tokens)
        return max((table.ceiling(input_tokens, max_output_tokens) for table in tables), default=None)

    def provider_for(self, provider: str | None, model: str) -> str | None:
        """Whom to ask for a model: this provider if it has a price for it, else whose the model's name tells it is."""
        if self._compiled(provider, model) is not UNKNOWN:
            return provider
        key = provider, model
        return self._owners[key] if key in self._owners else _remember(self._owners, key, self._list.owner(model))

    def _find_stretch(self, provider: str | None, model: str, at_ms: int) -> Stretch:
        dates = self._compiled(provider, model)
        return _remember(self._stretches, (provider, model), stretch_at(dates, at_ms))

    def _look_out(self, provider: str | None, model: str, at_ms: int) -> Outlook:
        dates = self._compiled(provider, model)
        return _remember(self._outlooks, (provider, model), outlook_at(dates, at_ms, lasts_ms=ESTIMATE_LASTS_MS))

    def _compiled(self, provider: str | None, model: str) -> tuple[Dated, ...]:
        key = (provider, model)
        dates = self._dates.get(key)
        if dates is None:
            found = self._list.find(provider, model)
            dates = _remember(self._dates, key, UNKNOWN if found is None else compile_dates(found))
        return dates


@cache
def _bundled() -> PriceBook:
    return PriceBook(PriceList.bundled())


def _remember(cached: dict[Key, Value], key: Key, value: Value) -> Value:
    """Keep a compiled value; names come from outside, so what is kept is bounded."""
    if len(cached) >= _MAX_CACHED:
        cached.clear()
    cached[key] = value
    return value
