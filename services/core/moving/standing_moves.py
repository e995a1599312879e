"""Which moves stay in force, as time goes on and policies change."""

from __future__ import annotations

from services.core.effects import GrantedMove
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
    if before.zone.key != after.zone.key:  # other windows
        return ()
    was, now = _counting(before), _counting(after)
    same = {name for name in now if was.get(name) == now[name]}
    return tuple(move for move in moves if {move.from_budget, move.to_budget} <= same)


def _counting(policy: CompiledPolicy) -> dict[str, object]:
    return {budget.name: (budget.pattern, budget.window) for budget in policy.budgets}
