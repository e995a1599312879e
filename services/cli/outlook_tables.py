"""What is foreseen, laid out for a terminal: outlooks, forecasts, alerts and anomalies."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.table import Table
from rich.text import Text

from services.cli.render import dollars, short_scope, table
from services.console.status import BudgetOutlook, ScopeOutlook, WindowOutlook
from services.core.money import parse_usd

Row = Mapping[str, Any]
NAMED = 3
"""Contributors that a line names."""


def outlook_table(found: ScopeOutlook) -> Table:
    """A line for each budget; for a window without one, what it is expected to cost."""
    made = table(
        "outlook",
        (
            "window",
            "budget",
            ">a day",
            ">expected",
            ">80% between",
            ">days left",
            ">may cost a day",
            "runs out",
            ">chance",
        ),
    )
    for window in found.windows:
        for budget in window.budgets:
            made.add_row(window.window, budget.budget, *_expected(window), *_left(window, budget))
        if not window.budgets:
            made.add_row(window.window, "", *_expected(window), *_left(window, None))
    return made


def forecasts_table(organization: str, rows: Sequence[Row]) -> Table:
    """A line for each scope and window, the largest first."""
    made = table(
        f"forecasts of {organization}",
        ("scope", "window", "as of", ">spent", ">expected", ">80% between", "at risk", "models"),
    )
    for row in rows:
        interval = between(row["low_usd"], row["high_usd"])
        amounts = usd(row["spent_usd"]), usd(row["total_usd"]), interval
        models = ", ".join(row["models"])
        made.add_row(short_scope(row["scope"]), row["window"], row["as_of"], *amounts, _risks(row["risks"]), models)
    return made


def alerts_table(organization: str, rows: Sequence[Row]) -> Table:
    """A line for each alert, the latest first."""
    made = table(
        f"alerts of {organization}", ("at (UTC)", "severity", "budget", "scope", "window", ">spent", ">limit", "says")
    )
    for row in rows:
        amounts = usd(row["settled_usd"]), usd(row["limit_usd"])
        where = row["budget"], short_scope(row["scope"]), row["window"]
        made.add_row(_minute(row["raised_at"]), row["severity"], *where, *amounts, _says(row))
    return made


def anomalies_table(organization: str, rows: Sequence[Row]) -> Table:
    """A line for each episode, the latest first, with who moved most."""
    made = table(
        f"anomalies of {organization}",
        ("since (UTC)", "shown by", "severity", "kind", "scope", ">spent", ">usual", "who moved"),
    )
    for row in rows:
        amounts = usd(row["observed_usd"]), usd(row["expected_usd"])
        when = _minute(row["begins"]), _minute(row["hour"])
        made.add_row(*when, row["severity"], row["kind"], short_scope(row["scope"]), *amounts, _moved(row))
    return made


def usd(text: str) -> str:
    """An amount of the API, rounded to cents."""
    return dollars(parse_usd(text))


def between(low: str | None, high: str | None) -> str:
    """An interval; empty where there is none."""
    return "" if low is None or high is None else f"{usd(low)} - {usd(high)}"


def _expected(window: WindowOutlook) -> tuple[str, str, str]:
    average = "" if window.daily_average_usd is None else usd(window.daily_average_usd)
    if window.expected is None:
        return average, "", ""
    rough = "" if window.expected.basis == "forecast" else "~"
    total = rough + usd(window.expected.total_usd)
    return average, total, between(window.expected.low_usd, window.expected.high_usd)


def _left(window: WindowOutlook, budget: BudgetOutlook | None) -> tuple[str, str, str, str]:
    days = "" if window.days_remaining is None else f"{window.days_remaining:.1f}"
    if budget is None:
        return days, "", "", ""
    recommended = "" if budget.recommended_daily_usd is None else usd(budget.recommended_daily_usd)
    runs_out = "" if budget.exhausted_on is None else budget.exhausted_on.isoformat()
    chance = "" if budget.probability is None else f"{budget.probability:.0%}"
    return days, recommended, runs_out, chance


def _risks(risks: Iterable[Row]) -> str:
    told = [f"{risk['budget']} {risk['probability']:.0%}" for risk in risks if risk["probability"] >= 0.01]
    return ", ".join(told)


def _says(row: Row) -> str:
    if row["kind"] == "unpriced":
        return "has no known price"
    if row["kind"] != "projection":
        return f"{float(row['threshold']):.0%} reached"
    day = f", on {row['expected_on']}" if row["expected_on"] else ""
    return f"expected to end at {usd(row['projected_usd'])}: over the limit with {row['probability']:.0%}{day}"


def _moved(row: Row) -> Text:
    """As it is: whoever names a user could else write in the colours of this table."""
    told = []
    for each in row["contributors"][:NAMED]:
        who = f"{each['dimension'].removeprefix('tag.')} {each['value']}"
        told.append(f"{who} {usd(each['expected_usd'])} → {usd(each['observed_usd'])}")
    return Text("; ".join(told))


def _minute(instant: str) -> str:
    return f"{datetime.fromisoformat(instant):%m-%d %H:%M}"
