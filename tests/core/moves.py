"""Moves of money for tests: the event that asks for one, and budgets between which it may go."""

from __future__ import annotations

from typing import Any

from services.core.policy import Budget
from services.core.state import LedgerState
from tests.core.ledger import NOON_MS, Json, budget, event, policy

POOL = budget("pool", "10", "day", scope={"project": "pool"})
SEARCH = budget("search", "10", "day", scope={"project": "search"})


def move(
    amount_usd: str,
    source: str = "pool",
    target: str = "search",
    *,
    name: str = "m1",
    at_ms: int = NOON_MS,
    **more: Any,
) -> Json:
    """The event that moves money between two budgets of acme."""
    data: Json = {
        "organization": "acme",
        "move": name,
        "from_budget": source,
        "to_budget": target,
        "amount_usd": amount_usd,
        "by": "ada",
        "reason": "launch week",
        **more,
    }
    return event("budget.moved", data, event_id=name, source="admin", at_ms=at_ms)


def two(*more: Json, **keywords: Any) -> Json:
    """A policy with the two of them."""
    return policy(POOL, SEARCH, *more, **keywords)


def compiled(state: LedgerState, name: str) -> Budget:
    """A budget of acme as it is in force."""
    return next(each for each in state.organization("acme").routes.policy.budgets if each.name == name)


def limit(state: LedgerState, name: str, at_ms: int = NOON_MS) -> int:
    """What a budget of acme allows, in nano-dollars."""
    return compiled(state, name).limit_at(at_ms)
