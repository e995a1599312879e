"""Every question of the dashboards, put to the real engine as Grafana would put it, and answered rightly."""

from __future__ import annotations

import re
import secrets
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import clickhouse_connect
import pytest

from deploy.grafana.boards import ALL
from deploy.grafana.macros import Picked, expand
from deploy.grafana.model import Sql
from deploy.grafana.statements import statements
from deploy.local.clickhouse.program import ClickHouse
from services.adapters.clickhouse import open_client
from services.core.events import from_ms
from services.core.outcomes import Charge
from tests.integration.dashboards import BUDGET, HOSTILE, ORGANIZATION, SCOPE, UNCONFIRMED, Seeded, seed
from tests.integration.sinking import DAY_MS, NOON_MS

HOUR_MS = 3_600_000
FROM_MS, TO_MS = NOON_MS - 6 * DAY_MS + 1_000, NOON_MS + 2 * DAY_MS
VALUES: Mapping[str, str | Sequence[str] | None] = {
    "organization": ORGANIZATION,
    "project": None,
    "tag": "feature",
    "scope": SCOPE,
    "period": "month",
    "budget": None,
    "zone": "UTC",
}
NAMES = [statement.name for statement in statements(Picked(0, 1, 3600, VALUES))]
TEXTS = {f"{board.uid}: {p.title}": t for board in ALL for p in board.panels() for t in p.targets if isinstance(t, Sql)}
Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
async def seeded(clickhouse_server: ClickHouse) -> AsyncIterator[Seeded]:
    """One filled database for this module: nothing here writes."""
    database = f"t{secrets.token_hex(4)}"
    admin = await clickhouse_connect.get_async_client(dsn=clickhouse_server.address("default"))
    await admin.command(f"CREATE DATABASE {database}")
    try:
        yield await seed(clickhouse_server.address(database))
    finally:
        await admin.command(f"DROP DATABASE {database}")
        await admin.close()


