"""From charges, added up by day and by all that FOCUS tells apart, to FOCUS rows with exactly their costs."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal, localcontext
from typing import Final, Literal
from zoneinfo import ZoneInfo

from msgspec import Struct

from services.core.events import from_ms
from services.core.focus import MONEY_DECIMALS, PRICE_DECIMALS, Row, Value, tags_text
from services.core.report_period import end_of
from services.core.window import Window, WindowKind, window_at, window_of_label

UNKNOWN_PROVIDER: Final = "Unknown"
_DIGITS: Final = 60
_METERED: Final = (
    "ConsumedQuantity",
    "ConsumedUnit",
    "ContractedUnitPrice",
    "ListUnitPrice",
    "PricingCategory",
    "PricingQuantity",
    "PricingUnit",
    "SkuId",
    "SkuMeter",
    "SkuPriceId",
)
"""What only a meter has a value for."""


class ChargeGroup(Struct, frozen=True, kw_only=True, gc=False):
    """Charges of one day and one kind that differ in nothing which FOCUS names.

    `day_ms` is any instant of the day. `recorded_month`, of a difference: the month in which it was recorded, as
    `2026-11`. `split`: whether the costs by class of token add up to `cost_nanousd`; unpriced charges, estimates and
    differences are not split.
    """

    day_ms: int
    recorded_month: str
    kind: Literal["usage", "unconfirmed", "adjustment", "correction"]
    split: bool
    priced: bool
    organization: str
    project: str
    team: str
    user: str
    provider: str
    model: str
    tags: dict[str, str]
    price_version: str
    cost_nanousd: int
    requests: int
    unpriced: int
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    input_cost_nanousd: int
    output_cost_nanousd: int
    cache_read_cost_nanousd: int
    cache_write_cost_nanousd: int


class Meter(Struct, frozen=True, gc=False):
    """One thing that is counted and priced."""

    sku: str
    name: str
    unit: Literal["Tokens", "Requests"]
    quantity: int
    cost_nanousd: int


def focus_rows(group: ChargeGroup, zone: ZoneInfo) -> Iterator[Row]:
    """The rows of a group, one for each meter; their BilledCost adds up to the group's cost, to the nano-dollar."""
    charged = window_at(WindowKind.MONTH, group.day_ms, zone)
    billed = window_of_label(f"month:{group.recorded_month}", zone) if group.recorded_month else charged
    later = billed.start_ms > charged.start_ms
    shared = _shared(group) | _periods(window_at(WindowKind.DAY, group.day_ms, zone), billed if later else charged)
    if group.kind in ("adjustment", "correction"):
        yield shared | _costs(group.cost_nanousd) | _difference(group, later=later) | _unmetered(group)
        return
    for meter in _meters(group):
        row = shared | _costs(meter.cost_nanousd) | _metered(group, meter)
        yield row | _unmetered(group) if meter.unit == "Requests" else row


def _meters(group: ChargeGroup) -> Iterator[Meter]:
    """By class of token where the cost is split so; else by request. What has neither cost nor quantity is left out."""
    if not group.split:
        yield Meter("requests", "Requests", "Requests", max(group.requests, 1), group.cost_nanousd)
        return
    fresh = group.input_tokens - group.cache_read_tokens - group.cache_write_tokens
    tokens = (
        ("input-tokens", "Input Tokens", fresh, group.input_cost_nanousd),
        ("cached-input-tokens", "Cached Input Tokens", group.cache_read_tokens, group.cache_read_cost_nanousd),
        ("cache-write-tokens", "Cache Write Tokens", group.cache_write_tokens, group.cache_write_cost_nanousd),
        ("output-tokens", "Output Tokens", group.output_tokens, group.output_cost_nanousd),
    )
    found = [Meter(sku, name, "Tokens", quantity, cost) for sku, name, quantity, cost in tokens if quantity > 0]
    rest = group.cost_nanousd - sum(meter.cost_nanousd for meter in found)
    yield from found
    if rest or not found:  # a fee for the request itself, or requests that used no token
        yield Meter("requests", "Requests", "Requests", max(group.requests, 1), rest)


