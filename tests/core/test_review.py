"""The weekly review as pure code: movers, risks, actions, and reports as data that programs can rely on."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from services.core.governance.accountability import Account, Charged
from services.core.governance.actions import with_actions
from services.core.governance.cells import BudgetUse
from services.core.governance.plain_data import plain_data
from services.core.governance.planning import Horizon, Plan, Proposal, ScopePlan
from services.core.governance.review import Facts, Oddity, Outlook, Refusals, Spend, review
from services.core.governance.trend import MonthSpend, Projection
from services.core.money import NANOS_PER_USD

USD = NANOS_PER_USD
BEGIN_MS, END_MS = 1_795_410_000_000, 1_796_014_800_000


def spend(dimension: str, name: str, now_usd: int, before_usd: int, **more: int) -> Spend:
    fields = {"requests": 1, "requests_before": 1, "unpriced": 0, "unconfirmed_nanousd": 0, **more}
    return Spend(dimension=dimension, name=name, now_nanousd=now_usd * USD, before_nanousd=before_usd * USD, **fields)


def use(budget: str, spent_usd: int, limit_usd: int, *, owners: tuple[str, ...] = ("ann@acme.example",)) -> BudgetUse:
    return BudgetUse(
        budget, "org:acme", "month:2026-11", limit_usd * USD, spent_usd * USD, 0, 1, int(spent_usd >= limit_usd),
        8_000, True, False, owners,
    )  # fmt: skip


def outlook(budget: str, probability: float, day: date | None = None) -> Outlook:
    return Outlook(
        scope="org:acme",
        window="month:2026-11",
        as_of=date(2026, 11, 29),
        begins=date(2026, 11, 1),
        ends=date(2026, 12, 1),
        spent_nanousd=70 * USD,
        total_nanousd=110 * USD,
        low_nanousd=100 * USD,
        high_nanousd=120 * USD,
        budget=budget,
        limit_nanousd=100 * USD,
        probability=probability,
        exhausted_on=day,
    )


FACTS = Facts(
    organization="acme",
    team="",
    period="2026-W48",
    zone="UTC",
    begin_ms=BEGIN_MS,
    end_ms=END_MS,
    partial=False,
    spends=[
        spend("total", "", 200, 100),
        spend("project", "p", 170, 90),
        spend("project", "", 30, 10),
        spend("user", "bob", 150, 20),
        spend("user", "ann", 50, 80),
        spend("model", "m", 200, 100),
        spend("model", "tiny", 0, 1),
        spend("day", str(BEGIN_MS), 200, 100),
    ],
)


def test_what_moved_most_is_named_first_and_what_hardly_moved_is_not() -> None:
    movers = [(mover.dimension, mover.name) for mover in review(FACTS).movers]
    assert movers == [("user", "bob"), ("model", "m"), ("project", "p"), ("user", "ann"), ("project", "")]


def test_breakdowns_add_up_to_the_total_however_many_names_there_are() -> None:
    many = [spend("user", f"u{n:03}", n, 1) for n in range(1, 31)]
    facts = replace(FACTS, spends=[spend("total", "", sum(range(1, 31)), 30), *many])
    users = next(each for each in review(facts).breakdowns if each.dimension == "user")
    assert [line.name for line in users.lines] == [f"u{n:03}" for n in range(30, 22, -1)]
    assert sum(line.now_nanousd for line in users.lines) + users.others_now_nanousd == sum(range(1, 31)) * USD
    assert users.others == 22


def test_a_budget_is_at_risk_by_its_use_or_by_its_forecast_and_the_surest_is_first() -> None:
    facts = replace(
        FACTS,
        uses=[use("calm", 10, 100), use("full", 100, 100), use("soft", 85, 100), use("likely", 70, 100)],
        outlooks=[outlook("likely", 0.6), outlook("unlikely", 0.1), outlook("unknown", 0.3), outlook("", 0.0)],
    )
    risks = review(facts).risks
    assert [(risk.budget, risk.probability) for risk in risks] == [
        ("full", 1.0),
        ("likely", 0.6),
        ("unknown", 0.3),
        ("soft", 0.0),
    ]


def actions(**more: Any) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(a.what, a.why, a.who) for a in with_actions(review(replace(FACTS, **more))).actions]


def test_a_quiet_week_asks_for_nothing() -> None:
    assert actions(spends=[spend("total", "", 1, 1), spend("project", "p", 1, 1)], uses=[use("calm", 1, 100)]) == []


@pytest.mark.parametrize(
    ("facts", "what", "why", "who"),
    [
        ({"uses": [use("full", 150, 100)]}, "Decide about full", "$150.00 of $100.00 (150.0%)", ("ann@acme.example",)),
        (
            {"uses": [use("b", 70, 100)], "outlooks": [outlook("b", 0.62, date(2026, 11, 30))]},
            "Slow down or raise b",
            "62.0% likely to be exceeded, around 30 November: $110.00 expected, the limit is $100.00",
            ("ann@acme.example",),
        ),
        (
            {"oddities": [Oddity(scope="org:acme/project:p", kind="spike", severity="critical", begins_ms=BEGIN_MS,
             observed_nanousd=9 * USD, expected_nanousd=USD, contributors=("user bob (+$8.00)",))]},
            "Explain the spike of project p",
            "$9.00 where $1.00 was expected; most by user bob (+$8.00)",
            (),
        ),
        (
            {"refusals": [Refusals(budget="b", scope="org:acme", denied=3, throttled=0, fallen_back=0, reason="why")],
             "uses": [use("b", 1, 100)]},
            "Check whether b was meant to stop this work",
            "3 requests denied (why)",
            ("ann@acme.example",),
        ),
        ({"spends": [spend("total", "", 9, 1, unpriced=2)]}, "Find the price", "2 requests have no price", ()),
        ({}, "Have gateways name the project of each request", "$30.00 (15.0%) has no project", ()),
        ({"uses": [use("lonely", 1, 100, owners=())]}, "Name a contact", "nobody answers for lonely", ()),
    ],
)  # fmt: skip
def test_each_finding_asks_somebody_for_something(
    facts: dict[str, Any], what: str, why: str, who: tuple[str, ...]
) -> None:
    found = actions(**facts)
    assert any(each[0].startswith(what) and why in each[1] and each[2] == who for each in found), found


def shape(value: Any) -> Any:
    """The names and types of a JSON value; a list by its first element."""
    if isinstance(value, dict):
        return {name: shape(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return type(value).__name__


SPEND = {
    "dimension": "str", "name": "str", "now_usd": "str", "before_usd": "str", "requests": "int",
    "requests_before": "int", "unpriced": "int", "unconfirmed_usd": "str",
}  # fmt: skip
USE = {
    "budget": "str", "scope": "str", "window": "str", "limit_usd": "str", "spent_usd": "str", "unpriced": "int",
    "windows": "int", "windows_over": "int", "soft_bp": "int", "blocks": "bool", "varies": "bool", "owners": ["str"],
    "others": "int", "utilization_bp": "int",
}  # fmt: skip
HEAD = {"report": "str", "version": "int", "organization": "str"}
PERIOD = {"period": "str", "zone": "str", "begin": "str", "end": "str"}


def test_the_data_of_a_review_keeps_its_shape() -> None:
    facts = replace(
        FACTS,
        uses=[use("b", 70, 100)],
        outlooks=[outlook("b", 0.6, date(2026, 11, 30))],
        refusals=[Refusals(budget="b", scope="org:acme", denied=3, throttled=0, fallen_back=0, reason="why")],
        oddities=[Oddity(scope="org:acme", kind="spike", severity="critical", begins_ms=BEGIN_MS, observed_nanousd=2,
                         expected_nanousd=1, contributors=("x",))],
    )  # fmt: skip
    assert shape(plain_data(with_actions(review(facts)), "weekly")) == {
        **HEAD,
        "team": "str",
        **PERIOD,
        "partial": "bool",
        "total": SPEND,
        "days": [SPEND],
        "breakdowns": [
            {"dimension": "str", "lines": [SPEND], "others": "int", "others_now_usd": "str", "others_before_usd": "str"}
        ],
        "movers": [SPEND],
        "risks": [
            {
                "use": USE,
                "outlook": {
                    "scope": "str", "window": "str", "as_of": "str", "begins": "str", "ends": "str",
                    "spent_usd": "str", "total_usd": "str", "low_usd": "str", "high_usd": "str", "budget": "str",
                    "limit_usd": "str", "probability": "float", "exhausted_on": "str",
                },
                "budget": "str",
                "probability": "float",
            }
        ],
        "oddities": [
            {"scope": "str", "kind": "str", "severity": "str", "begins": "str", "observed_usd": "str",
             "expected_usd": "str", "contributors": ["str"]}
        ],
        "refusals": [
            {"budget": "str", "scope": "str", "denied": "int", "throttled": "int", "fallen_back": "int",
             "reason": "str"}
        ],
        "unowned": [SPEND],
        "uses": [USE],
        "actions": [{"what": "str", "why": "str", "who": ["str"]}],
        "change_usd": "str",
    }  # fmt: skip


def test_the_data_of_an_account_and_of_a_plan_keep_their_shapes() -> None:
    account = Account(
        "acme", "2026-11", "UTC", BEGIN_MS, END_MS, False, 5, 1, 0, 2, (Charged("p", "t", 3, 1, 1),), (use("b", 1, 2),),
        ("minute",),
    )  # fmt: skip
    assert shape(plain_data(account, "accountability")) == {
        **HEAD, **PERIOD, "partial": "bool", "total_usd": "str", "requests": "int", "unpriced": "int",
        "shared_usd": "str",
        "charged": [{"project": "str", "team": "str", "direct_usd": "str", "project_usd": "str",
                     "organization_usd": "str", "total_usd": "str"}],
        "uses": [USE], "not_summed": ["str"],
    }  # fmt: skip
    scope = ScopePlan("org:acme", (MonthSpend("2026-10", 1, 31.0),), Projection(1, 0, 2, "forecaster"))
    proposal = Proposal("b", "org:acme", "month", None, 1, "new", ("why",))
    plan = Plan(
        "acme", "2026-Q4", "UTC", BEGIN_MS, END_MS, Horizon("2027-Q1", (31, 28, 31)), scope, (scope,), (proposal,)
    )
    of_scope = {
        "scope": "str",
        "months": [{"month": "str", "amount_usd": "str", "days": "float", "whole": "bool"}],
        "projection": {"expected_usd": "str", "low_usd": "str", "high_usd": "str", "method": "str"},
    }
    assert shape(plain_data(plan, "quarterly")) == {
        **HEAD,
        **PERIOD,
        "horizon": {"quarter": "str", "month_days": ["int"], "days": "int"},
        "total": of_scope,
        "scopes": [of_scope],
        "proposals": [
            {"budget": "str", "scope": "str", "window": "str", "limit_usd": "NoneType", "proposed_usd": "str",
             "verdict": "str", "reasons": ["str"]}
        ],
        "unpriced": "int",
    }  # fmt: skip
