"""Charge-back, budgets in use, plans and due dates: nothing is lost, and each rule does what it says."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.policy import Policy, load_policy
from services.core.events import to_ms
from services.core.governance.accountability import Charged, chargeback
from services.core.governance.cells import ROWS_MAX, Cell, Target, budget_uses, owner_text, owners_of
from services.core.governance.due import CATCH_UP_WEEKS, Due, Kind, due, next_ms
from services.core.governance.file_names import LENGTH_MAX, file_name
from services.core.governance.planning import Horizon, Plan, plan_scopes, propose
from services.core.governance.shares import apportion
from services.core.governance.trend import MonthSpend, Projection, project_trend
from services.core.governance.words import dollars, exact, growth, interval, percent, scope_words, signed
from services.core.money import NANOS_PER_USD
from services.core.period import PeriodError
from services.core.policy import CompiledPolicy
from services.core.report_period import after, before, end_of, parse_period, period_text, starts
from services.core.scope import scope_key
from services.core.window import WindowKind, window_at

NEW_YORK = ZoneInfo("America/New_York")
AMOUNTS = st.integers(-(10**18), 10**18)
NAMES = st.sampled_from(["", "a", "b", "c"])


@given(AMOUNTS, st.lists(st.integers(-(10**15), 10**15), min_size=1, max_size=30))
def test_parts_add_up_and_none_is_a_nano_dollar_from_its_share(amount: int, weights: list[int]) -> None:
    parts = apportion(amount, weights)
    assert sum(parts) == amount
    positive = [max(weight, 0) for weight in weights]
    total = sum(positive)
    if total:
        assert all(abs(part * total - amount * weight) < total for part, weight in zip(parts, positive, strict=True))
    else:
        assert max(parts) - min(parts) <= 1


def test_the_largest_remainder_takes_what_is_left() -> None:
    assert apportion(10, [1, 1, 1]) == [4, 3, 3]
    assert apportion(100, [50, 30, 25]) == [48, 28, 24]
    assert apportion(-10, [1, 2]) == [-3, -7]
    with pytest.raises(ValueError, match="nobody"):
        apportion(1, [])


@given(st.dictionaries(st.tuples(NAMES, NAMES), AMOUNTS))
def test_what_is_charged_back_is_what_was_spent(direct: Mapping[tuple[str, str], int]) -> None:
    lines = chargeback(direct)
    assert sum(line.total_nanousd for line in lines) == sum(direct.values())
    named = {key for key in direct if key[1]}
    assert {(line.project, line.team) for line in lines} >= named
    for line in lines:
        if line.team:
            assert line.direct_nanousd == direct[line.project, line.team]


def test_common_spending_is_shared_by_what_each_spent_itself() -> None:
    lines = chargeback({("p", "x"): 300, ("p", "y"): 100, ("p", ""): 40, ("q", ""): 60, ("", ""): 50})
    assert lines == (
        Charged("p", "x", 300, 30, 33),
        Charged("p", "y", 100, 10, 11),
        Charged("q", "", 60, 0, 6),
    )
    assert chargeback({("", ""): 7}) == (Charged("", "", 7),)
    assert chargeback({}) == ()


POLICY = """
organization: acme
timezone: America/New_York
budgets:
  - {name: all-month, limit_usd: "100", window: month}
  - {name: p-month, scope: {project: p}, limit_usd: "50", window: month}
  - {name: each-user-day, scope: {user: "*"}, limit_usd: "10", window: day}
  - {name: ann-day, scope: {user: ann}, limit_usd: "20", window: day, on_hard: monitor}
  - {name: f-month, scope: {tag.feature: f}, limit_usd: "5", window: month}
  - {name: x-minute, scope: {model: x}, limit_usd: "1", window: minute}
contacts:
  - {budget: "*", notify: ["mailto:all@acme.example?subject=x"]}
  - {budget: p-month, notify: ["https://user:pass@hooks.example/secret/path"], escalate_after: 5m, to: ["slack://T/B/c"]}
