"""FOCUS 1.2: the columns of the cost and usage export, and what the specification says of each.

Types, nullability and allowed values as in the FinOps Open Cost and Usage Specification 1.2, "Cost and Usage". Columns
that are conditional on what is not known here (commitment discounts, capacity reservations, regions, other currencies)
are left out, as the specification allows. Columns of our own begin with `x_`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final, TypeAlias

Value: TypeAlias = str | Decimal | datetime | None
Row: TypeAlias = Mapping[str, Value]

MONEY_DECIMALS: Final = 9
PRICE_DECIMALS: Final = 24
"""Of a unit price: so many that quantity times price is the cost again, to the nano-dollar, up to 10^14 tokens."""


class Type(StrEnum):
    """What a column holds. JSON is an object of plain values in a string."""

    STRING = "String"
    MONEY = "Decimal, money"
    PRICE = "Decimal, unit price"
    COUNT = "Decimal, whole"
    INSTANT = "Date/Time"
    JSON = "JSON"


class Level(StrEnum):
    """Whether a data set must have a column."""

    MANDATORY = "Mandatory"
    CONDITIONAL = "Conditional"
    RECOMMENDED = "Recommended"
    OWN = "Custom"


@dataclass(frozen=True, slots=True)
class Column:
    """One column; without `allowed`, any value of the type is."""

    name: str
    type: Type
    level: Level
    nullable: bool
    allowed: tuple[str, ...] = ()


def _column(name: str, kind: Type, level: Level, *allowed: str, null: bool = False) -> Column:
    return Column(name, kind, level, null, allowed)


_M, _C, _R, _X = Level.MANDATORY, Level.CONDITIONAL, Level.RECOMMENDED, Level.OWN

COLUMNS: Final = (
    _column("BilledCost", Type.MONEY, _M),
    _column("BillingAccountId", Type.STRING, _M),
    _column("BillingAccountName", Type.STRING, _M, null=True),
    _column("BillingAccountType", Type.STRING, _C, null=True),
    _column("BillingCurrency", Type.STRING, _M, "USD"),
    _column("BillingPeriodEnd", Type.INSTANT, _M),
    _column("BillingPeriodStart", Type.INSTANT, _M),
    _column("ChargeCategory", Type.STRING, _M, "Usage", "Purchase", "Tax", "Credit", "Adjustment"),
    _column("ChargeClass", Type.STRING, _M, "Correction", null=True),
    _column("ChargeDescription", Type.STRING, _M, null=True),
    _column("ChargeFrequency", Type.STRING, _R, "One-Time", "Recurring", "Usage-Based"),
    _column("ChargePeriodEnd", Type.INSTANT, _M),
    _column("ChargePeriodStart", Type.INSTANT, _M),
    _column("ConsumedQuantity", Type.COUNT, _C, null=True),
    _column("ConsumedUnit", Type.STRING, _C, "Tokens", "Requests", null=True),
    _column("ContractedCost", Type.MONEY, _M),
    _column("ContractedUnitPrice", Type.PRICE, _C, null=True),
    _column("EffectiveCost", Type.MONEY, _M),
    _column("InvoiceId", Type.STRING, _R, null=True),
    _column("InvoiceIssuerName", Type.STRING, _M),
    _column("ListCost", Type.MONEY, _M),
    _column("ListUnitPrice", Type.PRICE, _C, null=True),
    _column("PricingCategory", Type.STRING, _C, "Standard", "Dynamic", "Committed", "Other", null=True),
    _column("PricingQuantity", Type.COUNT, _M, null=True),
    _column("PricingUnit", Type.STRING, _M, "Tokens", "Requests", null=True),
    _column("ProviderName", Type.STRING, _M),
    _column("PublisherName", Type.STRING, _M),
    _column("ResourceId", Type.STRING, _C, null=True),
    _column("ResourceName", Type.STRING, _C, null=True),
    _column("ResourceType", Type.STRING, _C, null=True),
    _column("ServiceCategory", Type.STRING, _M, "AI and Machine Learning"),
    _column("ServiceName", Type.STRING, _M),
    _column("ServiceSubcategory", Type.STRING, _R, "Generative AI"),
    _column("SkuId", Type.STRING, _C, null=True),
    _column("SkuMeter", Type.STRING, _C, null=True),
    _column("SkuPriceId", Type.STRING, _C, null=True),
    _column("SubAccountId", Type.STRING, _C, null=True),
    _column("SubAccountName", Type.STRING, _C, null=True),
    _column("SubAccountType", Type.STRING, _C, null=True),
    _column("Tags", Type.JSON, _C, null=True),
    _column("x_InputTokens", Type.COUNT, _X, null=True),
    _column("x_Kind", Type.STRING, _X, "usage", "unconfirmed", "adjustment", "correction"),
    _column("x_OutputTokens", Type.COUNT, _X, null=True),
    _column("x_PriceVersion", Type.STRING, _X, null=True),
    _column("x_Team", Type.STRING, _X, null=True),
    _column("x_Unconfirmed", Type.COUNT, _X),
    _column("x_Unpriced", Type.COUNT, _X),
    _column("x_User", Type.STRING, _X, null=True),
)
"""In the order of the export: alphabetical, as the specification lists them, ours last.

`x_InputTokens` and `x_OutputTokens` are said where no meter says them: on rows whose cost is not split by class of
token. `x_Unpriced` counts the requests without a known price: their cost is not zero, it is missing. `x_Unconfirmed`
counts the requests charged at their estimate.
"""

NAMES: Final = tuple(column.name for column in COLUMNS)


def text_of(value: Value) -> str:
    """A value as it stands in a CSV file; the empty text for none."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%SZ")
    if isinstance(value, Decimal):
        return plain(value)
    return value


def plain(value: Decimal) -> str:
    """A decimal without an exponent and without zeros that say nothing."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def tags_text(tags: Mapping[str, str]) -> str | None:
    """Tags as a JSON object, keys in order; None when there are none."""
    return json.dumps(dict(sorted(tags.items())), ensure_ascii=False) if tags else None
