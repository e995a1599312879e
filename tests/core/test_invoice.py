"""Invoices: each format is read as its maker writes it, matched, and its difference spread to the nano-dollar."""

from __future__ import annotations

import csv
import io
import json
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.invoice import (
    AmountError,
    Correctable,
    InvoiceError,
    Line,
    compare,
    names_of,
    nanousd,
    spread,
)
from services.core.invoice.anthropic import is_anthropic, read_anthropic
from services.core.invoice.openai import is_openai, read_openai
from services.core.invoice.table import columns_of, read_table
from services.core.price_list import PriceList

DAY = date(2026, 11, 24)
NAMES = names_of(PriceList.bundled())
USD = 1_000_000_000

OPENAI = """{"object": "page", "has_more": false, "next_page": null, "data": [{"object": "bucket",
 "start_time": 1795478400, "end_time": 1795564800, "results": [
  {"object": "organization.costs.result", "amount": {"value": 0.0612345678901, "currency": "usd"},
   "line_item": "gpt-4o-2024-08-06, input", "project_id": null},
  {"object": "organization.costs.result", "amount": {"value": 1.5, "currency": "usd"},
   "line_item": "gpt-4o-2024-08-06, output", "project_id": null},
  {"object": "organization.costs.result", "amount": {"value": 0.25, "currency": "usd"},
   "line_item": "web search tool calls", "project_id": null}]}]}"""

ANTHROPIC = """{"data": [{"starting_at": "2026-11-24T00:00:00Z", "ending_at": "2026-11-25T00:00:00Z", "results": [
  {"currency": "USD", "amount": "123.45", "workspace_id": null, "description": "Claude Sonnet 4 Usage - Input Tokens",
   "cost_type": "tokens", "context_window": "0-200k", "model": "claude-sonnet-4-20250514", "service_tier": "standard",
   "token_type": "uncached_input_tokens"},
  {"currency": "USD", "amount": "10", "workspace_id": null, "description": "Web Search", "cost_type": "web_search",
   "context_window": null, "model": null, "service_tier": null, "token_type": null}]}], "has_more": false,
 "next_page": null}"""


def pages(text: str) -> list[Any]:
    """As a file is read: no float on the way."""
    return [json.loads(text, parse_float=Decimal)]


def test_openai_costs_are_read_by_line_item_and_to_the_nano_dollar() -> None:
    assert is_openai(pages(OPENAI))
    assert list(read_openai(pages(OPENAI))) == [
        Line(DAY, "openai", "gpt-4o-2024-08-06", 61_234_568, "input"),
        Line(DAY, "openai", "gpt-4o-2024-08-06", 1_500_000_000, "output"),
        Line(DAY, "openai", "", 250_000_000, "web search tool calls"),
    ]


def test_anthropic_costs_are_in_cents() -> None:
    assert is_anthropic(pages(ANTHROPIC))
    assert not is_openai(pages(ANTHROPIC))
    assert list(read_anthropic(pages(ANTHROPIC))) == [
        Line(DAY, "anthropic", "claude-sonnet-4-20250514", 1_234_500_000, "uncached_input_tokens"),
        Line(DAY, "anthropic", "", 100_000_000, "Web Search"),
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (OPENAI.replace('"usd"', '"eur"'), "in eur"),
        (OPENAI.replace('"gpt-4o-2024-08-06, input"', "null"), "group_by=line_item"),
        (OPENAI.replace('"has_more": false', '"has_more": true'), "there are more"),
        (OPENAI.replace("1.5", '"much"'), "no amount"),
        (OPENAI.replace('"results"', '"result"'), "bucket"),
    ],
)
def test_what_openai_does_not_say_so_is_refused(text: str, says: str) -> None:
    with pytest.raises(InvoiceError, match=says):
        list(read_openai(pages(text)))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (ANTHROPIC.replace('"USD"', '"EUR"'), "in EUR"),
        (ANTHROPIC.replace('"has_more": false', '"has_more": true'), "there are more"),
        (ANTHROPIC.replace('"123.45"', '"NaN"'), "amount"),
        (ANTHROPIC.replace("2026-11-24T00", "2026-13-24T00"), "bucket"),
    ],
)
def test_what_anthropic_does_not_say_so_is_refused(text: str, says: str) -> None:
    with pytest.raises(InvoiceError, match=says):
        list(read_anthropic(pages(text)))


def table(text: str, *, provider: str | None = None, **told: str) -> list[Line]:
    """The lines of a CSV."""
    rows = csv.DictReader(io.StringIO(text))
    return list(read_table(rows, columns_of(rows.fieldnames or (), told), provider=provider))


def test_a_focus_export_is_an_invoice() -> None:
    text = (
        "BilledCost,BillingCurrency,ChargePeriodStart,ProviderName,SkuId\n12.5,USD,2026-11-24T00:00:00Z,OpenAI,gpt-4o\n"
    )
    assert table(text) == [Line(DAY, "openai", "gpt-4o", 12_500_000_000)]


