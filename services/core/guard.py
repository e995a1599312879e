"""Which limit guards a balance: the least of what its blocking budgets allow, as the ledger's clock stands."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from services.core.policy import Budget, CompiledPolicy, budget_scope
from services.core.scope import parse_scope
from services.core.standing import Limits
from services.core.window import Window, window_of_label


@dataclass(frozen=True, slots=True)
class Guard:
    """The budgets that block on one balance, in its window."""

    budgets: tuple[Budget, ...]
    window: Window

    def limit_at(self, clock_ms: int, grace_from_ms: int = 0) -> int:
        """The hard limit in nano-dollars; before the window begins and after it has ended, that of its edges.

        `grace_from_ms`: when grace was opened there (0: never); while it lasts, its room counts too.
        """
        at_ms = self._within(clock_ms)
        return min([_limit(budget, at_ms, grace_from_ms) for budget in self.budgets])

    def is_gracious(self, clock_ms: int) -> bool:
        """Whether grace, opened now, would make more room."""
        at_ms = self._within(clock_ms)
        return self.limit_at(at_ms, at_ms) > self.limit_at(at_ms)

    def _within(self, clock_ms: int) -> int:
        at_ms = max(clock_ms, self.window.start_ms)
        return at_ms if self.window.end_ms is None else min(at_ms, self.window.end_ms - 1)


def guard_of(policy: CompiledPolicy, scope: str, label: str) -> Guard | None:
    """The guard of the balance `scope@label`; None when no budget blocks there.

    Raises `ScopeError` for a scope and `ValueError` for a label that cannot be read.
    """
    dimensions = parse_scope(scope)
    window = window_of_label(label, policy.zone)
    values = {name: value for name, value in dimensions.items() if name != "org"}
    matches = [
        budget
        for budget, matched in policy.matching(values)
        if budget.window is window.kind and budget_scope(policy.organization, matched) == scope
    ]
    budgets = blocking(matches)
    return Guard(budgets, window) if budgets else None


def _limit(budget: Budget, at_ms: int, grace_from_ms: int) -> int:
    limits = Limits.of(budget, at_ms)
    if budget.grace is not None and 0 < grace_from_ms <= at_ms < grace_from_ms + budget.grace.duration_ms:
        return limits.grace_nanousd
    return limits.hard_nanousd


def blocking(budgets: Iterable[Budget]) -> tuple[Budget, ...]:
    """Those of some budgets whose hard tier blocks."""
    return tuple([budget for budget in budgets if budget.on_hard == "deny"])
