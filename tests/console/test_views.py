"""What is on which page: figures of this organization alone, in the right windows, and charts that say the truth."""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import Any

import msgspec
import pytest

from services.console import charts
from services.console.board import Board
from services.console.figures_json import figures_of
from services.console.places import crumbs, path_of, scope_of_path, short_name
from services.console.rendering import Renderer
from services.console.views import daily_of, outlook_of, view_of
from services.core.escrow import Share
from services.core.events import from_ms
from services.core.foresight_events import BudgetRisk, FanPoint, Forecast, ForecastMade
from services.core.outcomes import Alert, AlertRaised
from services.core.window import WindowKind
from tests.console.boards import NOW_MS, USD, Sent, balance, board_of, charge, policy, posted

POLICY = """
organization: acme
timezone: America/New_York
budgets:
  - {name: company-month, limit_usd: "1000", window: month}
  - {name: each-user-day, scope: {user: "*"}, limit_usd: "10", window: day}
"""
PATHS = ["/", "/o/acme", "/o/acme/p/search", "/o/acme/p/search/t/ranking", "/o/acme/u/ada"]
TOLD = ["/alerts", "/anomalies", "/forecasts", "/decisions"]


SHARES = {"e1": Share(granted_nanousd=200 * USD, used_nanousd=12 * USD), "e2": Share(granted_nanousd=62 * USD)}
"""What two enforcers hold: 250 dollars together."""


@pytest.fixture
def board() -> Board:
    scopes = ("org:acme", "org:acme/project:search", "org:acme/project:search/team:ranking", "org:acme/user:ada")
    labels = ("day:2026-11-17", "month:2026-11")
    balances = [balance(f"{scope}@{label}", 12.5) for scope in scopes for label in labels]
    return board_of(
        policies=[policy(POLICY)],
        balances=[*balances, balance("org:acme@day:2026-11-02", 5), balance("org:rival@month:2026-11", 7)],
        charges=[posted(charge(1, project="search", team="ranking"), charge(2, organization="rival"))],
        forecasts=[forecast()],
    )


def forecast(made_at_ms: int = NOW_MS, total_usd: int = 900) -> Sent:
    """What is expected of Acme's November, from the 17th on."""
    days = [date(2026, 11, 17) + timedelta(days=n) for n in range(14)]
    made = Forecast(
        forecast="f",
        organization="acme",
        scope="org:acme",
        window="month:2026-11",
        as_of=days[0],
        begins=date(2026, 11, 1),
        ends=date(2026, 12, 1),
        spent_nanousd=5 * USD,
        total_nanousd=total_usd * USD,
        low_nanousd=700 * USD,
        high_nanousd=1200 * USD,
        fan=[
            FanPoint(day=on, low_nanousd=50 * n * USD, mid_nanousd=64 * n * USD, high_nanousd=85 * n * USD)
            for n, on in enumerate(days, 1)
        ],
        risks=[BudgetRisk(budget="company-month", limit_nanousd=1000 * USD, probability=0.3)],
        made_at_ms=made_at_ms,
    )
    return Sent(None, msgspec.json.encode([ForecastMade(id="f", source="t", time=from_ms(NOW_MS), data=made)]))


@pytest.mark.parametrize("path", [*PATHS, *TOLD])
def test_every_live_page_renders_and_has_nothing_of_others(board: Board, path: str) -> None:
    view = view_of(board, path, ["acme"], NOW_MS)
    assert view is not None
    panels = Renderer().panels(view)
    assert list(panels) == list(view.panels)
    for name, html in panels.items():
        assert "rival" not in html
        assert f'id="h-{name}"' in html
        assert "style=" not in html


@pytest.mark.parametrize(
    "path", ["/o/rival", "/o/rival/p/x", "/o/acme/p/unknown", "/o/acme/u/unknown", "/o", "/x", "/o/"]
)
def test_pages_of_others_and_of_nothing_do_not_exist(board: Board, path: str) -> None:
    assert view_of(board, path, ["acme"], NOW_MS) is None


def test_an_organization_that_has_not_begun_has_a_page_of_nothing() -> None:
    view = view_of(Board(), "/", ["acme"], NOW_MS)
    assert view is not None
    panels = Renderer().panels(view)
    assert "$0.00" in panels["kpis"]
    assert "No budget limits this" in panels["limits"]


