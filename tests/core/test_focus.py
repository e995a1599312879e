"""FOCUS rows: each rule of the specification is checked, and what Spendgate makes of charges breaks none."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest

from services.core.focus import COLUMNS, NAMES, Column, Row, Type, Value, text_of
from services.core.focus_check import RULES, Violation, check_focus, parse_row
from services.core.focus_rows import ChargeGroup, focus_rows

NEW_YORK = ZoneInfo("America/New_York")
NOON_MS = 1_793_552_400_000  # 2026-11-01T17:00Z: noon in New York, on the day on which its clocks go back
GROUP = ChargeGroup(
    day_ms=NOON_MS,
    recorded_month="",
    kind="usage",
    split=True,
    priced=True,
    organization="acme",
    project="search",
    team="ranking",
    user="alice",
    provider="openai",
    model="gpt-4o",
    tags={"feature": "autocomplete"},
    price_version="genai-prices/0.2.3",
    cost_nanousd=7_000_003,
    requests=3,
    unpriced=0,
    input_tokens=3_000,
    output_tokens=301,
    cache_read_tokens=1_000,
    cache_write_tokens=7,
    input_cost_nanousd=4_000_001,
    output_cost_nanousd=2_000_001,
    cache_read_cost_nanousd=1_000_000,
    cache_write_cost_nanousd=1,
)


def rows_of(**changes: Any) -> list[Row]:
    return list(focus_rows(msgspec.structs.replace(GROUP, **changes), NEW_YORK))


def told(row: Row, *names: str) -> tuple[str, ...]:
    """Some of a row's values as they are written."""
    return tuple(text_of(row[name]) for name in names)


def usage() -> dict[str, Value]:
    return dict(rows_of()[0])


def later_correction() -> dict[str, Value]:
    return dict(rows_of(kind="correction", split=False, cost_nanousd=-5, requests=0, recorded_month="2026-12")[0])


START = datetime(2026, 11, 1, 4, tzinfo=UTC)
BREAKS: Mapping[str, dict[str, Value]] = {
    "BillingPeriodStart is before BillingPeriodEnd": {"BillingPeriodEnd": START},
    "ChargePeriodStart is before ChargePeriodEnd": {"ChargePeriodEnd": START},
    "ChargeFrequency is not Usage-Based for a purchase": {
        "ChargeCategory": "Purchase",
        "ConsumedQuantity": None,
        "ConsumedUnit": None,
    },
    "ConsumedQuantity is null for what is no usage": {"ChargeCategory": "Credit"},
    "ConsumedQuantity is positive for usage that is no correction": {"ConsumedQuantity": Decimal(0)},
    "ConsumedUnit is null exactly when ConsumedQuantity is": {"ConsumedUnit": None},
    "PricingQuantity is not null for usage that is no correction": {"PricingQuantity": None, "PricingUnit": None},
    "PricingQuantity is null for tax": {"ChargeCategory": "Tax"},
    "PricingUnit is null exactly when PricingQuantity is": {"PricingUnit": None},
    "PricingCategory is not null for usage that is no correction": {"PricingCategory": None},
    "PricingCategory is null for tax": {"ChargeCategory": "Tax"},
    "ListUnitPrice is not null for usage that is no correction": {"ListUnitPrice": None},
    "ListUnitPrice is null for tax": {"ChargeCategory": "Tax"},
    "ListCost is ListUnitPrice times PricingQuantity": {"ListCost": Decimal("0.004000002")},
    "ContractedUnitPrice is not null for usage that is no correction": {"ContractedUnitPrice": None},
    "ContractedUnitPrice is null for tax": {"ChargeCategory": "Tax"},
    "ContractedCost is ContractedUnitPrice times PricingQuantity": {"ContractedCost": Decimal("0.004")},
    "SkuId is not null for usage that is no correction": {"SkuId": None, "SkuMeter": None},
    "SkuId is null for tax": {"ChargeCategory": "Tax"},
    "SkuPriceId is not null for usage that is no correction": {"SkuPriceId": None, "PricingCategory": None},
    "SkuPriceId is null for tax": {"ChargeCategory": "Tax"},
    "SkuMeter is null when SkuId is": {"SkuId": None},
    "PricingCategory is null when SkuPriceId is": {"SkuPriceId": None},
    "ResourceType is null exactly when ResourceId is": {"ResourceType": None},
    "ResourceName is null when ResourceId is": {"ResourceId": None, "ResourceType": None},
    "SubAccountType is null exactly when SubAccountId is": {"SubAccountType": None},
    "SubAccountName is null when SubAccountId is": {"SubAccountId": None, "SubAccountType": None},
    "BillingAccountType is null exactly when BillingAccountId is": {"BillingAccountType": None},
    "A correction is billed after the period it corrects": {"ChargeClass": "Correction"},
}


def found(row: Row) -> list[str]:
    return [violation.rule for violation in check_focus([row])]


@pytest.mark.parametrize("rule", [rule.name for rule in RULES])
def test_each_rule_between_columns_finds_the_row_that_breaks_it(rule: str) -> None:
    assert found(usage()) == []
    assert rule in found(usage() | BREAKS[rule])


WRONG: Mapping[Type, Value] = {
    Type.STRING: "",
    Type.MONEY: Decimal("0.0000000001"),
    Type.PRICE: Decimal(-1),
    Type.COUNT: Decimal("1.5"),
    Type.INSTANT: datetime(2026, 11, 1, tzinfo=timezone(timedelta(hours=1))),
    Type.JSON: '{"a": {"b": "c"}}',
}


