"""The board shows balances as the aggregator counts them: by level, by budget, and in the windows of now."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest
from aiokafka import ConsumerRecord

from schemas.policy import load_policy
from services.cli.board import Board
from services.core.balance import Balance
from services.core.effects import PolicyEntry
from services.core.events import to_ms
from services.core.scope import Level
from services.core.window import WindowKind

NOW_MS = to_ms(datetime(2026, 11, 24, 13, 5, tzinfo=UTC))
POLICY = """
organization: acme
budgets:
  - {name: month, limit_usd: "10", window: month}
  - {name: search, scope: {project: search}, limit_usd: "4", window: day}
  - {name: each, scope: {user: "*"}, limit_usd: "2", window: day}
  - {name: ada, scope: {user: ada}, limit_usd: "8", window: day}
  - {name: none, scope: {user: bob}, limit_usd: "0", window: day}
"""


@pytest.fixture
def board() -> Board:
    board = Board()
    entry = PolicyEntry(
        organization="acme", version=3, policy=load_policy(POLICY).model_dump(mode="json"), by="t", reason="", offset=0
    )
    board.put_policy(msgspec.json.encode(entry))
    for key, dollars in (
        ("org:acme@month:2026-11", 6),
        ("org:acme@month:2026-10", 5),
        ("org:acme@day:2026-11-24", 4),
        ("org:acme/project:search@day:2026-11-24", 3),
        ("org:acme/project:search@day:2026-11-23", 9),
        ("org:acme/user:ada@day:2026-11-24", 3),
        ("org:acme/user:eve@day:2026-11-24", 1),
        ("org:acme/user:dan@day:2026-11-24", 2),
        ("org:acme/user:bob@day:2026-11-24", 0),
        ("org:other@month:2026-11", 100),
    ):
        board.put_balance(key, Balance(settled_nanousd=dollars * 10**9, requests=1))
    return board


def test_what_the_aggregator_keeps_beside_balances_is_none(board: Board) -> None:
    key, value = b"#enforcer:enforcer-1f0c9a2b", b'{"beat":1,"alive_at_ms":1}'
    record = ConsumerRecord("balances", 0, 0, NOW_MS, 0, key, value, None, len(key), len(value), ())
    organizations = board.organizations
    board.take({("balances", 0): [record]})
    assert board.organizations == organizations


def test_spend_is_of_one_level_and_the_present_window_most_first(board: Board) -> None:
    users = board.spend("acme", Level.USER, WindowKind.DAY, NOW_MS)
    assert [(line.scope, line.balance.settled_nanousd // 10**9) for line in users] == [
        ("org:acme/user:ada", 3),
        ("org:acme/user:dan", 2),
        ("org:acme/user:eve", 1),
        ("org:acme/user:bob", 0),
    ]
    assert [line.window for line in board.spend("acme", Level.PROJECT, WindowKind.DAY, NOW_MS)] == ["day:2026-11-24"]


def test_budgets_are_shown_with_each_balance_they_limit_the_specific_one_replacing_the_general(board: Board) -> None:
    lines = [(line.budget.name, line.scope, line.utilization_bp) for line in board.budgets("acme", NOW_MS)]
    assert lines == [
        ("month", "org:acme", 6000),
        ("search", "org:acme/project:search", 7500),
        ("each", "org:acme/user:dan", 10_000),
        ("each", "org:acme/user:eve", 5000),
        ("ada", "org:acme/user:ada", 3750),
        ("none", "org:acme/user:bob", 10_000),
    ]


def test_the_highest_alert_of_a_budget_is_its_own(board: Board) -> None:
    alerted = Balance(settled_nanousd=1, fired=("month:5000", "month:7500", "other:9000"))
    board.put_balance("org:acme@month:2026-11", alerted)
    assert {line.budget.name: line.alerted_bp for line in board.budgets("acme", NOW_MS)} == {
        "month": 7500,
        "search": None,
        "each": None,
        "ada": None,
        "none": None,
    }


def test_the_total_is_over_all_months_and_one_organization(board: Board) -> None:
    assert board.settled_nanousd("acme") == 11 * 10**9
    assert board.organizations == ["acme", "other"]


def test_what_is_removed_is_gone(board: Board) -> None:
    board.put_balance("org:acme@month:2026-10", None)
    assert board.settled_nanousd("acme") == 6 * 10**9
