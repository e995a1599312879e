"""Where a budget stands when rules look at it, whether it is in need by one of them, and how that is said."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from schemas.rules import Rule
from services.core.governance.words import dollars, percent
from services.core.policy import Budget
from services.core.schedule import BASIS_POINTS
from services.core.window import Window

PRIORITIES: Final = ("low", "normal", "high", "critical")


@dataclass(frozen=True, slots=True)
class Stand:
    """A budget's figures in its window: settled, held by enforcers, and expected by its end; nano-dollars."""

    settled_nanousd: int = 0
    outstanding_nanousd: int = 0
    expected_nanousd: int | None = None

    @property
    def committed_nanousd(self) -> int:
        """What cannot be given away."""
        return self.settled_nanousd + self.outstanding_nanousd


NOTHING: Final = Stand()


@dataclass(frozen=True, slots=True)
class Need:
    """What a rule looks at, and how it compares, in basis points; `words` say so with the amounts."""

    measured_bp: int
    holds: bool
    words: str


def need_of(
    rule: Rule, budget: Budget, stand: Stand, window: Window, now_ms: int, extra_nanousd: int = 0
) -> Need | None:
    """How a budget stands by a rule, were its limit larger by an extra amount (or smaller).

    None when nobody can say: no forecast, or a window that has hardly begun.
    """
    limit = budget.limit_at(now_ms) + extra_nanousd
    within = ""
    amount, words = stand.settled_nanousd, f"has spent {dollars(stand.settled_nanousd)}"
    if rule.metric == "forecast":
        if stand.expected_nanousd is None:
            return None
        amount, words = stand.expected_nanousd, f"is expected to spend {dollars(stand.expected_nanousd)}"
    elif rule.metric == "pace":
        elapsed = _elapsed_bp(window, now_ms)
        if not elapsed:
            return None
        amount = amount * BASIS_POINTS // elapsed
        within = f" in {percent(elapsed)} of the {window.kind}"
    measured = amount * BASIS_POINTS // limit if limit > 0 else (BASIS_POINTS * 100 if amount else 0)
    holds = measured >= rule.threshold_bp if rule.reaches else measured > rule.threshold_bp
    told = f"{budget.name} {words} of {dollars(limit)}{within}: {rule.metric} {percent(measured)}"
    return Need(measured, holds, f"{told}, rule {rule.name} is {rule.when}")


def rank(priority: str) -> int:
    """A priority as a number: the higher, the sooner it is served."""
    return PRIORITIES.index(priority)


def _elapsed_bp(window: Window, now_ms: int) -> int:
    """The part of a window that is over, in basis points; 0 for one that never ends."""
    if window.end_ms is None:
        return 0
    return max(0, min(now_ms, window.end_ms) - window.start_ms) * BASIS_POINTS // (window.end_ms - window.start_ms)