@pytest.mark.parametrize("column", COLUMNS, ids=NAMES)
def test_each_column_is_held_to_its_presence_type_nullability_and_values(column: Column) -> None:
    row = usage()
    without = {name: value for name, value in row.items() if name != column.name}
    assert found(without) == [f"{column.name} is a column of the data set"]
    assert found(row | {column.name: WRONG[column.type]}) == [f"{column.name} is of type {column.type}"]
    if not column.nullable:
        assert found(row | {column.name: None}) == [f"{column.name} is not null"]
    if column.allowed:
        assert found(row | {column.name: "Something"}) == [f"{column.name} is one of {', '.join(column.allowed)}"]


@pytest.mark.parametrize("text", ["[]", "{", '"a"', '{"a": 1, "a": 2}', '{"a": []}', "null"])
def test_tags_that_are_no_flat_json_object_are_found(text: str) -> None:
    assert found(usage() | {"Tags": text}) == ["Tags is of type JSON"]


def test_money_that_is_no_number_and_instants_without_an_offset_are_found() -> None:
    assert found(usage() | {"BilledCost": Decimal("NaN")}) == ["BilledCost is of type Decimal, money"]
    naive = datetime(2026, 11, 1, 4)  # noqa: DTZ001 - what must be refused
    assert found(usage() | {"ChargePeriodStart": naive}) == ["ChargePeriodStart is of type Date/Time"]
    fraction = START + timedelta(milliseconds=1)
    assert found(usage() | {"ChargePeriodStart": fraction}) == ["ChargePeriodStart is of type Date/Time"]


def test_columns_of_ones_own_begin_with_x_and_no_other_is_unknown() -> None:
    assert found(usage() | {"x_Squad": "a"}) == []
    assert found(usage() | {"Squad": "a"}) == ["Squad is of FOCUS, or begins with x_"]
    assert list(check_focus([usage(), usage() | {"x_squad": None}])) == [
        Violation(1, "x_squad", "x_squad is of FOCUS, or begins with x_")
    ]


def test_usage_has_a_row_for_each_class_of_token_and_none_is_counted_twice() -> None:
    rows = rows_of()
    assert [told(row, "SkuMeter", "ConsumedQuantity", "BilledCost") for row in rows] == [
        ("Input Tokens", "1993", "0.004000001"),
        ("Cached Input Tokens", "1000", "0.001"),
        ("Cache Write Tokens", "7", "0.000000001"),
        ("Output Tokens", "301", "0.002000001"),
    ]
    assert list(check_focus(rows)) == []
    assert {row["SkuId"] for row in rows} == {row["SkuPriceId"] for row in rows}
    assert len({row["SkuId"] for row in rows}) == 4


def test_a_fee_for_the_request_itself_has_a_row_of_its_own() -> None:
    rows = rows_of(input_tokens=1_007)
    fee = next(row for row in rows if row["SkuMeter"] == "Requests")
    assert told(fee, "ConsumedQuantity", "ConsumedUnit", "BilledCost") == ("3", "Requests", "0.004000001")
    assert list(check_focus(rows)) == []


def test_a_day_is_the_organizations_own_also_when_it_has_25_hours() -> None:
    row = usage()
    assert (text_of(row["ChargePeriodStart"]), text_of(row["ChargePeriodEnd"])) == (
        "2026-11-01T04:00:00Z",
        "2026-11-02T05:00:00Z",
    )
    assert (text_of(row["BillingPeriodStart"]), text_of(row["BillingPeriodEnd"])) == (
        "2026-11-01T04:00:00Z",
        "2026-12-01T05:00:00Z",
    )


def test_what_has_no_price_is_said_to_be_missing_and_not_to_be_free() -> None:
    (row,) = rows_of(split=False, priced=False, cost_nanousd=0, unpriced=3)
    assert told(row, "x_Unpriced", "ConsumedUnit", "PricingCategory") == ("3", "Requests", "Other")
    assert "3 requests whose price is not known yet" in str(row["ChargeDescription"])
    assert told(row, "x_InputTokens", "x_OutputTokens") == ("3000", "301")
    assert list(check_focus([row])) == []


def test_an_estimate_is_said_to_be_one() -> None:
    (row,) = rows_of(kind="unconfirmed", split=False, cost_nanousd=9, requests=2, input_tokens=0, output_tokens=0)
    assert told(row, "x_Unconfirmed", "ChargeCategory", "BilledCost") == ("2", "Usage", "0.000000009")
    assert list(check_focus([row])) == []


def test_a_difference_is_a_correction_only_once_its_month_is_over() -> None:
    (within,) = rows_of(kind="adjustment", split=False, cost_nanousd=-5, requests=0, recorded_month="2026-11")
    assert (within["ChargeCategory"], within["ChargeClass"], within["BilledCost"]) == (
        "Adjustment",
        None,
        Decimal("-0.000000005"),
    )
    later = later_correction()
    assert later["ChargeClass"] == "Correction"
    assert text_of(later["ChargePeriodStart"]) == "2026-11-01T04:00:00Z"
    assert text_of(later["BillingPeriodStart"]) == "2026-12-01T05:00:00Z"
    assert list(check_focus([within, later])) == []


def test_who_has_no_project_team_user_or_provider_is_null_and_never_empty() -> None:
    row = rows_of(project="", team="", user="", provider="", tags={}, price_version="")[0]
    names = ("SubAccountId", "SubAccountName", "SubAccountType", "x_Team", "x_User", "Tags", "x_PriceVersion")
    assert [row[name] for name in names] == [None] * len(names)
    assert row["ProviderName"] == "Unknown"
    assert list(check_focus([row])) == []


def test_values_are_read_back_from_their_texts() -> None:
    for row in (*rows_of(), later_correction()):
        texts = {name: text_of(row[name]) for name in NAMES}
        assert parse_row(texts) == dict(row)
    with pytest.raises(ValueError, match="is not a decimal"):
        parse_row({"BilledCost": "much"})
