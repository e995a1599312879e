"""Four independent sums of the same spending, which must be equal to the nano-dollar."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal

from genai_prices import Usage, calc_price

from services.cli.cast import Request
from services.core.money import NANOS_PER_USD


@dataclass(frozen=True, slots=True)
class Sums:
    """Nano-dollars by who added them up: we from the trace, the aggregator, ClickHouse by row and by roll-up."""

    offline: int
    balances: int
    clickhouse_raw: int
    clickhouse_rollup: int

    @property
    def equal(self) -> bool:
        """Whether all four agree exactly."""
        return len({self.offline, self.balances, self.clickhouse_raw, self.clickhouse_rollup}) == 1


def cost_nanousd(request: Request, at: datetime) -> int:
    """What genai-prices itself asks for a request, in its own decimals, rounded half-even once.

    Shares no code with the price book of the services: that is the point. Raises LookupError for a model that it does
    not know.
    """
    usage = Usage(input_tokens=request.row.input_tokens, output_tokens=request.row.output_tokens)
    priced = calc_price(usage, request.model, provider_id=request.provider, genai_request_timestamp=at)
    return int((priced.total_price * NANOS_PER_USD).quantize(Decimal(1), rounding=ROUND_HALF_EVEN))


def recompute(admitted: Iterable[Request], at: datetime) -> Iterator[int]:
    """The cost of every request that was admitted, one by one: adding them up takes a while, and may show progress."""
    for request in admitted:
        yield cost_nanousd(request, at)
