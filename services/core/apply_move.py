"""What a move of money does: one budget has less from now on and another more, and nothing is exposed by it."""

from __future__ import annotations

import msgspec

from schemas.policy import Policy
from services.core.application import Application
from services.core.apply_policy import adopt
from services.core.audit_text import json_text
from services.core.effects import GrantedMove
from services.core.escrow import outstanding, share_out
from services.core.events import to_ms
from services.core.money import MoneyError, format_usd, parse_usd
from services.core.moving.standing_moves import kept_moves
from services.core.moving.terms import check_bounds, check_pair, free
from services.core.moving_events import BudgetMoved, Move
from services.core.policy import Budget, CompiledPolicy, budget_scope
from services.core.rejection import Reason, Refused
from services.core.scope import level_of
from services.core.window import Window, window_at

MOVES_MAX = 512
"""How many moves an organization's policy keeps at most; they leave a horizon after their window has ended."""


def apply_move(to: Application, event: BudgetMoved, index: int) -> None:
    """Move money from what is free of one budget to another, until their window ends. Raises Refused."""
    move = event.data
    if to.duplicate(event):
        return
    organization = to.state.organization(move.organization)
    entry, policy = organization.entry, organization.routes.policy
    source, target = named(policy, move.from_budget, "from_budget"), named(policy, move.to_budget, "to_budget")
    assert entry is not None, "budgets come from a policy"
    if any(known.move == move.move for known in entry.moves):
        to.effects.counts["duplicate"] += 1
        return
    check_pair(source, target)
    amount, window = _amount(move), window_at(source.window, to.clock_ms, policy.zone)
    until_ms = _until(move, window, to.clock_ms)
    moves = kept_moves(entry.moves, to.clock_ms - to.state.horizon_ms)
    if len(moves) >= MOVES_MAX:
        detail = f"{MOVES_MAX} moves are kept: no more until windows have ended; move more at once"
        raise Refused(Reason.TOO_MANY_MOVES, detail)
    _check_return(move, moves, amount)
    check_bounds(policy, Policy.model_validate(entry.policy), source, target, amount, to.clock_ms)
    _check_room(to, policy, source, window, amount)
    granted = GrantedMove(
        move=move.move,
        from_budget=source.name,
        to_budget=target.name,
        amount_usd=format_usd(amount),
        since_ms=to.clock_ms,
        ends_ms=window.end_ms,
        until_ms=until_ms,
        rule=move.rule,
        returns=move.returns,
        by=move.by,
        reason=move.reason,
        key_id=move.key_id,
    )
    adopt(to, msgspec.structs.replace(entry, moves=(*moves, granted), offset=to.offset, latest_offset=to.offset))
    guard_balance(to, policy.organization, source, window)
    guard_balance(to, policy.organization, target, window)
    to.effects.counts["move"] += 1
    _audit(to, index, move, source, target, amount)
    to.remember(event)


def named(policy: CompiledPolicy, name: str, field: str) -> Budget:
    """A budget of a policy. Raises Refused, naming the field."""
    for budget in policy.budgets:
        if budget.name == name:
            return budget
    raise Refused(Reason.UNKNOWN_BUDGET, f"{policy.organization} has no budget {name!r}", f"data.{field}")


def _amount(move: Move) -> int:
    try:
        amount = parse_usd(move.amount_usd)
    except MoneyError as error:
        raise Refused(Reason.INVALID_MONEY, str(error), "data.amount_usd") from error
    if amount <= 0:
        raise Refused(Reason.INVALID_MONEY, "a move is of more than nothing", "data.amount_usd")
    return amount


def _until(move: Move, window: Window, clock_ms: int) -> int | None:
    """When it is to be given back; None at the end of the window, where it ends in any case."""
    if move.until is None:
        return None
    until_ms = to_ms(move.until)
    if until_ms <= clock_ms:
        raise Refused(Reason.LATE, "what it is moved until is over already: nothing was moved", "data.until")
    return until_ms if window.end_ms is None or until_ms < window.end_ms else None


def _check_return(move: Move, moves: tuple[GrantedMove, ...], amount: int) -> None:
    """What is given back was given the other way, and not given back before."""
    if move.returns is None:
        return
    given = [each for each in moves if each.move == move.returns]
    if not given or (given[0].to_budget, given[0].from_budget) != (move.from_budget, move.to_budget):
        detail = f"{move.to_budget!r} gave {move.from_budget!r} nothing by the name of {move.returns!r}"
        raise Refused(Reason.INVALID_MOVE, detail, "data.returns")
    returned = [parse_usd(each.amount_usd) for each in moves if each.returns == move.returns]
    left = parse_usd(given[0].amount_usd) - sum(returned)
    if amount > left:
        raise Refused(Reason.INVALID_MOVE, f"only ${format_usd(left)} of it is not given back yet", "data.amount_usd")


def _check_room(to: Application, policy: CompiledPolicy, source: Budget, window: Window, amount: int) -> None:
    """What is settled, and what enforcers may still spend, stays where it is."""
    key = balance_key(policy.organization, source, window)
    balance = to.state.tables[level_of(key.rpartition("@")[0])].get(key)
    committed = 0 if balance is None else balance.settled_nanousd + outstanding(balance.shares.values())
    room = free(source.limit_at(to.clock_ms), source.tiers.hard_bp, committed)
    if amount > room:
        detail = f"{source.name!r} has ${format_usd(room)} that is neither spent nor held by enforcers"
        raise Refused(Reason.INSUFFICIENT_ROOM, f"{detail}: move that at most", "data.amount_usd")


def balance_key(organization: str, budget: Budget, window: Window) -> str:
    """The key of the balance that a budget without `*` limits in a window."""
    return f"{budget_scope(organization, dict(budget.pattern))}@{window.label}"


def guard_balance(to: Application, organization: str, budget: Budget, window: Window) -> None:
    """Put the limit of now on a balance that has shares, and grant what others wait for there."""
    key = balance_key(organization, budget, window)
    balance = to.state.tables[level_of(key.rpartition("@")[0])].get(key)
    guard = to.state.organization(organization).guard(key)
    if balance is None or guard is None or not balance.shares:
        return
    to.guard(key, balance, guard.limit_at(to.clock_ms, balance.grace_from_ms))
    share_out(guard.limit_at(to.clock_ms), balance.settled_nanousd, balance.shares)
    to.touch(key, balance)


def _audit(to: Application, index: int, move: Move, source: Budget, target: Budget, amount: int) -> None:
    before = {source.name: source.limit_at(to.clock_ms), target.name: target.limit_at(to.clock_ms)}
    after = {source.name: before[source.name] - amount, target.name: before[target.name] + amount}
    to.audit(
        index,
        "budget.moved",
        f"{source.name} -> {target.name}",
        organization=move.organization,
        by=move.by,
        key_id=move.key_id,
        reason=move.reason,
        before=json_text({name: format_usd(limit) for name, limit in before.items()}),
        after=json_text({name: format_usd(limit) for name, limit in after.items()}),
        budgets=[source.name, target.name],
    )
