"""What the benches of the enforcer ask: requests that each match eight budgets, four levels in two windows."""

from __future__ import annotations

from random import Random
from typing import Any, Literal

BODIES = 2_000
_LEVELS: tuple[tuple[str, dict[str, str], str], ...] = (
    ("company", {}, "5000000"),
    ("search", {"project": "search"}, "2000000"),
    ("ranking", {"project": "search", "team": "ranking"}, "800000"),
    ("each-user", {"user": "*"}, "250000"),
)
BUDGETS: list[dict[str, Any]] = [
    {"name": f"{name}-{window}", "limit_usd": limit, "window": window} | ({"scope": scope} if scope else {})
    for name, scope, limit in _LEVELS
    for window in ("day", "month")
]


def asks(detail: Literal["full", "brief"] = "brief", seed: int = 1) -> list[dict[str, Any]]:
    """Requests of 100 users: 12 balances, 8 limits, and no two alike."""
    random = Random(seed)
    return [
        {
            "organization": "acme",
            "project": "search",
            "team": "ranking",
            "user": f"user-{random.randrange(100)}",
            "provider": "openai",
            "model": "gpt-4o",
            "input_tokens": random.randrange(1, 4000),
            "max_output_tokens": random.randrange(1, 1000),
            "tags": {"feature": "autocomplete", "env": "prod"},
            "detail": detail,
        }
        for _ in range(BODIES)
    ]