def ask(
    seeded: Seeded, name: str, *, from_ms: int = FROM_MS, to_ms: int = TO_MS, **changed: str | Sequence[str] | None
) -> Rows:
    """The rows of a statement."""
    picked = Picked(from_ms // 1000, to_ms // 1000, 3600, {**VALUES, **changed})
    texts = dict(statements(picked))
    with open_client(seeded.address) as client:
        return list(client.query(texts[name]).named_results())


def in_range(charge: Charge) -> bool:
    """Charged in the hours that the range touches."""
    return FROM_MS // HOUR_MS * HOUR_MS <= charge.charged_at_ms < TO_MS // HOUR_MS * HOUR_MS + HOUR_MS


def on_days(charge: Charge) -> bool:
    """Charged on the days that the range touches."""
    return FROM_MS // DAY_MS <= charge.charged_at_ms // DAY_MS <= TO_MS // DAY_MS


def usd(nanousd: int) -> Decimal:
    """Dollars, exactly."""
    return Decimal(nanousd).scaleb(-9)


def spent(charges: Sequence[Charge], name: Callable[[Charge], str]) -> dict[str, Decimal]:
    """The same sums, added up here."""
    sums: Counter[str] = Counter()
    for charge in charges:
        sums[name(charge) or "(none)"] += charge.cost_nanousd or 0
    return {key: usd(amount) for key, amount in sums.items()}


@pytest.mark.parametrize("name", NAMES)
def test_every_panel_and_variable_is_answered_with_rows(seeded: Seeded, name: str) -> None:
    rows = ask(seeded, name)
    assert rows
    assert any(value is not None for row in rows for value in row.values())


@pytest.mark.parametrize("name", NAMES)
def test_a_database_without_rows_is_no_error(seeded: Seeded, name: str) -> None:
    assert isinstance(ask(seeded, name, organization="nobody", scope="org:nobody"), list)


@pytest.mark.parametrize("name", [name for name, target in TEXTS.items() if target.shape == "timeseries"])
def test_a_time_series_is_in_order_and_has_figures(seeded: Seeded, name: str) -> None:
    rows = ask(seeded, name)
    times = [row["time"] for row in rows]
    assert times == sorted(times)
    kinds = {type(value) for row in rows for key, value in row.items() if key != "time"}
    assert kinds & {Decimal, int, float}


@pytest.mark.parametrize("name", NAMES)
def test_nothing_of_another_organization_is_in_an_answer(seeded: Seeded, name: str) -> None:
    """A viewer's choice narrows every figure: nothing of the other organization is in it."""
    for row in ask(seeded, name):
        assert row.get("org", ORGANIZATION) == ORGANIZATION
        assert row.get("organization", ORGANIZATION) in ("org-0", "org-1")


def test_the_figures_of_the_overview_equal_an_independent_sum(seeded: Seeded) -> None:
    hours = [c for c in seeded.charges if c.organization == ORGANIZATION and in_range(c)]
    days = [c for c in seeded.charges if c.organization == ORGANIZATION and on_days(c)]
    total = sum(c.cost_nanousd or 0 for c in hours)
    requests = sum(c.requests for c in hours)

    def one(title: str) -> Any:
        (row,) = ask(seeded, f"spendgate-overview: {title}")
        return next(iter(row.values()))

    assert one("Spend") == usd(total)
    assert one("Requests") == requests
    assert one("Cost per request") == usd(total // requests)
    assert one("Unpriced requests") == sum(c.unpriced for c in hours)
    assert one("Failed requests") == sum(c.requests for c in hours if c.status != "ok")

    def over_time(title: str) -> dict[str, Decimal]:
        sums = defaultdict[str, Decimal](Decimal)
        for row in ask(seeded, f"spendgate-overview: {title}"):
            time, name, amount = row.values()
            assert time.minute == 0
            sums[name] += amount
        return dict(sums)

    assert over_time("Spend by project") == spent(hours, lambda c: c.project or "")
    assert over_time("Spend by model") == spent(hours, lambda c: c.model)

    def top(title: str) -> dict[str, Decimal]:
        return {row["name"]: row["spend"] for row in ask(seeded, f"spendgate-overview: {title}")}

    by_user = spent(days, lambda c: c.user or "")
    assert top("Top users") == dict(sorted(by_user.items(), key=lambda item: (-item[1], item[0]))[:20])
    assert top("Top models") == spent(days, lambda c: c.model)
    tagged = [c for c in days if "feature" in c.tags]
    assert top("Top values of the tag") == spent(tagged, lambda c: c.tags["feature"])


def test_all_but_the_ten_largest_projects_are_drawn_as_one(seeded: Seeded) -> None:
    by_project = spent([c for c in seeded.charges if c.organization == ORGANIZATION], lambda c: c.project or "")
    largest = sorted(by_project, key=lambda name: (-by_project[name], "" if name == "(none)" else name))[:10]
    expected = defaultdict[str, Decimal](Decimal)
    for name, amount in by_project.items():
        expected[name if name in largest else "(others)"] += amount
    found = defaultdict[str, Decimal](Decimal)
    begin_ms, end_ms = NOON_MS - 30 * DAY_MS, NOON_MS + 30 * DAY_MS
    for row in ask(seeded, "spendgate-overview: Spend by project", from_ms=begin_ms, to_ms=end_ms):
        found[row["name"]] += row["spend"]
    assert "(others)" in found
    assert found == expected


def test_unconfirmed_is_what_nobody_settled(seeded: Seeded) -> None:
    assert ask(seeded, "spendgate-overview: Unconfirmed spend") == [{"unconfirmed": usd(sum(UNCONFIRMED))}]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_selects_itself_and_nothing_else(seeded: Seeded, name: str) -> None:
    itself = [c for c in seeded.charges if c.project == name and in_range(c)]
    expected = usd(sum(c.cost_nanousd or 0 for c in itself)) if itself else Decimal(0)
    assert ask(seeded, "spendgate-overview: Spend", project=[name]) == [{"spend": expected}]
    both = [c for c in seeded.charges if c.organization == ORGANIZATION and c.project in (name, "chat") and in_range(c)]
    expected = usd(sum(c.cost_nanousd or 0 for c in both))
    assert ask(seeded, "spendgate-overview: Spend", project=[name, "chat"]) == [{"spend": expected}]


def test_an_empty_name_is_a_choice_of_its_own(seeded: Seeded) -> None:
    unassigned = [c for c in seeded.charges if c.organization == ORGANIZATION and not c.project and in_range(c)]
    expected = usd(sum(c.cost_nanousd or 0 for c in unassigned))
    assert ask(seeded, "spendgate-overview: Spend", project=[""]) == [{"spend": expected}]
    assert ask(seeded, "spendgate-overview: Spend", project=[]) == [{"spend": expected}]


def test_the_budget_says_what_its_latest_forecast_says(seeded: Seeded) -> None:
    def one(title: str, **changed: Any) -> Any:
        (row,) = ask(seeded, f"spendgate-budget: {title}", **changed)
        return next(iter(row.values()))

    assert one("Settled") == usd(2_500_000)
    assert one("Limit") == usd(40_000_000)
    assert one("Limit", budget=["search-cap"]) == usd(80_000_000)
    assert one("Utilization") == 2_500_000 / 40_000_000
    assert one("Projected total") == usd(36_000_000)
    assert one("Chance to exceed", budget=[BUDGET]) == 0.25
    course = ask(seeded, "spendgate-budget: Settled and limit", budget=["search-cap"])
    assert {row["limit"] for row in course} == {usd(80_000_000)}
    fan = ask(seeded, "spendgate-budget: Where it is heading")
    assert [row["middle"] for row in fan] == [usd(2_500_000 + 10 * number) for number in range(len(fan))]


def test_refusals_are_counted_for_the_budget_that_bound(seeded: Seeded) -> None:
    refusals = ask(seeded, "spendgate-budget: Refusals over time")
    denials = ask(seeded, "spendgate-enforcement: Denials by budget")
    assert sum(row["denials"] for row in denials) == sum(r["refused"] for r in refusals if r["answer"] == "deny")
    assert ask(seeded, "spendgate-budget: Refusals over time", budget=["another"]) == []


def test_earlier_forecasts_are_judged_by_what_came(seeded: Seeded) -> None:
    over = [c for c in seeded.charges if c.organization == ORGANIZATION and c.project == "search"]
    (judged,) = ask(seeded, "spendgate-forecasts: Projected and actual")
    inside = [c for c in over if judged["begins"] <= from_ms(c.charged_at_ms).date() < judged["ends"]]
    actual = sum(c.cost_nanousd or 0 for c in inside)
    assert judged["spent"] == usd(actual)
    by_days = ask(seeded, "spendgate-forecasts: Error by days left")
    assert [row["days_left"] for row in by_days] == sorted({row["days_left"] for row in by_days}, reverse=True)
    for row in by_days:
        assert row["wape"] == pytest.approx(abs(30_000_000 + 300_000 * row["days_left"] - actual) / abs(actual))


def test_the_time_zone_moves_the_edges_of_a_window(seeded: Seeded) -> None:
    (utc,) = ask(seeded, "spendgate-forecasts: Projected and actual")
    (tokyo,) = ask(seeded, "spendgate-forecasts: Projected and actual", zone="Asia/Tokyo")
    assert tokyo["spent"] != utc["spent"]


def test_spending_is_read_from_roll_ups() -> None:
    """A dashboard that scans charges is slow exactly when many look at it."""
    for statement in statements(Picked(FROM_MS // 1000, TO_MS // 1000, 3600, VALUES)):
        assert not re.search(r"\b(FROM|JOIN) charges\b", statement.sql), statement.name


def test_a_choice_is_found_by_the_primary_key(seeded: Seeded) -> None:
    picked = Picked(FROM_MS // 1000, TO_MS // 1000, 3600, {**VALUES, "organization": ["org-0", "org-7"]})
    text = expand(TEXTS["spendgate-overview: Spend"].text, picked)
    with open_client(seeded.address) as client:
        told = "\n".join(row[0] for row in client.query(f"EXPLAIN indexes = 1 {text}").result_rows)
    assert "(organization in 2-element set)" in told
