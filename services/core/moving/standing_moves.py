"""Which moves stay in force, as time goes on and policies change."""

from __future__ import annotations

from schemas.policy import Policy
from services.core.effects import CarriedOver, GrantedMove, PolicyEntry
from services.core.policy import CompiledPolicy


def kept_moves(moves: tuple[GrantedMove, ...], horizon_begins_ms: int) -> tuple[GrantedMove, ...]:
    """Moves without those that ended so long ago that no event can still be measured against them."""
    return tuple(move for move in moves if move.ends_ms is None or move.ends_ms > horizon_begins_ms)


def moves_of_both(
    moves: tuple[GrantedMove, ...], before: CompiledPolicy, after: CompiledPolicy
) -> tuple[GrantedMove, ...]:
    """The moves whose two budgets a change of policy leaves what they are; the others end on both sides.

    Limits may change: what was moved stays moved, so that nothing is spent twice.
    """
    same = _unchanged(before, after)
    return tuple(move for move in moves if {move.from_budget, move.to_budget} <= same)


def kept_carries(
    carries: tuple[CarriedOver, ...], horizon_begins_ms: int, before: CompiledPolicy, after: CompiledPolicy
) -> tuple[CarriedOver, ...]:
    """What was carried over, without what ended long ago, and of budgets that are still what they were."""
    same = _unchanged(before, after)
    return tuple(each for each in carries if each.budget in same and each.ends_ms > horizon_begins_ms)


def carrying_since(
    entry: PolicyEntry | None, written: Policy, before: CompiledPolicy, after: CompiledPolicy, clock_ms: int
) -> dict[str, int]:
    """Since when budgets carry over: from now on, unless they did before and are still what they were."""
    known = {} if entry is None else entry.carrying_since_ms
    same = _unchanged(before, after)
    return {
        each.name: known.get(each.name, clock_ms) if each.name in same else clock_ms
        for each in written.budgets
        if each.carry_over is not None
    }


def _unchanged(before: CompiledPolicy, after: CompiledPolicy) -> set[str]:
    if before.zone.key != after.zone.key:  # other windows
        return set()
    was, now = _counting(before), _counting(after)
    return {name for name in now if was.get(name) == now[name]}


def _counting(policy: CompiledPolicy) -> dict[str, object]:
    return {budget.name: (budget.pattern, budget.window) for budget in policy.budgets}
