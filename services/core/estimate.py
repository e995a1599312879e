"""How much a request can cost at most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from mypy_extensions import mypyc_attr

from services.core.ask import Ask
from services.core.policy import RequestCaps
from services.core.pricing import PriceBook


@mypyc_attr(acyclic=True)
@dataclass(init=False, slots=True)
class Estimate:
    """The most that a request can cost, in nano-dollars; None when nobody knows the model's price."""

    nanousd: Final[int | None]
    max_output_tokens: Final[int]

    def __init__(self, nanousd: int | None, max_output_tokens: int) -> None:
        self.nanousd = nanousd
        self.max_output_tokens = max_output_tokens

    @property
    def at_least_nanousd(self) -> int:
        """What budgets must have room for: a request without a price costs something all the same."""
        return 1 if self.nanousd is None else self.nanousd


def estimate(ask: Ask, caps: RequestCaps, prices: PriceBook, at_ms: int) -> Estimate:
    """An upper bound: the input at its dearest price, and as many output tokens as the request may produce."""
    output = ask.max_output_tokens
    if output is None:
        output = caps.default_max_output_tokens
        if caps.max_output_tokens is not None:
            output = min(output, caps.max_output_tokens)
    bound = prices.upper_bound(ask.provider, ask.model, at_ms, input_tokens=ask.input_tokens, max_output_tokens=output)
    return Estimate(bound, output)