def test_several_organizations_are_added_up(board: Board) -> None:
    view = view_of(board, "/", ["acme", "rival"], NOW_MS)
    assert view is not None
    assert view.figures["spend"].month.settled_nanousd == 19.5 * USD
    assert view.figures["spend"].minute.requests == 2


def test_the_days_of_a_month_are_local_days_and_the_last_is_today(board: Board) -> None:
    book = board.book("acme")
    days = daily_of(book, "org:acme", book.window(WindowKind.MONTH, NOW_MS), NOW_MS)
    assert len(days) == 17
    assert (days[1], days[16], sum(days)) == (5 * USD, 12.5 * USD, 17.5 * USD)


def test_the_newest_forecast_holds(board: Board) -> None:
    board.take("forecasts", 0, [forecast(NOW_MS + 1, 950), forecast(NOW_MS - 1, 1)], NOW_MS)
    outlook = outlook_of(board, "org:acme", NOW_MS)
    assert outlook is not None
    assert outlook.forecast is not None
    assert outlook.forecast.total_nanousd == 950 * USD


def test_the_fan_goes_on_where_spending_stands_and_ends_with_the_month(board: Board) -> None:
    outlook = outlook_of(board, "org:acme", NOW_MS)
    assert outlook is not None
    fan = outlook.fan
    spent, middle = numbers(fan.spent), numbers(fan.middle)
    assert spent[-1] == middle[0]
    assert spent[0][1] > spent[-1][1] > middle[-1][1]
    assert middle[-1][0] == pytest.approx(charts.FAN_WIDTH - 12)
    assert [mark.text for mark in fan.limits] == ["company-month"]
    assert fan.amounts[-1].text == "$1,200"


def test_a_limit_far_out_of_sight_does_not_press_the_chart_flat() -> None:
    fan = charts.fan_of(date(2026, 11, 1), date(2026, 12, 1), [USD], None, [("far", 1000 * USD), ("near", 2 * USD)])
    assert [mark.text for mark in fan.limits] == ["near"]
    assert (fan.band, fan.middle) == ("", "")


def test_a_chart_of_nothing_stays_on_the_ground() -> None:
    fan = charts.fan_of(date(2026, 11, 1), date(2026, 12, 1), [], None, [])
    assert {y for _, y in numbers(fan.spent)} == {charts.FAN_HEIGHT - 24}
    assert charts.sparkline([0] * 60).line == "M0.0 22.5L120.0 22.5"
    assert charts.sparkline([]).line == ""


def test_a_sparkline_keeps_every_bend() -> None:
    line = numbers(charts.sparkline([0, 0, 0, 4, 0, 0, 0, 2, 2]).line)
    assert [y for _, y in line] == [22.5, 22.5, 1.5, 22.5, 22.5, 12.0, 12.0]


def test_an_alert_said_again_is_one_line(board: Board) -> None:
    alert = Alert(
        alert="a",
        organization="acme",
        budget="company-month",
        scope="org:acme/project:search",
        window="month:2026-11",
        threshold="0.75",
        severity="warning",
        settled_usd="750.00",
        limit_usd="1000.00",
        raised_at_ms=NOW_MS,
        ledger_partition=0,
        ledger_offset=1,
    )
    record = Sent(None, msgspec.json.encode([AlertRaised(id="a", source="t", time=from_ms(NOW_MS), data=alert)] * 2))
    board.take("alerts", 0, [record, record], NOW_MS)
    shown = {path: view_of(board, path, ["acme"], NOW_MS) for path in ("/alerts", "/o/acme/p/search", "/o/acme/u/ada")}
    assert [len(view.figures["alerts"]) for view in shown.values() if view] == [1, 1, 0]
    whole = shown["/alerts"]
    assert whole is not None
    panel = Renderer().panels(whole)["alerts"]
    assert "reached 75%" in panel
    assert "1 unanswered" in panel


