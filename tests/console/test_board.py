"""The board shows what the topics say: balances of now, budgets in force, the last hour, and nothing it cannot read."""

from __future__ import annotations

from services.console import figures
from services.console.pulse import HOUR_MS, MINUTE_MS
from services.core.window import WindowKind
from tests.console.boards import NOW_MS, POSITION, USD, Sent, balance, board_of, charge, policy, posted

POLICY = """
organization: acme
timezone: America/New_York
budgets:
  - {name: month, limit_usd: "100", window: month}
  - {name: search, scope: {project: search}, limit_usd: "10", window: day, schedule: [{when: "tue", factor: 0.5}]}
  - {name: ranking, scope: {project: search, team: ranking}, limit_usd: "8", window: day}
  - {name: each, scope: {user: "*"}, limit_usd: "2", window: day}
  - {name: ada, scope: {user: ada}, limit_usd: "8", window: day}
  - {name: none, scope: {user: bob}, limit_usd: "0", window: day}
"""
SEARCH = "org:acme/project:search"


def test_a_balance_counts_in_the_window_of_now_in_the_organizations_time_zone() -> None:
    board = board_of(
        policies=[policy(POLICY)],
        balances=[balance("org:acme@day:2026-11-17", 3), balance("org:acme@day:2026-11-16", 9)],
    )
    assert figures.spend_of(board, "org:acme", NOW_MS).today.settled_nanousd == 3 * USD
    before_midnight_there = NOW_MS - 11 * HOUR_MS
    assert figures.spend_of(board, "org:acme", before_midnight_there).today.settled_nanousd == 9 * USD


def test_limits_are_those_of_this_instant_with_schedule_and_boosts() -> None:
    boosts = [
        {"budget": "search", "amount_usd": "3", "until_ms": NOW_MS + 1, "by": "t", "reason": ""},
        {"budget": "search", "amount_usd": "40", "until_ms": NOW_MS, "by": "t", "reason": "over"},
    ]
    board = board_of(policies=[policy(POLICY, boosts=boosts)], balances=[balance(f"{SEARCH}@day:2026-11-17", 6)])
    (limit,) = board.book("acme").limits_on(SEARCH, NOW_MS)
    assert (limit.limit_nanousd, limit.used_bp, limit.tier) == (8 * USD, 7500, "normal")
    (wednesday,) = board.book("acme").limits_on(SEARCH, NOW_MS + 24 * HOUR_MS)
    assert (wednesday.limit_nanousd, wednesday.amount.settled_nanousd) == (10 * USD, 0)


def test_the_fullest_budget_comes_first_and_a_budget_is_shown_before_anything_is_spent() -> None:
    board = board_of(
        policies=[policy(POLICY)],
        balances=[
            balance("org:acme/user:ada@day:2026-11-17", 3),
            balance("org:acme/user:eve@day:2026-11-17", 1.5),
            balance("org:acme/user:bob@day:2026-11-17", 0),
        ],
    )
    lines = [(limit.budget.name, limit.scope, limit.used_bp) for limit in figures.limits_of(board, ["acme"], NOW_MS)]
    assert lines == [
        ("none", "org:acme/user:bob", 10_000),
        ("each", "org:acme/user:eve", 7500),
        ("ada", "org:acme/user:ada", 3750),
        ("month", "org:acme", 0),
        ("search", SEARCH, 0),
        ("ranking", f"{SEARCH}/team:ranking", 0),
    ]


def test_a_new_policy_replaces_the_budgets_of_scopes_that_were_looked_at() -> None:
    board = board_of(policies=[policy(POLICY)], balances=[balance(f"{SEARCH}@day:2026-11-17", 6)])
    assert [limit.budget.name for limit in board.book("acme").limits_on(SEARCH, NOW_MS)] == ["search"]
    board.take("policies", 0, [policy("organization: acme\nbudgets: []\n")], NOW_MS)
    assert list(board.book("acme").limits_on(SEARCH, NOW_MS)) == []


def test_a_transaction_shows_whole_once_the_board_has_caught_up() -> None:
    board = board_of(balances=[balance("org:acme@day:2026-11-17", 1)])
    board.take("balances", 0, [balance("org:acme@day:2026-11-17", 2, offset=2)], NOW_MS)
    assert figures.spend_of(board, "org:acme", NOW_MS).today.settled_nanousd == USD
    board.take("balances", 0, [Sent(POSITION, b'{"offset":2,"clock_ms":5}')], NOW_MS)
    assert figures.spend_of(board, "org:acme", NOW_MS).today.settled_nanousd == 2 * USD
    assert board.books.clock_ms == 5


def test_an_older_value_that_is_read_again_changes_nothing() -> None:
    board = board_of(
        balances=[balance("org:acme@day:2026-11-17", 5, offset=9), balance("org:acme@day:2026-11-17", 4, offset=8)]
    )
    assert figures.spend_of(board, "org:acme", NOW_MS).today.settled_nanousd == 5 * USD