def _shared(group: ChargeGroup) -> dict[str, Value]:
    provider = group.provider or UNKNOWN_PROVIDER
    return {
        "BillingAccountId": group.organization,
        "BillingAccountName": group.organization,
        "BillingAccountType": "Organization",
        "BillingCurrency": "USD",
        "InvoiceId": None,
        "InvoiceIssuerName": provider,
        "ProviderName": provider,
        "PublisherName": provider,
        "ResourceId": f"{provider}/{group.model}",
        "ResourceName": group.model,
        "ResourceType": "Model",
        "ServiceCategory": "AI and Machine Learning",
        "ServiceName": f"{provider} API",
        "ServiceSubcategory": "Generative AI",
        "SubAccountId": group.project or None,
        "SubAccountName": group.project or None,
        "SubAccountType": "Project" if group.project else None,
        "Tags": tags_text(group.tags),
        "x_InputTokens": None,
        "x_Kind": group.kind,
        "x_OutputTokens": None,
        "x_PriceVersion": group.price_version or None,
        "x_Team": group.team or None,
        "x_Unconfirmed": Decimal(0),
        "x_Unpriced": Decimal(0),
        "x_User": group.user or None,
    }


def _costs(nanousd: int) -> dict[str, Value]:
    """Nobody here negotiates or commits, so the four costs are one."""
    cost = Decimal(nanousd).scaleb(-MONEY_DECIMALS)
    return {"BilledCost": cost, "ContractedCost": cost, "EffectiveCost": cost, "ListCost": cost}


def _metered(group: ChargeGroup, meter: Meter) -> dict[str, Value]:
    price, sku = _unit_price(meter), f"{group.provider or UNKNOWN_PROVIDER}/{group.model}/{meter.sku}"
    return {
        "ChargeCategory": "Usage",
        "ChargeClass": None,
        "ChargeDescription": _description(group, meter),
        "ChargeFrequency": "Usage-Based",
        "ConsumedQuantity": Decimal(meter.quantity),
        "ConsumedUnit": meter.unit,
        "ContractedUnitPrice": price,
        "ListUnitPrice": price,
        "PricingCategory": "Standard" if group.split else "Other",
        "PricingQuantity": Decimal(meter.quantity),
        "PricingUnit": meter.unit,
        "SkuId": sku,
        "SkuMeter": meter.name,
        "SkuPriceId": sku,
    }


def _difference(group: ChargeGroup, *, later: bool) -> dict[str, Value]:
    """What was charged wrongly before: a correction, in FOCUS, once the month it belongs to is over."""
    why = "settled after its estimate was charged" if group.kind == "adjustment" else "corrected afterwards"
    return dict.fromkeys(_METERED) | {
        "ChargeCategory": "Adjustment",
        "ChargeClass": "Correction" if later else None,
        "ChargeDescription": f"{group.model}: difference, {why}",
        "ChargeFrequency": "One-Time",
    }


def _unmetered(group: ChargeGroup) -> dict[str, Value]:
    """What the one row says of a group that is not metered by tokens."""
    if group.split:
        return {}
    return {
        "x_InputTokens": Decimal(group.input_tokens),
        "x_OutputTokens": Decimal(group.output_tokens),
        "x_Unconfirmed": Decimal(group.requests if group.kind == "unconfirmed" else 0),
        "x_Unpriced": Decimal(group.unpriced),
    }


def _description(group: ChargeGroup, meter: Meter) -> str:
    if not group.priced:
        return f"{group.model}: {group.unpriced} requests whose price is not known yet; their cost is missing here"
    if group.kind == "unconfirmed":
        return f"{group.model}: {group.requests} requests at their estimate, not settled when they expired"
    return f"{group.model}: {meter.name.lower()}"


def _unit_price(meter: Meter) -> Decimal:
    with localcontext() as context:
        context.prec = _DIGITS
        price = Decimal(abs(meter.cost_nanousd)).scaleb(-MONEY_DECIMALS) / meter.quantity
        return price.quantize(Decimal(1).scaleb(-PRICE_DECIMALS))


def _periods(day: Window, month: Window) -> dict[str, Value]:
    return {
        "BillingPeriodStart": from_ms(month.start_ms),
        "BillingPeriodEnd": from_ms(end_of(month)),
        "ChargePeriodStart": from_ms(day.start_ms),
        "ChargePeriodEnd": from_ms(end_of(day)),
    }
