"""Which windows and scopes are forecast, what today adds, and that forecasts add up and keep the contract."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from random import Random
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from schemas.catalog import CATALOG
from schemas.policy import Policy
from schemas.validate import ValidEvent, validate_event
from services.core.events import from_ms, to_ms
from services.core.forecast import FIRST_DAY, DailySeries, FanPoint, Projection
from services.core.foresight_events import ForecastMade
from services.core.policy import ActiveBoost, CompiledPolicy
from services.core.scope import parse_scope, scope_key
from services.forecaster.nowcast import with_today
from services.forecaster.outlooks import forecasts, limit_of
from services.forecaster.plan import day_share, first_day, odd_budgets, parents_of, scopes_above, spans

USD = 1_000_000_000


def policy(*budgets: dict[str, object], zone: str = "UTC") -> CompiledPolicy:
    written = Policy.model_validate({"organization": "acme", "timezone": zone, "budgets": list(budgets)})
    return CompiledPolicy.compile(written, version=1)


def at(text: str) -> int:
    return to_ms(datetime.fromisoformat(text))


def budget(name: str, window: str, **scope: str) -> dict[str, object]:
    return {"name": name, "limit_usd": "100", "window": window, "scope": scope}


@pytest.mark.parametrize(
    ("zone", "month", "quarter"),
    [
        ("America/New_York", "month:2026-12", "quarter:2026-Q4"),
        ("Pacific/Kiritimati", "month:2027-01", "quarter:2027-Q1"),
    ],
)
def test_windows_are_those_of_the_organizations_own_calendar(zone: str, month: str, quarter: str) -> None:
    found = spans(policy(budget("q", "quarter"), budget("h", "hour"), zone=zone), at("2026-12-31T12:00:00+00:00"))
    assert [span.window.label for span in found] == [month, quarter]
    assert all(span.begin < span.end for span in found)


def test_the_past_reaches_back_to_the_beginning_of_the_longest_window() -> None:
    now_ms = at("2026-11-24T12:00:00+00:00")
    assert first_day(policy(), now_ms, 100) == date(2026, 8, 16)
    assert first_day(policy(budget("y", "year")), now_ms, 100) == date(2026, 1, 1)


def test_budgets_on_no_level_are_asked_for() -> None:
    made = policy(
        budget("o", "month"),
        budget("u", "month", user="*"),
        budget("t", "month", project="p", team="*"),
        budget("m", "month", model="gpt-4o"),
        budget("x", "quarter", project="p", model="*"),
        budget("d", "day", model="gpt-4o"),
    )
    assert [each.name for each in odd_budgets(made)] == ["m", "x"]


def test_parents_are_found_through_any_name() -> None:
    team = scope_key({"org": "a/b", "project": "p:q", "team": "t@u"})
    project, org = scope_key({"org": "a/b", "project": "p:q"}), scope_key({"org": "a/b"})
    user, model = scope_key({"org": "a/b", "user": "ü"}), scope_key({"org": "a/b", "model": "m"})
    assert parents_of([team, project, user, org, model]) == {team: project, project: org, user: org}


def test_a_limit_counts_boosts_and_no_passing_hours() -> None:
    written = Policy.model_validate(
        {
            "organization": "acme",
            "budgets": [
                {"name": "n", "limit_usd": "10", "window": "month", "schedule": [{"when": "sat,sun", "factor": 0.25}]}
            ],
        }
    )
    boosts = {"n": [ActiveBoost(5 * USD, 1_000), ActiveBoost(7 * USD, 10)]}
    (made,) = CompiledPolicy.compile(written, version=1, boosts=boosts).budgets
    assert limit_of(made, 500) == 15 * USD


NOVEMBER = Projection(
    scope="org:acme",
    begin=date(2026, 11, 1),
    end=date(2026, 11, 4),
    as_of=date(2026, 11, 2),
    spent_nanousd=10,
    total_nanousd=30,
    low_nanousd=24,
    high_nanousd=36,
    fan=(
        FanPoint(date(2026, 11, 1), 10, 10, 10),
        FanPoint(date(2026, 11, 2), 16, 20, 24),
        FanPoint(date(2026, 11, 3), 24, 30, 36),
    ),
    models=("m",),
    spread_nanousd=tuple(range(22, 39)),
)


def test_a_day_that_has_cost_little_says_nothing_yet() -> None:
    assert with_today(NOVEMBER, 0) is NOVEMBER
    assert with_today(NOVEMBER, 5) == NOVEMBER


def test_a_day_that_has_cost_more_than_all_of_it_was_to_raises_all_that_follows() -> None:
    raised = with_today(NOVEMBER, 25)
    assert (raised.spent_nanousd, raised.low_nanousd, raised.total_nanousd, raised.high_nanousd) == (10, 39, 45, 51)
    assert raised.fan[0] == NOVEMBER.fan[0]
    assert raised.fan[1] == FanPoint(date(2026, 11, 2), 35, 35, 39)


@given(st.integers(0, 10**6))
def test_nothing_to_come_is_below_what_is_spent(today: int) -> None:
    raised = with_today(NOVEMBER, today)
    known = 10 + today
    assert all(min(point[1:]) >= known for point in raised.fan[1:])
    assert known <= raised.low_nanousd <= raised.total_nanousd <= raised.high_nanousd
    assert min(raised.spread_nanousd) >= min(known, 22)
    assert raised.total_nanousd >= NOVEMBER.total_nanousd


def history(random: Random, days: int, scale: int) -> NDArray[np.int64]:
    return np.array([random.randrange(scale) if random.random() < 0.8 else 0 for _ in range(days)], dtype=np.int64)


@pytest.mark.parametrize("seed", range(5))
def test_forecasts_of_any_past_add_up_and_keep_the_contract(seed: int) -> None:
    random, first = Random(seed), date(2026, 6, 1)
    days = 1 + random.randrange(150)
    now_ms = to_ms(datetime(2026, 6, 1, 12, tzinfo=UTC)) + (days - 1) * 86_400_000
    teams = {
        scope_key({"org": "acme", "project": p, "team": t}): history(random, days, 10 ** random.randrange(1, 13))
        for p in ("search", "chat/ünï")
        for t in ("a", "b", "c")
    }
    amounts = dict(teams)
    for team, found in teams.items():
        for parent in (team.rpartition("/")[0], "org:acme"):
            amounts[parent] = amounts.get(parent, 0) + found
    series = {scope: DailySeries(scope, first, found) for scope, found in amounts.items()}
    made = forecasts(policy(budget("m", "month"), budget("q", "quarter", project="*")), series, now_ms)
    for window in {each.window for each in made if each.window.startswith("month")}:
        totals = {each.scope: each.total_nanousd for each in made if each.window == window}
        for scope, total in totals.items():
            children = [each for child, each in totals.items() if parents_of([child]).get(child) == scope]
            assert not children or sum(children) == total
    for each in made:
        event = ForecastMade(id=each.forecast, source="t", time=from_ms(now_ms), data=each)
        verdict = validate_event(msgspec.json.decode(msgspec.json.encode(event)), types=CATALOG)
        assert isinstance(verdict, ValidEvent), verdict
        assert each.low_nanousd <= each.total_nanousd <= each.high_nanousd
        assert len(each.fan) == (each.ends - each.begins).days


def test_a_scope_that_began_today_is_forecast_by_its_pace_with_much_doubt() -> None:
    now_ms = at("2026-11-24T12:00:00+00:00")
    series = DailySeries("org:acme", date(2026, 11, 20), np.array([0, 0, 0, 0, 5 * USD], dtype=np.int64))
    (first,) = forecasts(policy(budget("m", "month")), {"org:acme": series}, now_ms)
    assert (first.spent_nanousd, first.models, first.as_of) == (0, ["first-day"], date(2026, 11, 24))
    assert (first.low_nanousd, first.total_nanousd) == (5 * USD, 70 * USD)
    assert first.high_nanousd > 3 * first.total_nanousd
    assert [point.mid_nanousd for point in first.fan[-7:]] == [n * 10 * USD for n in range(1, 8)]
    assert 0.2 < first.risks[0].probability < 0.5
    yesterday = DailySeries("org:acme", date(2026, 11, 20), np.array([0, 0, 0, 5 * USD, 0], dtype=np.int64))
    (made,) = forecasts(policy(), {"org:acme": yesterday}, now_ms)
    assert (made.spent_nanousd, FIRST_DAY in made.models) == (5 * USD, False)


@pytest.mark.parametrize(
    ("scope", "above"),
    [
        ("org:acme/project:p/team:t", ["org:acme/project:p", "org:acme"]),
        ("org:acme/project:p", ["org:acme"]),
        ("org:acme/user:u", ["org:acme"]),
        ("org:acme/model:m/project:p", ["org:acme/project:p", "org:acme"]),
        ("org:acme", []),
    ],
)
def test_a_scope_that_began_today_is_like_the_nearest_one_above(scope: str, above: list[str]) -> None:
    assert scopes_above(scope_key(parse_scope(scope))) == above


def test_a_first_day_follows_the_week_of_its_organization_and_leaves_its_forecast_alone() -> None:
    first, now_ms = date(2026, 9, 7), at("2026-11-20T18:00:00+00:00")
    days = np.array([100 * USD if (first + timedelta(n)).weekday() < 5 else 10 * USD for n in range(74)])
    past = {"org:acme": DailySeries("org:acme", first, np.append(days, 0))}
    begun = DailySeries("org:acme/user:new", first, np.append(np.zeros(74, dtype=np.int64), 3 * USD))
    alone = forecasts(policy(), past, now_ms)
    parent, made = forecasts(policy(), {**past, begun.scope: begun}, now_ms)
    assert [parent] == alone
    steps = [after.mid_nanousd - before.mid_nanousd for before, after in pairwise(made.fan[-11:])]
    weekend, weekdays = steps[:2] + steps[7:9], steps[2:7] + steps[9:]
    assert max(weekend) < min(weekdays) / 4
    assert weekdays == pytest.approx([4 * USD] * 6, rel=0.1)


def test_nothing_is_told_of_a_scope_that_has_never_spent_anything() -> None:
    now_ms = at("2026-11-24T12:00:00+00:00")
    for today in (0, -USD):
        series = DailySeries("org:acme", date(2026, 11, 20), np.array([0, 0, 0, 0, today], dtype=np.int64))
        assert forecasts(policy(), {"org:acme": series}, now_ms) == []


@pytest.mark.parametrize(
    ("zone", "now", "share"),
    [
        ("UTC", "2026-11-24T06:00:00+00:00", 0.25),
        ("America/New_York", "2026-11-24T05:00:00+00:00", 0.0),
        ("America/New_York", "2026-11-01T17:00:00+00:00", 13 / 25),
    ],
)
def test_a_day_is_as_long_as_the_clocks_say(zone: str, now: str, share: float) -> None:
    assert day_share(ZoneInfo(zone), at(now)) == pytest.approx(share)


def test_slow_models_are_heard_of_organizations_and_projects_with_a_past() -> None:
    heard: list[str] = []

    class Voice:
        name = "loud"

        def paths(self, series: Sequence[DailySeries], days: int) -> NDArray[np.float64]:
            heard.extend(each.scope for each in series)
            return np.full((len(series), days), np.nan)

    def of(scope: str, days: int) -> DailySeries:
        return DailySeries(scope, date(2026, 9, 1), np.array([0] * (84 - days) + [USD] * days + [0], dtype=np.int64))

    scopes = {
        "org:a": 84,
        "org:a/project:p": 60,
        "org:a/project:young": 34,
        "org:a/project:p/team:t": 60,
        "org:a/user:u": 60,
    }
    now_ms = at("2026-11-24T12:00:00+00:00")
    series = {scope: of(scope, days) for scope, days in scopes.items()}
    made = forecasts(CompiledPolicy.none("a"), series, now_ms, voices=[Voice()], voice_days=35)
    assert sorted(heard) == ["org:a", "org:a/project:p"]
    assert len(made) == len(scopes)
    assert ZoneInfo("UTC") == CompiledPolicy.none("a").zone