def test_an_alert_says_who_has_it_by_the_first_answer_and_what_else_is_on_record_is_passed_over() -> None:
    board = board_of(alerts=[raised("a1"), raised("a2"), raised("a1", organization="rival")])
    answers = [answered("a1", "eve", 2), answered("a1", "ada <b>", 1), answered("a1", "ada <b>", 1)]
    newer = recorded({"action": "something.newer", "subject": "a2", "by": "bob", "at_ms": NOW_MS, "more": [1]})
    assert board.take("audit", 0, [*answers, answered("a1", "x", 0, organization="rival"), newer], NOW_MS) == []
    view = view_of(board, "/alerts", ["acme"], NOW_MS)
    assert view is not None
    assert view.figures["unanswered"] == 1
    panel = Renderer().panels(view)["alerts"]
    assert "ada &lt;b&gt; has it since" in panel
    assert not any(other in panel for other in ("eve", "bob", "x has it"))
    before = board.version
    board.take("audit", 0, [answered("a2", "bob", 3)], NOW_MS)
    assert board.version > before, "live pages hear of it"
    later = view_of(board, "/alerts", ["acme"], NOW_MS)
    assert later is not None
    assert [answer.by for _, answer in later.figures["alerts"]] == [
        "bob",
        "ada <b>",
    ]


def raised(name: str, *, organization: str = "acme") -> Sent:
    """An alert as its topic has it."""
    alert = Alert(
        alert=name,
        organization=organization,
        budget="company-month",
        scope=f"org:{organization}",
        window="month:2026-11",
        threshold="0.75",
        severity="warning",
        settled_usd="750.00",
        limit_usd="1000.00",
        raised_at_ms=NOW_MS,
        ledger_partition=0,
        ledger_offset=1,
    )
    return Sent(None, msgspec.json.encode([AlertRaised(id=name, source="t", time=from_ms(NOW_MS), data=alert)]))


def answered(alert: str, by: str, after_s: int, *, organization: str = "acme") -> Sent:
    """That somebody took an alert, as the audit log has it."""
    facts = {"action": "alert.acknowledged", "subject": alert, "by": by, "at_ms": NOW_MS + after_s * 1000}
    return recorded({**facts, "organization": organization})


def recorded(entry: dict[str, Any]) -> Sent:
    """A record of the audit topic."""
    return Sent(None, msgspec.json.encode([{"type": "spendgate.audit.recorded.v1", "data": entry}]))


@pytest.mark.parametrize(
    "scope",
    [
        "org:acme",
        "org:a%2Fb/project:c%20d",
        "org:acme/project:%3Cp%3E/team:t%2Ft",
        "org:acme/user:ada%40example.com",
        "org:acme/user:%D0%B0",
    ],
)
def test_a_scope_and_its_page_lead_to_each_other(scope: str) -> None:
    path = path_of(scope)
    assert path is not None
    assert scope_of_path(path) == scope
    assert crumbs(scope)[-1].path == path


def test_a_budgets_scope_has_a_name_and_no_page() -> None:
    assert path_of("org:acme/model:gpt-4o") is None
    assert short_name("org:acme/model:gpt-4o/tag.feature:x") == "model gpt-4o, feature x"
    assert short_name("org:acme/project:search/team:ranking") == "search / ranking"


def numbers(path: str) -> list[tuple[float, float]]:
    """The points of an SVG path."""
    return [(float(x), float(y)) for x, y in re.findall(r"(-?[\d.]+) (-?[\d.]+)", path)]


def test_a_budget_shows_what_is_spent_and_beside_it_what_enforcers_hold_of_it() -> None:
    balances = [balance("org:acme@month:2026-11", 500, shares=SHARES), balance("org:acme/user:ada@day:2026-11-17", 5)]
    board = board_of(policies=[policy(POLICY)], balances=balances)
    month, day = board.book("acme").limits(NOW_MS)
    assert (month.used_bp, month.committed_bp, month.tier) == (5000, 7500, "normal")
    assert (day.used_bp, day.committed_bp) == (5000, 5000)
    view = view_of(board, "/o/acme", ["acme"], NOW_MS)
    assert view is not None
    panel = Renderer().panels(view)["limits"]
    assert panel.count("committed</span>") == 1
    assert "50.0%" in panel
    assert "75.0% committed" in panel
    assert "250.00 USD is held by enforcers" in panel
    told = msgspec.json.decode(figures_of(board, "acme", NOW_MS)["company-month@org:acme"])
    assert (told["settled_usd"], told["reserved_usd"], told["utilization"]) == ("500.00", "250.00", 0.75)
