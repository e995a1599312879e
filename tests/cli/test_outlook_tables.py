"""What is foreseen, as a terminal shows it."""

from __future__ import annotations

import io
from datetime import UTC, date, datetime

from rich.console import Console
from rich.table import Table

from services.cli.outlook_tables import alerts_table, anomalies_table, forecasts_table, outlook_table
from services.console.status import BudgetOutlook, ExpectedTotal, ScopeOutlook, WindowOutlook

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def shown(table: Table) -> str:
    out = io.StringIO()
    Console(file=out, width=240, highlight=False).print(table)
    return out.getvalue()


def window(name: str, expected: ExpectedTotal | None, *budgets: BudgetOutlook) -> WindowOutlook:
    return WindowOutlook(
        window=name,
        starts_at=NOW,
        ends_at=NOW,
        settled_usd="12.00",
        reserved_usd="0.00",
        unconfirmed_usd="0.00",
        requests=3,
        unpriced=0,
        days_elapsed=23.5,
        days_remaining=6.52,
        daily_average_usd="0.52",
        expected=expected,
        budgets=list(budgets),
    )


def test_an_outlook_tells_forecasts_from_the_pace_and_budgets_from_none() -> None:
    budget = BudgetOutlook(
        budget="company",
        limit_usd="20.00",
        remaining_usd="8.00",
        utilization=0.6,
        tier="normal",
        on_hard="deny",
        recommended_daily_usd="1.2269",
        exhausted_on=date(2026, 11, 29),
        probability=0.8125,
    )
    forecast = ExpectedTotal(
        basis="forecast", total_usd="25.00", low_usd="24.00", high_usd="26.50", as_of=date(2026, 11, 24)
    )
    pace = ExpectedTotal(basis="run_rate", total_usd="15.319", low_usd=None, high_usd=None, as_of=None)
    found = ScopeOutlook(
        scope="org:acme",
        level="organization",
        organization="acme",
        timezone="UTC",
        policy_version=1,
        windows=[window("month:2026-11", forecast, budget), window("week:2026-W48", pace), window("total", None)],
        as_of=NOW,
    )
    lines = [line.split() for line in shown(outlook_table(found)).splitlines()]
    assert ["month:2026-11", "company", "$0.52", "$25.00", "$24.00", "-", "$26.50", "6.5", "$1.23"] in [
        line[:9] for line in lines
    ]
    assert ["2026-11-29", "81%"] in [line[9:] for line in lines]
    assert ["week:2026-W48", "$0.52", "~$15.32", "6.5"] in lines
    assert ["total", "$0.52", "6.5"] in lines


def test_forecasts_name_the_budgets_at_risk() -> None:
    row = {
        "scope": "org:acme/project:search",
        "window": "month:2026-11",
        "as_of": "2026-11-24",
        "spent_usd": "10.00",
        "total_usd": "30.125",
        "low_usd": "28.00",
        "high_usd": "33.00",
        "risks": [{"budget": "search", "probability": 0.9}, {"budget": "huge", "probability": 0.0}],
        "models": ["theta", "prophet"],
    }
    text = shown(forecasts_table("acme", [row]))
    for part in ("project:search", "$30.12", "$28.00 - $33.00", "search 90%", "theta, prophet"):
        assert part in text
    assert "huge" not in text


def test_alerts_say_what_happened_and_what_is_expected() -> None:
    common = {
        "raised_at": "2026-11-24T12:30:00Z",
        "severity": "warning",
        "budget": "company",
        "scope": "org:acme",
        "window": "month:2026-11",
        "settled_usd": "12.00",
        "limit_usd": "20.00",
    }
    answered = {"by": "ada", "note": "on it", "at": "2026-11-24T12:45:00Z"}
    crossed = {**common, "kind": "threshold", "threshold": "0.75", "acknowledged": answered}
    projected = {
        **common,
        "kind": "projection",
        "threshold": "1.0",
        "acknowledged": None,
        "probability": 0.91,
        "projected_usd": "25.00",
        "expected_on": "2026-11-29",
    }
    text = shown(alerts_table("acme", [crossed, projected]))
    assert "75% reached" in text
    assert "ada, 11-24 12:45" in text
    assert "nobody yet" in text
    assert "expected to end at $25.00: over the limit with 91%, on 2026-11-29" in text


def test_a_name_cannot_write_in_the_tables_own_hand() -> None:
    row = {
        "begins": "2026-11-24T12:00:00Z",
        "hour": "2026-11-24T13:00:00Z",
        "severity": "critical",
        "kind": "spike",
        "scope": "org:acme",
        "observed_usd": "90.00",
        "expected_usd": "11.00",
        "contributors": [
            {"dimension": "user", "value": "[red]batch[/]", "observed_usd": "80.00", "expected_usd": "0.30"},
            {"dimension": "tag.feature", "value": "reindex", "observed_usd": "80.00", "expected_usd": "0.30"},
        ],
    }
    assert "user [red]batch[/] $0.30 → $80.00; feature reindex" in shown(anomalies_table("acme", [row]))
