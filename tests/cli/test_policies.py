"""Policies as text: written out they read back the same, and a diff names every difference once."""

from __future__ import annotations

from schemas.policy import load_policy
from services.cli.commands.demo import POLICY
from services.cli.policies import Change, changes, written

BEFORE = """
organization: acme
timezone: Europe/Berlin
budgets:
  - {name: all, limit_usd: "100", window: month}
  - {name: old, limit_usd: "5", window: day, scope: {user: "*"}}
"""
AFTER = """
organization: acme
budgets:
  - {name: all, limit_usd: "120", window: month, alerts: [0.5, 0.9]}
  - name: new
    limit_usd: "7"
    window: day
    scope: {project: search, team: ranking}
    schedule: [{when: sat, factor: 0.5}]
"""


def test_the_example_policy_survives_being_written_out() -> None:
    policy = load_policy(POLICY.read_text())
    assert load_policy(written(policy)) == policy
    assert changes(policy, load_policy(written(policy))) == []


def test_a_diff_names_budgets_by_their_names() -> None:
    assert changes(load_policy(BEFORE), load_policy(AFTER)) == [
        Change("+", "budget all.alerts", after="0.5, 0.9"),
        Change(
            "+",
            "budget new",
            after="$7 a day on project:search/team:ranking, schedule[0].when sat, schedule[0].factor 0.5",
        ),
        Change("~", "budget all.limit_usd", "100", "120"),
        Change("-", "budget old", before="$5 a day on user:*"),
        Change("-", "timezone", before="Europe/Berlin"),
    ]


def test_the_order_of_budgets_is_no_difference() -> None:
    policy = load_policy(BEFORE)
    turned = policy.model_copy(update={"budgets": policy.budgets[::-1]})
    assert changes(policy, turned) == []


def test_against_nothing_everything_is_new() -> None:
    assert {change.sign for change in changes(None, load_policy(BEFORE))} == {"+"}
