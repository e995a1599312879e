"""How a counted event becomes a charge: the row that ClickHouse keeps."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from services.core.events import (
    Correction,
    Dimensions,
    Expiry,
    ReservationExpired,
    Usage,
    UsageCorrected,
    UsageRecorded,
)
from services.core.outcomes import Charge
from services.core.pricing import Price


class Place(Struct, frozen=True, gc=False):
    """Where in the ledger a charge's event stands, the charge's own number, and the ledger's clock."""

    partition: int
    offset: int
    index: int
    sequence: int
    clock_ms: int

    @property
    def charge(self) -> str:
        """The charge's id."""
        return f"{self.partition}-{self.offset}-{self.index}"


def charge_usage(event: UsageRecorded, at_ms: int, price: Price | None, price_version: str, place: Place) -> Charge:
    """The charge of a request, in the windows of `at_ms`; without a price it is unpriced."""
    usage = event.data
    return Charge(
        charge=place.charge,
        sequence=place.sequence,
        kind="usage",
        organization=usage.organization,
        project=usage.project,
        team=usage.team,
        user=usage.user,
        provider=usage.provider,
        model=usage.model,
        tags=usage.tags,
        status=usage.status,
        cost_nanousd=None if price is None else price.total_nanousd,
        unpriced=1 if price is None else 0,
        input_tokens=usage.input_tokens or 0,
        output_tokens=usage.output_tokens or 0,
        cache_read_tokens=usage.cache_read_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        reasoning_tokens=usage.reasoning_tokens,
        input_cost_nanousd=0 if price is None else price.input_nanousd,
        cache_read_cost_nanousd=0 if price is None else price.cache_read_nanousd,
        cache_write_cost_nanousd=0 if price is None else price.cache_write_nanousd,
        output_cost_nanousd=0 if price is None else price.output_nanousd,
        price_version=price_version,
        charged_at_ms=at_ms,
        recorded_at_ms=place.clock_ms,
        latency_ms=usage.latency_ms,
        streaming=usage.streaming,
        request_id=usage.request_id,
        reservation=usage.reservation,
        source=event.source,
        event_id=event.id,
        ledger_partition=place.partition,
        ledger_offset=place.offset,
        ledger_index=place.index,
    )


def charge_difference(
    kind: Literal["unconfirmed", "adjustment", "correction"],
    event: UsageRecorded | ReservationExpired | UsageCorrected,
    whose: Dimensions,
    at_ms: int,
    amount_nanousd: int,
    unconfirmed_nanousd: int,
    price_version: str,
    place: Place,
) -> Charge:
    """The charge of an estimate or of a difference: an amount, without costs by token class."""
    data = event.data
    usage = data if isinstance(data, Usage) else None
    return Charge(
        charge=place.charge,
        sequence=place.sequence,
        kind=kind,
        organization=whose.organization,
        project=whose.project,
        team=whose.team,
        user=whose.user,
        provider=whose.provider,
        model=whose.model,
        tags=whose.tags,
        status="ok" if usage is None else usage.status,
        cost_nanousd=amount_nanousd,
        requests=1 if kind == "unconfirmed" else 0,
        unpriced=-1 if isinstance(data, Correction) and data.previous_cost_usd is None else 0,
        input_tokens=0 if usage is None else usage.input_tokens or 0,
        output_tokens=0 if usage is None else usage.output_tokens or 0,
        cache_read_tokens=0 if usage is None else usage.cache_read_tokens,
        cache_write_tokens=0 if usage is None else usage.cache_write_tokens,
        reasoning_tokens=0 if usage is None else usage.reasoning_tokens,
        unconfirmed_nanousd=unconfirmed_nanousd,
        price_version=price_version,
        charged_at_ms=at_ms,
        recorded_at_ms=place.clock_ms,
        latency_ms=None if usage is None else usage.latency_ms,
        streaming=usage is not None and usage.streaming,
        request_id=None if usage is None else usage.request_id,
        reservation=data.reservation if isinstance(data, Usage | Expiry) else None,
        source=event.source,
        event_id=event.id,
        ledger_partition=place.partition,
        ledger_offset=place.offset,
        ledger_index=place.index,
    )
