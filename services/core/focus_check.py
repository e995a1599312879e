"""Whether rows are FOCUS 1.2: each rule of the specification that a single row can break, by name."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext
from typing import Final

from services.core.focus import COLUMNS, MONEY_DECIMALS, NAMES, Column, Row, Type, Value

OWN: Final = re.compile(r"x_[A-Z][A-Za-z0-9]*")
_PRICED: Final = ("Usage", "Purchase")
_NANO: Final = Decimal(1).scaleb(-MONEY_DECIMALS)


@dataclass(frozen=True, slots=True)
class Violation:
    """A rule that a row breaks; `row` counts from 0."""

    row: int
    column: str
    rule: str


@dataclass(frozen=True, slots=True)
class Rule:
    """What must hold between the columns of one row."""

    name: str
    column: str
    holds: Callable[[Row], bool]


def _null_with(column: str, other: str) -> Rule:
    return Rule(
        f"{column} is null exactly when {other} is", column, lambda r: (r[column] is None) == (r[other] is None)
    )


def _alike(one: Value, other: Value) -> bool:
    return (one is None) == (other is None)


def _priced_usage(row: Row) -> bool:
    return row["ChargeCategory"] in _PRICED and row["ChargeClass"] != "Correction"


def _said_of_usage(column: str) -> Rule:
    return Rule(
        f"{column} is not null for usage that is no correction",
        column,
        lambda row: row[column] is not None or not _priced_usage(row),
    )


def _never_of_tax(column: str) -> Rule:
    return Rule(f"{column} is null for tax", column, lambda row: row[column] is None or row["ChargeCategory"] != "Tax")


def _before(start: str, end: str) -> Rule:
    return Rule(f"{start} is before {end}", start, lambda row: _in_order(row[start], row[end]))


def _in_order(start: Value, end: Value) -> bool:
    return isinstance(start, datetime) and isinstance(end, datetime) and start < end


def _product(price: str, cost: str) -> Rule:
    return Rule(f"{cost} is {price} times PricingQuantity", cost, lambda row: _multiplies(row, price, cost))


def _multiplies(row: Row, price: str, cost: str) -> bool:
    """To the nano-dollar, in which costs are counted; corrections need not."""
    unit, quantity, amount = row[price], row["PricingQuantity"], row[cost]
    if unit is None or quantity is None or row["ChargeClass"] == "Correction":
        return True
    if not (isinstance(unit, Decimal) and isinstance(quantity, Decimal) and isinstance(amount, Decimal)):
        return False
    with localcontext() as context:
        context.prec = 80
        return (unit * quantity).quantize(_NANO) == amount


RULES: Final = (
    _before("BillingPeriodStart", "BillingPeriodEnd"),
    _before("ChargePeriodStart", "ChargePeriodEnd"),
    Rule(
        "ChargeFrequency is not Usage-Based for a purchase",
        "ChargeFrequency",
        lambda row: row["ChargeFrequency"] != "Usage-Based" or row["ChargeCategory"] != "Purchase",
    ),
    Rule(
        "ConsumedQuantity is null for what is no usage",
        "ConsumedQuantity",
        lambda row: row["ConsumedQuantity"] is None or row["ChargeCategory"] == "Usage",
    ),
    Rule(
        "ConsumedQuantity is positive for usage that is no correction",
        "ConsumedQuantity",
        lambda row: row["ChargeCategory"] != "Usage" or row["ChargeClass"] == "Correction" or _positive(row),
    ),
    _null_with("ConsumedUnit", "ConsumedQuantity"),
    _said_of_usage("PricingQuantity"),
    _never_of_tax("PricingQuantity"),
    _null_with("PricingUnit", "PricingQuantity"),
    _said_of_usage("PricingCategory"),
    _never_of_tax("PricingCategory"),
    _said_of_usage("ListUnitPrice"),
    _never_of_tax("ListUnitPrice"),
    _product("ListUnitPrice", "ListCost"),
    _said_of_usage("ContractedUnitPrice"),
    _never_of_tax("ContractedUnitPrice"),
    _product("ContractedUnitPrice", "ContractedCost"),
    _said_of_usage("SkuId"),
    _never_of_tax("SkuId"),
    _said_of_usage("SkuPriceId"),
    _never_of_tax("SkuPriceId"),
    Rule("SkuMeter is null when SkuId is", "SkuMeter", lambda row: row["SkuMeter"] is None or row["SkuId"] is not None),
    Rule(
        "PricingCategory is null when SkuPriceId is",
        "PricingCategory",
        lambda row: row["PricingCategory"] is None or row["SkuPriceId"] is not None,
    ),
    _null_with("ResourceType", "ResourceId"),
    Rule(
        "ResourceName is null when ResourceId is",
        "ResourceName",
        lambda row: row["ResourceName"] is None or row["ResourceId"] is not None,
    ),
    _null_with("SubAccountType", "SubAccountId"),
    Rule(
        "SubAccountName is null when SubAccountId is",
        "SubAccountName",
        lambda row: row["SubAccountName"] is None or row["SubAccountId"] is not None,
    ),
    _null_with("BillingAccountType", "BillingAccountId"),
    Rule(
        "A correction is billed after the period it corrects",
        "ChargeClass",
        lambda row: row["ChargeClass"] is None or _follows(row["ChargePeriodEnd"], row["BillingPeriodStart"]),
    ),
)
"""Rules between columns. What a column says of itself alone (`COLUMNS`) is checked beside them."""


def check_focus(rows: Iterable[Row]) -> Iterator[Violation]:
    """Every violation, in the order of rows; none for a conforming data set.

    A correction's unit price and quantity may disagree with its cost, as the specification allows.
    """
    for number, row in enumerate(rows):
        missing = [name for name in NAMES if name not in row]
        yield from (Violation(number, name, f"{name} is a column of the data set") for name in missing)
        unknown = [name for name in row if name not in NAMES and not OWN.fullmatch(name)]
        yield from (Violation(number, name, f"{name} is of FOCUS, or begins with x_") for name in unknown)
        if missing:
            continue
        broken = [(column.name, rule) for column in COLUMNS for rule in column_rules(column, row[column.name])]
        yield from (Violation(number, name, rule) for name, rule in broken)
        if not broken:  # rules between columns presume that each is what it should be
            yield from (Violation(number, rule.column, rule.name) for rule in RULES if not rule.holds(row))


def column_rules(column: Column, value: Value) -> Iterator[str]:
    """What a value breaks of what its column says."""
    if value is None:
        if not column.nullable:
            yield f"{column.name} is not null"
    elif not _TYPES[column.type](value):
        yield f"{column.name} is of type {column.type}"
    elif column.allowed and value not in column.allowed:
        yield f"{column.name} is one of {', '.join(column.allowed)}"


def _positive(row: Row) -> bool:
    quantity = row["ConsumedQuantity"]
    return isinstance(quantity, Decimal) and quantity > 0


def _follows(end: Value, start: Value) -> bool:
    return isinstance(end, datetime) and isinstance(start, datetime) and end <= start


def _is_text(value: Value) -> bool:
    return isinstance(value, str) and value != ""


def _is_money(value: Value) -> bool:
    return isinstance(value, Decimal) and value.is_finite() and value == value.quantize(_NANO)


def _is_price(value: Value) -> bool:
    return isinstance(value, Decimal) and value.is_finite() and value >= 0


def _is_count(value: Value) -> bool:
    return isinstance(value, Decimal) and value.is_finite() and value == value.to_integral_value()


def _is_instant(value: Value) -> bool:
    """UTC, and whole seconds: the format has no fractions."""
    return isinstance(value, datetime) and value.utcoffset() == timedelta(0) and value.microsecond == 0


def _is_json(value: Value) -> bool:
    try:
        decoded = json.loads(value, object_pairs_hook=list) if isinstance(value, str) else None
    except ValueError:
        return False
    if not isinstance(decoded, list) or not str(value).lstrip().startswith("{"):
        return False
    keys = [key for key, _ in decoded]
    return len(keys) == len(set(keys)) and not any(isinstance(inner, list | dict) for _, inner in decoded)


_TYPES: Final[dict[Type, Callable[[Value], bool]]] = {
    Type.STRING: _is_text,
    Type.MONEY: _is_money,
    Type.PRICE: _is_price,
    Type.COUNT: _is_count,
    Type.INSTANT: _is_instant,
    Type.JSON: _is_json,
}


def parse_row(texts: dict[str, str]) -> dict[str, Value]:
    """A row as a CSV file has it, typed by its columns. Raises ValueError for what is no value of its type."""
    kinds = {column.name: column.type for column in COLUMNS}
    return {name: _parsed(kinds.get(name, Type.STRING), text) for name, text in texts.items()}


def _parsed(kind: Type, text: str) -> Value:
    if text == "":
        return None
    if kind is Type.INSTANT:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    if kind in (Type.MONEY, Type.PRICE, Type.COUNT):
        try:
            return Decimal(text)
        except ArithmeticError as error:
            raise ValueError(f"{text[:40]!r} is not a decimal") from error
    return text