def test_what_cannot_be_read_is_told_and_ends_nothing() -> None:
    board = board_of(policies=[policy(POLICY)])
    broken = [
        Sent(b"acme", b'{"organization":"acme","version":2,"policy":{"budgets":"?"}}', 7),
        Sent(b"x", b"\xff{", 8),
    ]
    problems = board.take("policies", 0, broken, NOW_MS)
    assert [problem.split(":")[1] for problem in problems] == ["7", "8"]
    assert board.unreadable == {"policies": 2}
    assert board.book("acme").policy.version == 1
    for topic in ("balances", "charges", "alerts", "anomalies", "forecasts", "decisions"):
        assert len(board.take(topic, 0, [Sent(b"org:acme@never:1", b"[{]")], NOW_MS)) == 1


def test_only_windows_that_a_page_shows_are_kept() -> None:
    user, org = "org:acme/user:ada", "org:acme"
    labels = ("hour:2026-11-17T10:00-05:00", "hour:2026-11-16T10:00-05:00", "day:2026-11-17", "day:2026-11-10")
    board = board_of(balances=[balance(f"{scope}@{label}", 1) for scope in (user, org) for label in labels])
    kept = board.books.by_organization["acme"].amounts
    assert set(kept[user]) == {"hour:2026-11-17T10:00-05:00", "day:2026-11-17"}
    assert set(kept[org]) == {
        "hour:2026-11-17T10:00-05:00",
        "hour:2026-11-16T10:00-05:00",
        "day:2026-11-17",
        "day:2026-11-10",
    }
    board.take("charges", 0, [], NOW_MS + 60 * 24 * HOUR_MS)
    assert board.books.by_organization["acme"].amounts == {}


def test_a_removed_balance_is_gone() -> None:
    board = board_of(balances=[balance("org:acme@day:2026-11-17", 1), Sent(b"org:acme@day:2026-11-17", None)])
    assert figures.spend_of(board, "org:acme", NOW_MS).today.settled_nanousd == 0


def test_a_charge_that_is_read_twice_counts_once() -> None:
    first, second = charge(1, project="search"), charge(2, project="search", cost_usd=2)
    board = board_of(charges=[posted(first, second), posted(first, second)])
    assert board.pulse.flow(SEARCH, NOW_MS, MINUTE_MS).cost_nanousd == 3 * USD
    assert board.pulse.flow("org:acme", NOW_MS, MINUTE_MS).requests == 2


def test_the_last_minute_and_the_last_hour_end_now() -> None:
    ages_ms = (5_000, 90_000, 59 * MINUTE_MS, 61 * MINUTE_MS)
    board = board_of(charges=[posted(*(charge(n, ago_ms=age) for n, age in enumerate(ages_ms, 1)))])
    assert board.pulse.flow("org:acme", NOW_MS, MINUTE_MS).requests == 1
    assert board.pulse.flow("org:acme", NOW_MS, HOUR_MS).requests == 3
    minutes = board.pulse.minutes("org:acme", NOW_MS)
    assert [n for n, cost in enumerate(minutes) if cost] == [0, 57, 59]
    board.pulse.forget(NOW_MS + 2 * HOUR_MS)
    assert board.pulse.flow("org:acme", NOW_MS, HOUR_MS).requests == 0


def test_models_share_the_cost_of_the_last_hour_and_the_rest_is_one_line() -> None:
    charges = [charge(n, model=f"m{n:02d}", cost_usd=n) for n in range(1, 12)]
    uses = figures.models_of(board_of(charges=[posted(*charges)]), ["org:acme"], NOW_MS, most=3)
    assert [(use.model, use.flow.cost_nanousd // USD) for use in uses] == [
        ("m11", 11),
        ("m10", 10),
        ("m09", 9),
        ("8 more", 36),
    ]
    assert uses[0].share_bp == 11 * 10_000 // 66


def test_models_without_end_are_counted_together() -> None:
    charges = [charge(n, model=f"m{n}") for n in range(1, 500)]
    board = board_of(charges=[posted(*charges)])
    models = dict(board.pulse.models("org:acme", NOW_MS))
    assert len(models) == 40
    assert sum(flow.requests for flow in models.values()) == 499


def test_children_are_of_their_parent_alone() -> None:
    month = board_of().book("acme").window(WindowKind.MONTH, NOW_MS).label
    scopes = (SEARCH, f"{SEARCH}/team:ranking", f"{SEARCH}er", f"{SEARCH}er/team:ranking", "org:acmeer/project:search")
    board = board_of(balances=[balance(f"{scope}@{month}", n + 1) for n, scope in enumerate(scopes)])
    assert [spend.name for spend in figures.children_of(board, "org:acme", NOW_MS)] == ["searcher", "search"]
    assert [spend.scope for spend in figures.children_of(board, SEARCH, NOW_MS)] == [f"{SEARCH}/team:ranking"]


def test_questions_about_the_past_go_by_the_time_zone_of_the_policy_in_force() -> None:
    board = board_of(policies=[policy(POLICY)])
    assert str(board.books.zone("acme")) == "America/New_York"
    assert board.books.zone("unknown") is None