def test_any_table_is_read_by_the_names_of_its_columns_or_those_that_are_told() -> None:
    assert table(
        "Date,Model,Cost USD\n2026-11-24,gpt-4o,$1 234\n".replace(" 2", ",2").replace("$1,234", '"$1,234"'),
        provider="openai",
    ) == [Line(DAY, "openai", "gpt-4o", 1_234 * USD)]
    assert table(
        "when,what,paid\n2026-11-24,gpt-4o,0.1\n", provider="openai", day="when", model="what", cost="paid"
    ) == [Line(DAY, "openai", "gpt-4o", USD // 10)]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a,b\n1,2\n", "--day-column"),
        ("date,model,cost\n2026-11-24,gpt-4o,\n", "row 2: has no amount"),
        ("date,model,cost\nyesterday,gpt-4o,1\n", "row 2: 'yesterday' is no day"),
        ("date,model,cost,currency\n2026-11-24,gpt-4o,1,EUR\n", "row 2 is in EUR"),
    ],
)
def test_a_row_that_cannot_be_read_is_named(text: str, says: str) -> None:
    with pytest.raises(InvoiceError, match=says):
        table(text, provider="openai")


def test_a_table_that_does_not_say_whose_it_is_must_be_told() -> None:
    with pytest.raises(InvoiceError, match="--provider"):
        table("date,model,cost\n2026-11-24,gpt-4o,1\n")


@pytest.mark.parametrize("text", ["", "1e999999", "Infinity", "12.5.0", "1" * 41, "999999999999", "1e-999999", "nan"])
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(AmountError):
        nanousd(text)


@given(st.integers(-(10**15), 10**15))
def test_an_amount_with_nine_decimals_is_exact(nanos: int) -> None:
    assert nanousd(Decimal(nanos).scaleb(-9)) == nanos
    assert nanousd(Decimal(nanos).scaleb(-7), unit_nanousd=USD // 100) == nanos


def test_both_sides_are_matched_under_one_name_for_a_model() -> None:
    ours = [(Line(DAY, "", "gpt-4o", USD), 0), (Line(DAY, "openai", "openai/gpt-4o-2024-08-06", USD), 2)]
    drift = compare(ours, [Line(DAY, "openai", "gpt-4o-2024-08-06", 3 * USD)], NAMES)
    (cell,) = drift.cells
    assert (cell.ours_nanousd, cell.theirs_nanousd, cell.unpriced, cell.difference_nanousd) == (
        2 * USD,
        3 * USD,
        2,
        USD,
    )


def test_what_only_one_side_knows_is_told_and_other_providers_are_left_alone() -> None:
    ours = [
        (Line(DAY, "openai", "gpt-4o-mini", USD), 0),
        (Line(DAY, "anthropic", "claude-sonnet-4-20250514", USD), 0),
        (Line(date(2026, 11, 25), "openai", "gpt-4o", USD), 0),
    ]
    drift = compare(ours, [Line(DAY, "openai", "gpt-4o", USD), Line(DAY, "openai", "", 7)], NAMES)
    assert [(cell.key.model, cell.ours_nanousd, cell.theirs_nanousd) for cell in drift.cells] == [
        ("gpt-4o", None, USD),
        ("gpt-4o-mini", USD, None),
    ]
    assert drift.besides_nanousd == 7


def test_what_the_invoice_does_not_name_is_told_and_never_corrected_to_nothing() -> None:
    days = [date(2026, 11, day) for day in (23, 24, 25)]
    ours = [(Line(day, "openai", "gpt-4o", 5 * USD), 0) for day in days]
    drift = compare(ours, [Line(day, "openai", "gpt-4o", 4 * USD) for day in (days[0], days[2])], NAMES)
    assert [(cell.key.day, cell.theirs_nanousd, cell.correctable) for cell in drift.beyond(0, 0)] == [
        (days[0], 4 * USD, True),
        (days[1], None, False),
        (days[2], 4 * USD, True),
    ]


def test_a_tolerance_is_a_share_and_an_amount() -> None:
    drift = compare([(Line(DAY, "openai", "gpt-4o", 99 * USD), 0)], [Line(DAY, "openai", "gpt-4o", 100 * USD)], NAMES)
    assert [len(drift.beyond(points, least)) for points, least in ((99, 0), (100, 0), (0, USD), (0, USD - 1))] == [
        1,
        0,
        0,
        1,
    ]


charges = st.lists(st.tuples(st.none() | st.integers(-5, 10**12), st.integers(0, 10**6)), max_size=40).map(
    lambda found: [Correctable(f"c{number}", cost, tokens) for number, (cost, tokens) in enumerate(found)]
)


@given(st.integers(-(10**13), 10**13), charges)
def test_parts_add_up_and_nothing_comes_to_cost_less_than_nothing(difference: int, to: list[Correctable]) -> None:
    found = spread(difference, to)
    given_out = sum(each.cost_nanousd - (each.previous_nanousd or 0) for each in found)
    room = -sum(each.cost_nanousd or 0 for each in to if (each.cost_nanousd or 0) > 0)
    somebody = any(each.cost_nanousd is None for each in to) if difference > 0 else False
    if somebody or room:
        assert given_out == max(difference, room)
    else:
        assert found == []
    assert all(each.cost_nanousd >= 0 for each in found)
    assert len({each.charge for each in found}) == len(found)


def test_what_had_no_price_is_given_one_first_by_its_tokens() -> None:
    to = [Correctable("priced", USD, 10), Correctable("a", None, 300), Correctable("b", None, 100)]
    assert [(each.charge, each.previous_nanousd, each.cost_nanousd) for each in spread(1_000, to)] == [
        ("a", None, 750),
        ("b", None, 250),
    ]


def test_each_part_is_in_proportion_and_what_is_left_goes_to_the_largest_fractions() -> None:
    to = [Correctable(name, cost, 0) for name, cost in (("a", 1), ("b", 1), ("c", 1))]
    assert [each.cost_nanousd for each in spread(5, to)] == [3, 3, 2]
