"""The table of budgets at the widths of real terminals: nothing that matters is cut off."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from schemas.policy import load_policy
from services.cli.board import Board
from services.cli.budget_table import FOOTNOTE, BudgetTable
from services.core.balance import Balance
from services.core.effects import PolicyEntry
from services.core.window import WindowKind, window_at
from tests.core.ledger import NOON_MS

EXAMPLE = Path(__file__).parents[2] / "examples" / "policies" / "acme.yaml"
SCOPES = ("", "/project:research", "/project:copilot/team:review", "/user:barbara", "/tag.feature:autocomplete")


@pytest.fixture
def budgets() -> BudgetTable:
    """The demo's budgets, some of them spent from."""
    policy = load_policy(EXAMPLE.read_text())
    entry = PolicyEntry(
        organization="acme", version=1, policy=policy.model_dump(mode="json"), by="ada", reason="", offset=0
    )
    board = Board()
    board.put_policy(msgspec.json.encode(entry))
    zone = board.policy("acme").zone
    for scope in SCOPES:
        for kind in (WindowKind.DAY, WindowKind.MONTH):
            label = window_at(kind, NOON_MS, zone).label
            board.put_balance(
                f"org:acme{scope}@{label}", Balance(settled_nanousd=5_678_000_000, requests=1_234, offset=1)
            )
    return BudgetTable("acme: budgets", board.budgets("acme", NOON_MS))


def shown(budgets: BudgetTable, width: int) -> str:
    """What a console of this width prints."""
    console = Console(width=width, file=StringIO())
    with console.capture() as captured:
        console.print(budgets)
    return captured.get()


@pytest.mark.parametrize("width", [80, 100, 120, 132])
def test_every_width_shows_names_amounts_and_shares_whole(budgets: BudgetTable, width: int) -> None:
    text = shown(budgets, width)
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= width
    for part in (
        "company-month",
        "research-day †",
        "autocomplete-day",
        "barbara",
        "$5.68",
        "$150.00",
        "94.6%",
        FOOTNOTE,
    ):
        assert part in text, part


def test_scopes_windows_and_alerts_need_room(budgets: BudgetTable) -> None:
    wide, narrow = shown(budgets, 120), shown(budgets, 119)
    assert "tag.feature:autocomplete" in wide
    assert "day:2026-11-24" in wide
    assert "alerted" in wide
    assert "day:2026-11-24" not in narrow
