"""Invoices in the shapes that their makers write: read whole, matched with our names, never taken for nothing."""

from __future__ import annotations

import csv
from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from services.cli.errors import CliError
from services.cli.invoice_file import read_invoice
from services.core.focus_rows import ChargeGroup, focus_rows
from services.core.invoice import Drift, Line, compare, names_of
from services.core.price_list import PriceList

MADE = Path(__file__).parent.parent / "core" / "invoices"
NAMES = names_of(PriceList.bundled())
FIRST, SECOND, THIRD = (date(2026, 11, day) for day in (24, 25, 26))
NOON_MS = int(datetime(2026, 11, 24, 12, tzinfo=UTC).timestamp() * 1000)


def read(path: Path) -> list[Line]:
    """As the command does, told nothing."""
    return read_invoice(path, {}, None)[0]


def drift(lines: list[Line], *ours: Line) -> Drift:
    """Beside charges that all have a price."""
    return compare([(line, 0) for line in ours], lines, NAMES)


def test_the_export_of_openais_dashboard_is_read_without_being_told_anything() -> None:
    assert read(MADE / "openai_dashboard.csv") == [
        Line(FIRST, "openai", "gpt-4o-2024-08-06", 410_000_000, "input"),
        Line(FIRST, "openai", "gpt-4o-2024-08-06", 1_250_000_000, "output"),
        Line(FIRST, "openai", "gpt-4o-mini-2024-07-18", 31_250_000, "cached input"),
        Line(THIRD, "openai", "gpt-4o-2024-08-06", 700_000_000, ""),
        Line(THIRD, "openai", "", 25_000_000, "web search tool calls"),
    ]


def test_the_answer_of_openais_costs_is_read_with_amounts_that_are_numbers_or_strings() -> None:
    assert read(MADE / "openai_costs.json") == [
        Line(FIRST, "openai", "gpt-4o-2024-08-06", 410_000_000, "Input"),
        Line(FIRST, "openai", "gpt-4o-2024-08-06", 1_250_000_000, "output"),
        Line(THIRD, "openai", "gpt-4o-2024-08-06", 700_000_000, ""),
        Line(THIRD, "openai", "", 25_000_000, "Text tokens"),
    ]


def test_anthropics_console_names_models_for_people_and_they_match_those_of_the_api() -> None:
    lines = read(MADE / "anthropic_console.csv")
    ours = [
        Line(FIRST, "anthropic", "claude-haiku-4-5-20251001", 70_000_000),
        Line(FIRST, "anthropic", "claude-sonnet-4-5", 110_000_000),
        Line(SECOND, "anthropic", "claude-opus-4-5", 300_000_000),
        Line(SECOND, "anthropic", "claude-haiku-4-5", 0),
    ]
    found = drift(lines, *ours)
    assert (found.beyond(0, 0), len(found.cells), found.besides_nanousd) == ((), 4, 40_000_000)


def test_anthropics_cost_report_is_in_cents() -> None:
    found = drift(read(MADE / "anthropic_cost_report.json"), Line(FIRST, "anthropic", "claude-haiku-4-5", 71_250_000))
    assert (found.beyond(0, 0), len(found.cells), found.besides_nanousd) == ((), 1, 40_000_000)


@pytest.mark.parametrize(
    ("people", "api"),
    [
        ("Claude Haiku 4.5", "claude-haiku-4-5-20251001"),
        ("Claude 3.5 Sonnet 2024-10-22", "claude-3-5-sonnet-20241022"),
        ("Claude Of Tomorrow 9.1", "claude-of-tomorrow-9-1"),
    ],
)
def test_a_name_for_people_is_the_models_whether_or_not_it_has_a_price(people: str, api: str) -> None:
    assert NAMES("anthropic", people) == NAMES("anthropic", api)


def test_an_invoice_that_says_for_no_line_which_model_it_was_is_no_match_but_an_error() -> None:
    with pytest.raises(CliError, match="no line says which model"):
        read(MADE / "openai_dashboard_ungrouped.csv")


def focus(path: Path, zone: ZoneInfo) -> Path:
    """What our own exporter writes of usage of $3 and a correction of half a dollar."""
    group = ChargeGroup(
        day_ms=NOON_MS,
        recorded_month="",
        kind="usage",
        split=True,
        priced=True,
        organization="acme",
        project="",
        team="",
        user="",
        provider="openai",
        model="gpt-4o",
        tags={},
        price_version="p",
        cost_nanousd=3_000_000_000,
        requests=2,
        unpriced=0,
        input_tokens=1_000,
        output_tokens=100,
        cache_read_tokens=0,
        cache_write_tokens=0,
        input_cost_nanousd=2_000_000_001,
        output_cost_nanousd=999_999_999,
        cache_read_cost_nanousd=0,
        cache_write_cost_nanousd=0,
    )
    fields = {name: getattr(group, name) for name in group.__struct_fields__}
    corrected = ChargeGroup(**fields | {"kind": "correction", "split": False, "cost_nanousd": 500_000_000})
    rows = [row for each in (group, corrected) for row in focus_rows(each, zone)]
    names = sorted({name for row in rows for name in row})
    if path.suffix == ".parquet":
        pq.write_table(pa.table({name: [row.get(name) for row in rows] for name in names}), path)
        return path
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        for row in rows:
            writer.writerow(
                {name: value.isoformat() if isinstance(value, datetime) else value for name, value in row.items()}
            )
    return path


@pytest.mark.parametrize("name", ["ours.csv", "ours.parquet"])
def test_our_own_focus_export_is_an_invoice_that_agrees_with_us(tmp_path: Path, name: str) -> None:
    found = drift(read(focus(tmp_path / name, ZoneInfo("UTC"))), Line(FIRST, "openai", "gpt-4o", 3_500_000_000))
    assert (found.beyond(0, 0), len(found.cells), found.besides_nanousd) == ((), 1, 0)


def test_a_charge_period_that_is_no_utc_day_is_refused_rather_than_put_on_the_wrong_one(tmp_path: Path) -> None:
    with pytest.raises(CliError, match="more than one UTC day"):
        read(focus(tmp_path / "ours.csv", ZoneInfo("America/New_York")))