"""
POLICY_OF_ACME = load_policy(POLICY)
DAY_MS = 86_400_000
MONDAY_MS = to_ms(datetime(2026, 11, 23, 5, tzinfo=UTC))  # midnight in New York


def cell(usd: int, window_ms: int = MONDAY_MS, **names: str) -> Cell:
    tags = {"feature": names.pop("feature")} if "feature" in names else {}
    shared = dict.fromkeys(("project", "team", "user", "provider", "model"), "")
    return Cell(
        window_ms=window_ms, tags=tags, cost_nanousd=usd * NANOS_PER_USD, requests=1, unpriced=0, **{**shared, **names}
    )


def test_budgets_are_used_by_what_they_would_have_decided() -> None:
    policy = CompiledPolicy.compile(POLICY_OF_ACME, version=1)
    users = [cell(12, user="bob"), cell(3, MONDAY_MS + DAY_MS, user="bob"), cell(12, user="ann"), cell(1)]
    cells: dict[Target, list[Cell]] = {
        (WindowKind.MONTH, ()): [cell(59)],
        (WindowKind.MONTH, ("project",)): [cell(55, project="p"), cell(4, project="q"), cell(9)],
        (WindowKind.MONTH, ("tag.feature",)): [cell(30, feature="f"), cell(29, feature="g")],
        (WindowKind.DAY, ("user",)): users,
    }
    uses = budget_uses(policy, cells, owners_of(POLICY_OF_ACME))
    found = {
        (use.budget, use.scope): (use.spent_nanousd // NANOS_PER_USD, use.windows_over, use.windows) for use in uses
    }
    assert found == {
        ("all-month", "org:acme"): (59, 0, 1),
        ("p-month", "org:acme/project:p"): (55, 1, 1),
        ("each-user-day", "org:acme/user:bob"): (12, 1, 2),  # ann has a budget of her own
        ("ann-day", "org:acme/user:ann"): (12, 0, 1),
        ("f-month", "org:acme/tag.feature:f"): (30, 1, 1),
    }
    by_name = {use.budget: use for use in uses}
    assert by_name["p-month"].utilization_bp == 11_000
    assert by_name["each-user-day"].window == "day:2026-11-23"
    assert not by_name["ann-day"].blocks


def test_of_a_budget_for_everybody_the_fullest_are_shown_and_the_others_counted() -> None:
    policy = CompiledPolicy.compile(POLICY_OF_ACME, version=1)
    days = [cell(n, user=f"user-{n:02}") for n in range(1, 15)]
    cells: dict[Target, list[Cell]] = {(WindowKind.DAY, ("user",)): days}
    uses = [use for use in budget_uses(policy, cells, {}) if use.budget == "each-user-day"]
    assert [use.spent_nanousd // NANOS_PER_USD for use in uses] == list(range(14, 14 - ROWS_MAX, -1))
    assert [use.others for use in uses] == [0] * (ROWS_MAX - 1) + [4]


def test_a_budget_that_nobody_used_is_still_accounted_for() -> None:
    policy = CompiledPolicy.compile(POLICY_OF_ACME, version=1)
    uses = budget_uses(policy, {}, {})
    assert [(use.budget, use.spent_nanousd, use.windows) for use in uses] == [
        (name, 0, 0) for name in ("all-month", "p-month", "each-user-day", "ann-day", "f-month")
    ]


def test_owners_are_the_contacts_and_secrets_of_webhooks_are_not_told() -> None:
    owners = owners_of(POLICY_OF_ACME)
    assert owners["p-month"] == ("https://hooks.example", "slack://T", "all@acme.example")
    assert owners["all-month"] == ("all@acme.example",)
    assert owner_text("tel:+123") == "tel://+123"


def months(*usd: int, days: float = 30.0) -> list[MonthSpend]:
    return [MonthSpend(f"2026-{n:02}", amount * NANOS_PER_USD, days) for n, amount in enumerate(usd, 1)]


def test_a_steady_month_is_expected_again_and_the_interval_is_never_empty() -> None:
    found = project_trend(months(300, 300, 300, 300), (31, 28, 31))
    assert found.expected_nanousd == 900 * NANOS_PER_USD
    assert found.low_nanousd < found.expected_nanousd < found.high_nanousd
    assert found.method == "plain damped trend over 4 months"


def test_growth_goes_on_but_is_damped_and_one_odd_month_does_not_bend_it() -> None:
    line = project_trend(months(100, 200, 300, 400, 500), (30, 30, 30))
    assert 3 * 500 < line.expected_nanousd / NANOS_PER_USD < 600 + 700 + 800
    odd = project_trend(months(100, 200, 9_000, 400, 500), (30, 30, 30))
    assert abs(odd.expected_nanousd - line.expected_nanousd) < line.expected_nanousd // 2
    restless = project_trend(months(100, 400, 100, 400, 100), (30, 30, 30))
    calm = project_trend(months(100, 100, 100, 100, 100), (30, 30, 30))
    assert restless.high_nanousd - restless.low_nanousd > calm.high_nanousd - calm.low_nanousd


def test_a_fall_ends_at_nothing_and_few_months_have_no_trend() -> None:
    fall = project_trend(months(900, 500, 100), (30, 30, 30))
    assert 0 <= fall.low_nanousd <= fall.expected_nanousd < 300 * NANOS_PER_USD
    assert project_trend(months(100, 200), (30,)).method == "average of 2 months, too few for a trend"
    assert project_trend([], (30,)) == Projection(0, 0, 0, "nothing was spent yet")


HORIZON = Horizon("2027-Q1", (31, 28, 31))
ROOT = scope_key({"org": "acme"})


def planned(known: Mapping[str, Projection] | None = None) -> Plan:
    series = {
        ROOT: months(70, 80, 91),
        f"{ROOT}/project:p": months(40, 50, 61),
        f"{ROOT}/project:q": months(20, 20, 20),
        f"{ROOT}/project:": months(10, 10, 10),
        f"{ROOT}/project:p/team:t": months(30, 40, 50),
        f"{ROOT}/project:p/team:": months(10, 10, 11),
    }
    total, scopes = plan_scopes(series, HORIZON, known or {}, "acme")
    proposals = propose(CompiledPolicy.compile(POLICY_OF_ACME, version=1), total, scopes, HORIZON, overcommit=False)
    return Plan("acme", "2026-Q4", "UTC", 0, 1, HORIZON, total, scopes, proposals)


def test_projects_add_up_to_the_organization_and_teams_to_their_project() -> None:
    plan = planned()
    of = {each.scope: each.projection.expected_nanousd for each in (plan.total, *plan.scopes)}
    for parent in (ROOT, f"{ROOT}/project:p"):
        assert of[parent] == sum(amount for scope, amount in of.items() if scope.rpartition("/")[0] == parent)
    for each in plan.scopes:
        assert each.projection.low_nanousd <= each.projection.expected_nanousd <= each.projection.high_nanousd


def test_the_forecaster_is_believed_before_a_plain_trend() -> None:
    word = Projection(1_000 * NANOS_PER_USD, 900 * NANOS_PER_USD, 1_100 * NANOS_PER_USD, "forecaster")
    plan = planned({ROOT: word})
    assert plan.total.projection == word
    assert sum(e.projection.expected_nanousd for e in plan.scopes if e.scope.count("/") == 1) == word.expected_nanousd


def test_proposals_have_reasons_cover_the_interval_and_fit_into_their_parents() -> None:
    plan = planned()
    by_scope = {each.scope: each for each in plan.proposals}
    assert by_scope[ROOT].budget == "all-month"
    assert by_scope[f"{ROOT}/project:p"].verdict == "raise"
    new = by_scope[f"{ROOT}/project:p/team:t"]
    assert (new.verdict, new.budget, new.limit_nanousd) == ("new", "p-t-month", None)
    assert f"{ROOT}/project:" not in by_scope, "nobody can be given a budget for what has no name"
    for each in plan.proposals:
        assert each.reasons
        below = sum(p.proposed_nanousd for p in plan.proposals if p.scope.rpartition("/")[0] == each.scope)
        assert each.proposed_nanousd >= below
        assert each.proposed_nanousd % NANOS_PER_USD == 0


def test_a_limit_near_the_proposal_is_kept() -> None:
    plan = planned()
    proposed = next(p for p in plan.proposals if p.scope == ROOT).proposed_nanousd // NANOS_PER_USD
    for limit, verdict in ((proposed, "keep"), (proposed * 108 // 100, "keep"), (proposed * 3, "lower")):
        document = {"organization": "acme", "budgets": [{"name": "m", "limit_usd": str(limit), "window": "month"}]}
        compiled = CompiledPolicy.compile(Policy.model_validate(document), version=1)
        (found,) = propose(compiled, plan.total, (), HORIZON, overcommit=False)
        assert (found.verdict, found.limit_nanousd) == (verdict, limit * NANOS_PER_USD)
        assert (found.proposed_nanousd == limit * NANOS_PER_USD) == (verdict == "keep")


def at(year: int, month: int, day: int, hour: int, minute: int = 0) -> int:
    return to_ms(datetime(year, month, day, hour, minute, tzinfo=NEW_YORK))


def never(_kind: Kind, _period: str) -> bool:
    return False


def test_the_week_before_is_due_on_monday_at_six_of_the_organizations_clocks() -> None:
    early = due(at(2026, 11, 23, 5, 59), NEW_YORK, never)
    late = due(at(2026, 11, 23, 6, 0), NEW_YORK, never)
    assert [each for each in late if each not in early] == [Due("weekly", "2026-W47", at(2026, 11, 23, 6))]


def test_clocks_that_go_back_in_the_week_do_not_move_the_hour() -> None:
    assert due(at(2026, 11, 2, 6), NEW_YORK, never)[-2:] == [
        Due("weekly", "2026-W44", at(2026, 11, 2, 6)),
        Due("accountability", "2026-10", at(2026, 11, 2, 6)),
    ]
    assert at(2026, 11, 2, 6) - at(2026, 10, 26, 6) == 7 * DAY_MS + 3_600_000
    assert next_ms(at(2026, 10, 26, 6), NEW_YORK) == at(2026, 11, 2, 6)


def test_the_plan_is_due_while_there_is_time_to_decide() -> None:
    kinds = [(each.kind, each.period) for each in due(at(2026, 12, 7, 6), NEW_YORK, never)]
    assert kinds[-3:] == [("weekly", "2026-W49"), ("accountability", "2026-11"), ("quarterly", "2026-Q4")]


@given(st.integers(at(2025, 1, 1, 0), at(2030, 1, 1, 0)))
def test_what_is_written_is_not_due_again_and_what_was_missed_is_made_up_for(now_ms: int) -> None:
    found = due(now_ms, NEW_YORK, never)
    assert len([each for each in found if each.kind == "weekly"]) in (CATCH_UP_WEEKS - 1, CATCH_UP_WEEKS)
    assert all(each.since_ms <= now_ms for each in found)
    assert sorted(found, key=lambda each: each.since_ms) == found
    done = {(each.kind, each.period) for each in found}
    assert due(now_ms, NEW_YORK, lambda kind, period: (kind, period) in done) == []
    assert due(now_ms, NEW_YORK, lambda kind, period: (kind, period) in done - {("weekly", found[0].period)}) == [
        found[0]
    ]
    assert due(next_ms(now_ms, NEW_YORK), NEW_YORK, lambda kind, period: (kind, period) in done) != []


@given(st.text(min_size=1, max_size=150), st.text(min_size=1, max_size=150))
def test_file_names_are_short_safe_and_tell_names_apart(one: str, other: str) -> None:
    name = file_name(one)
    assert len(name) <= LENGTH_MAX
    assert not set(name) & set('/\\\0\n"')
    assert not name.startswith(".")
    assert (name == file_name(other)) == (one == other)


@pytest.mark.parametrize(
    ("text", "kind"),
    [("2026-11-24", "day"), ("2026-W48", "week"), ("2026-11", "month"), ("2026-Q4", "quarter"), ("2026", "year")],
)
def test_periods_are_read_and_written_alike(text: str, kind: str) -> None:
    window = parse_period(text, NEW_YORK, WindowKind(kind))
    assert period_text(window) == text
    assert after(before(window, NEW_YORK), NEW_YORK) == window


@pytest.mark.parametrize("text", ["", "2026-13", "2026-W54", "last week", "2026-11-24", "2026-W48\n"])
def test_what_is_no_period_of_the_kind_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(PeriodError, match=r"write|not in the calendar"):
        parse_period(text, NEW_YORK, WindowKind.WEEK, WindowKind.MONTH)


def test_days_of_a_period_cover_it_through_a_change_of_the_clocks() -> None:
    month = parse_period("2026-11", NEW_YORK, WindowKind.MONTH)
    days = starts(WindowKind.DAY, month.start_ms, end_of(month), NEW_YORK)
    assert (days[0], len(days)) == (month.start_ms, 30)
    assert days[1] - days[0] == 25 * 3_600_000
    assert [window_at(WindowKind.DAY, day, NEW_YORK).start_ms for day in days] == days
    assert days[-1] + timedelta(days=1) // timedelta(milliseconds=1) == end_of(month)


def test_amounts_are_said_as_people_read_them() -> None:
    usd = NANOS_PER_USD
    assert [dollars(n) for n in (0, 1, 1_234 * usd + 5 * 10**6, -usd // 2)] == [
        "$0.00",
        "$0.000000",
        "$1,234.00",
        "-$0.50",
    ]
    assert dollars(usd, unpriced=2) == "≥ $1.00"
    assert dollars(123_456) == "$0.000123"
    assert [signed(usd), signed(-usd), signed(0)] == ["+$1.00", "-$1.00", "$0.00"]
    assert exact(-1_632_525_699_739) == "-1,632.525699739"
    assert interval(4_682 * usd + usd * 6 // 10, 99 * usd) == "$4,683 to $99.00"
    assert [percent(9_999), percent(-55), growth(150, 100), growth(50, 100), growth(1, 0), growth(0, 0)] == [
        "99.9%",
        "-0.5%",
        "+50.0%",
        "-50.0%",
        "new",
        "-",
    ]
    assert scope_words("org:acme") == "the organization"
    assert scope_words("org:acme/project:a%2Fb/team:") == "project a/b / no team"
