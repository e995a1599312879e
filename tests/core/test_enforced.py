"""Whatever a policy says of a budget is acted on."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.budget import Budget
from schemas.policy import Policy, parse_policy
from services.core.governance.cells import owners_of
from services.core.policy import CompiledPolicy

BUDGET: dict[str, Any] = {"name": "all", "limit_usd": "5", "window": "day"}
ACTED_ON: dict[str, Any] = {
    "name": "everything",
    "scope": {"project": "search"},
    "limit_usd": "6",
    "window": "month",
    "alerts": [0.5],
    "tiers": {"soft": 0.5, "throttle": 0.6},
    "on_hard": "monitor",
    "on_unpriced": "deny",
    "on_unknown": "allow",
    "grace": {"priorities": ["critical"], "percent": 10, "duration": "2h"},
    "fallback": {"gpt-4o": "gpt-4o-mini"},
    "fallback_at": "soft",
    "schedule": [{"when": "sat,sun", "factor": 0.5}],
}

TOLD = {"owner": "finance@acme.example"}
"""What limits nothing: people are told it."""
MOVES = {"min_usd", "max_usd", "priority", "carry_over"}
"""What bounds moves of money and carries it over: `test_moves` and `test_carries` try them."""


def policy(**changed: Any) -> Policy:
    """A policy with one budget, some of whose fields are changed."""
    return parse_policy({"organization": "acme", "budgets": [BUDGET | changed]})


def test_every_field_of_a_budget_is_acted_on() -> None:
    assert {*ACTED_ON, *TOLD, *MOVES} == set(Budget.model_fields)


def test_the_owner_of_a_budget_answers_for_it_in_reports() -> None:
    assert owners_of(policy(**TOLD)) == {"all": ("finance@acme.example",)}
    assert owners_of(policy()) == {"all": ()}


@pytest.mark.parametrize("field", ACTED_ON)
def test_a_field_that_is_acted_on_changes_what_is_enforced(field: str) -> None:
    changed = policy(**{field: ACTED_ON[field]})
    assert CompiledPolicy.compile(changed, version=1) != CompiledPolicy.compile(policy(), version=1)
