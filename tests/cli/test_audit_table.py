"""The audit log for people: what a line says of a change, and what a spreadsheet gets."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest

from services.cli.audit_table import COLUMNS, as_csv, audit_table, change

ENTRY: dict[str, Any] = {
    "entry": "0-3-0-0",
    "action": "policy.applied",
    "subject": "acme",
    "by": "ada",
    "key_id": None,
    "reason": "=HYPERLINK(1)",
    "before": {"version": 1, "limits": {"month": "10.00"}},
    "after": {"version": 2, "raised": {"month": "2.50"}, "approved_by": "bob", "proposal": "prop-1"},
    "budgets": ["month"],
    "at": "2026-11-24T12:00:00Z",
    "ledger": {"partition": 0, "offset": 3},
}


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        (ENTRY["before"], ENTRY["after"], "version 1 to 2; month +$2.50; approved by bob"),
        (None, {"version": 1, "added": {"a": "1.00"}}, "version 0 to 1; a new, $1.00"),
        (
            {"version": 2},
            {"version": 3, "lowered": {"a": "1.00"}, "otherwise": ["a", "b"], "removed": {"c": "4.00"}},
            "version 2 to 3; c gone, was $4.00; a -$1.00; b otherwise",
        ),
        (
            {"version": 2},
            {"version": 3, "raised": dict.fromkeys("abcdef", "1.00"), "sections": ["governance"], "omitted": 5},
            "version 2 to 3; a +$1.00; b +$1.00; c +$1.00; d +$1.00; and 8 more",
        ),
        (None, {"amount_usd": "5", "until": "2026-12-01T00:00:00Z"}, "$5 until 2026-12-01T00:00:00Z"),
        ({"cost_usd": None}, {"cost_usd": "0.25"}, "unpriced to $0.25"),
        (None, {"made_by": "ada"}, "made by ada"),
        (None, None, ""),
    ],
)
def test_a_line_says_what_changed(before: dict[str, Any] | None, after: dict[str, Any] | None, says: str) -> None:
    assert change({**ENTRY, "before": before, "after": after}) == says


def test_a_table_has_a_line_for_each_entry() -> None:
    made = audit_table("acme", [ENTRY, ENTRY])
    assert made.row_count == 2
    assert [next(iter(column.cells)) for column in made.columns][:4] == [
        "2026-11-24 12:00",
        "ada",
        "policy.applied",
        "acme",
    ]


def test_a_spreadsheet_gets_everything_and_no_formula() -> None:
    header, row = csv.reader(io.StringIO(as_csv([ENTRY])))
    found = dict(zip(header, row, strict=True))
    assert tuple(header) == COLUMNS
    assert (found["reason"], found["key_id"]) == ("'=HYPERLINK(1)", "")
    assert found["budgets"] == '["month"]'
