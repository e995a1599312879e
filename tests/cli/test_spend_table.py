"""Reports as people and programs get them: what is unassigned, unpriced or an estimate is said, and money is exact."""

from __future__ import annotations

import csv
import io
import json
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow.parquet as pq
import pytest

from services.cli.commands.report import Format, write
from services.cli.errors import CliError
from services.cli.render import console
from services.cli.reports import named_period
from services.cli.spend_table import as_parquet, change, print_spending
from services.core.attribution import (
    QuestionError,
    Spending,
    SpendQuery,
    SpendRow,
    parse_dimension,
    parse_filters,
    spending,
)
from services.core.period import parse_period, previous
from services.core.spend_text import as_csv, as_document

NEW_YORK = ZoneInfo("America/New_York")
NOW_MS = 1_795_539_600_000
PERIOD = parse_period("2026-11", NEW_YORK, NOW_MS)
ROWS = (
    SpendRow(name="alice", cost_nanousd=2_500_000_001, requests=3, unpriced=1, previous_nanousd=2_000_000_000),
    SpendRow(name="", cost_nanousd=1, requests=1, unconfirmed_nanousd=1, previous_nanousd=0),
    SpendRow(name='=HYPERLINK("http://evil")', cost_nanousd=-7, requests=0, previous_nanousd=0),
)
REST = SpendRow(names=12, cost_nanousd=5, requests=12, previous_nanousd=9)


def answered(by: str = "user", *, compare: bool = True) -> Spending:
    """An answer with everything in it that is hard to show."""
    before = previous(PERIOD) if compare else None
    query = SpendQuery("acme", parse_dimension(by), PERIOD, parse_filters(["project:search"]), 3, before)
    return spending(query, ROWS, REST)


def printed(found: Spending, capsys: pytest.CaptureFixture[str]) -> str:
    """The table, as text."""
    print_spending(found, console())
    return capsys.readouterr().out


def test_a_table_says_what_is_unassigned_unpriced_and_left_over(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(answered(), capsys)
    assert "acme by user, 2026-11-01 00:00 to 2026-12-01 00:00 America/New_York, only project:search" in text
    for word in ("(no user)", "(12 more)", "≥ $2.5000", "+25.0%", "new", "total"):
        assert word in text


def test_a_table_of_nothing_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    nothing = spending(SpendQuery("acme", parse_dimension("day"), PERIOD), ())
    assert "nothing was charged" in printed(nothing, capsys)


def test_csv_is_exact_and_runs_no_formula() -> None:
    lines = list(csv.DictReader(io.StringIO(as_csv(answered()))))
    assert [line["user"] for line in lines] == ["alice", "(no user)", '\'=HYPERLINK("http://evil")', "(12 more)"]
    assert [line["cost_usd"] for line in lines] == ["2.500000001", "0.000000001", "-0.000000007", "0.000000005"]
    assert lines[0]["change_usd"] == "0.500000001"


def test_json_keeps_the_name_and_adds_what_people_read() -> None:
    document = as_document(answered())
    assert [row["user"] for row in document["rows"]] == [row.name for row in ROWS]
    assert document["rows"][1]["label"] == "(no user)"
    assert document["total_usd"] == "2.50"
    assert document["total"]["unpriced"] == 1
    assert document["rest"]["names"] == 12
    assert json.loads(json.dumps(document)) == document


def test_parquet_holds_exact_decimals() -> None:
    found = pq.read_table(io.BytesIO(as_parquet(answered()))).to_pydict()
    assert found["cost_usd"][0] == Decimal("2.500000001")
    assert sum(found["cost_usd"]) == Decimal("2.5")
    assert found["previous_usd"][3] == Decimal("0.000000009")
    assert found["user"][1] == "(no user)"


def test_a_team_is_said_with_its_project() -> None:
    query = SpendQuery("acme", parse_dimension("team"), PERIOD)
    rows = [SpendRow(name="ranking", parent="search"), SpendRow(name="ranking"), SpendRow(parent="search"), SpendRow()]
    labels = [row["label"] for row in as_document(spending(query, rows))["rows"]]
    assert labels == ["search/ranking", "(no project)/ranking", "search/(no team)", "(no team)"]


@pytest.mark.parametrize(
    ("now", "past", "said"),
    [(5, 0, "new"), (0, 0, ""), (0, 4, "-100.0%"), (3, 2, "+50.0%"), (2, 2, "+0.0%"), (10_000, 1, "+999,900.0%")],
)
def test_a_change_is_said_as_people_do(now: int, past: int, said: str) -> None:
    assert change(now, past) == said


@pytest.mark.parametrize("format_", [Format.CSV, Format.JSON, Format.PARQUET])
def test_a_report_goes_into_a_file(tmp_path: Path, format_: Format) -> None:
    write(answered(), format_, tmp_path / "report")
    assert (tmp_path / "report").stat().st_size > 100
    with pytest.raises(CliError, match="cannot be written"):
        write(answered(), format_, tmp_path / "missing" / "report")


def test_a_table_goes_into_no_file(tmp_path: Path) -> None:
    with pytest.raises(CliError, match="screen"):
        write(answered(), Format.TABLE, tmp_path / "report")


def test_a_period_is_named_or_has_two_ends() -> None:
    assert named_period(None, None, None, NEW_YORK, NOW_MS) == PERIOD
    until_today = named_period(None, "2026-11-20", None, NEW_YORK, NOW_MS)
    assert f"{until_today.begin:%m-%d} {until_today.end:%m-%d}" == "11-20 11-25"
    ended = named_period(None, None, "2026-11-03T12:00", NEW_YORK, NOW_MS)
    assert (ended.start_ms, f"{ended.end:%m-%dT%H:%M}") == (PERIOD.start_ms, "11-03T12:00")
    with pytest.raises(CliError, match="its own ends"):
        named_period("today", "2026-11-20", None, NEW_YORK, NOW_MS)


@pytest.mark.parametrize("text", ["", "colour", "tag", "tag.", "TEAM", "token class"])
def test_what_is_no_dimension_is_refused(text: str) -> None:
    with pytest.raises(QuestionError):
        parse_dimension(text)


@pytest.mark.parametrize("text", ["alice", "colour:red", "day:2026-11-01", "token_class:input", "user:" + "x" * 513])
def test_what_is_no_filter_is_refused(text: str) -> None:
    with pytest.raises(QuestionError):
        parse_filters([text])


def test_filters_of_one_dimension_are_alternatives() -> None:
    found = parse_filters(["user:a", "tag.x%3Ay:1", "user:b:c", "user:a", "feature:", "tag.feature:f"])
    assert [(str(each.dimension), each.values) for each in found] == [
        ("user", ("a", "b:c")),
        ("tag.x:y", ("1",)),
        ("feature", ("", "f")),
    ]
    with pytest.raises(QuestionError, match="more than"):
        parse_filters(["user:a"] * 101)
