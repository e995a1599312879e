"""What carrying over does: what a window leaves unspent is the next one's, worked out once and for good."""

from __future__ import annotations

from typing import Final

import msgspec

from schemas.budget import Budget as WrittenBudget
from schemas.budget import CarryOver
from schemas.policy import Policy
from services.core.application import Application
from services.core.apply_move import apply_move, balance_key, guard_balance, named
from services.core.apply_policy import adopt
from services.core.audit_text import json_text
from services.core.effects import CarriedOver, PolicyEntry
from services.core.escrow import outstanding
from services.core.money import format_usd, parse_usd
from services.core.moving.standing_moves import kept_carries
from services.core.moving.terms import free, parents, plain_limit, taking
from services.core.moving_events import BudgetCarried, BudgetMoved, Carry
from services.core.policy import Budget, CompiledPolicy
from services.core.rejection import Reason, Refused
from services.core.schedule import BASIS_POINTS
from services.core.scope import level_of
from services.core.window import Window, WindowError, window_at, window_of_label

CARRIES_MAX: Final = 2_048


def apply_transfer(to: Application, event: BudgetMoved | BudgetCarried, index: int) -> None:
    """Money goes from one budget to another, or from one window to the next. Raises Refused."""
    match event:
        case BudgetMoved():
            apply_move(to, event, index)
        case BudgetCarried():
            apply_carry(to, event, index)


def apply_carry(to: Application, event: BudgetCarried, index: int) -> None:
    """Add what is free of a window that is over to the limit of the one that follows. Raises Refused."""
    carry = event.data
    if to.duplicate(event):
        return
    organization = to.state.organization(carry.organization)
    entry, policy = organization.entry, organization.routes.policy
    budget = named(policy, carry.budget, "budget")
    assert entry is not None, "budgets come from a policy"
    if any((each.budget, each.window) == (carry.budget, carry.window) for each in entry.carries):
        to.effects.counts["duplicate"] += 1
        return
    written = next(each for each in Policy.model_validate(entry.policy).budgets if each.name == budget.name)
    if written.carry_over is None:
        raise Refused(Reason.INVALID_CARRY, f"{budget.name!r} has no carry_over in the policy in force", "data.budget")
    window, following = _windows(to, policy, budget, carry, entry)
    carries = kept_carries(entry.carries, to.clock_ms - to.state.horizon_ms, policy, policy)
    if len(carries) >= CARRIES_MAX:
        raise Refused(Reason.TOO_MANY_MOVES, f"{CARRIES_MAX} windows are kept: no more until some of them have ended")
    amount = min(_unspent(to, policy, budget, window), _most(policy, budget, written, written.carry_over, to.clock_ms))
    assert window.end_ms is not None, "windows that carry over end"
    assert following.end_ms is not None, "windows that carry over end"
    carried = CarriedOver(
        budget=budget.name,
        window=window.label,
        amount_usd=format_usd(amount),
        turns_ms=window.end_ms,
        ends_ms=following.end_ms,
    )
    moved = msgspec.structs.replace(entry, carries=(*carries, carried), offset=to.offset, latest_offset=to.offset)
    adopt(to, moved)
    for each in (window, following):
        guard_balance(to, policy.organization, budget, each)
    to.effects.counts["carry"] += 1
    to.audit(
        index,
        "budget.carried",
        budget.name,
        organization=carry.organization,
        by=carry.by,
        reason=carry.reason,
        after=json_text({"from": window.label, "into": following.label, "amount_usd": carried.amount_usd}),
        budgets=[budget.name],
    )
    to.remember(event)


def _windows(
    to: Application, policy: CompiledPolicy, budget: Budget, carry: Carry, entry: PolicyEntry
) -> tuple[Window, Window]:
    """The window that is over, and the one that follows it and is running. Raises Refused."""
    try:
        window = window_of_label(carry.window, policy.zone)
    except WindowError as error:
        raise Refused(Reason.INVALID_CARRY, str(error), "data.window") from error
    following = window_at(budget.window, to.clock_ms, policy.zone)
    if window.kind is not budget.window or window.end_ms != following.start_ms:
        detail = f"{carry.window} is not the {budget.window} before {following.label}, which is running"
        raise Refused(Reason.INVALID_CARRY, detail, "data.window")
    if to.clock_ms < following.start_ms + to.state.carry_after_ms:
        detail = f"{carry.window} is over for less than {to.state.carry_after_ms // 1000} s: it is not settled yet"
        raise Refused(Reason.INVALID_CARRY, detail, "data.window")
    if entry.carrying_since_ms.get(budget.name, to.clock_ms) >= following.start_ms:
        detail = f"{budget.name!r} did not carry over yet when {carry.window} ended"
        raise Refused(Reason.INVALID_CARRY, detail, "data.window")
    return window, following


def _unspent(to: Application, policy: CompiledPolicy, budget: Budget, window: Window) -> int:
    """What is neither settled nor held by enforcers, who may still charge what they reserved then."""
    assert window.end_ms is not None, "windows that carry over end"
    key = balance_key(policy.organization, budget, window)
    balance = to.state.tables[level_of(key.rpartition("@")[0])].get(key)
    committed = 0 if balance is None else balance.settled_nanousd + outstanding(balance.shares.values())
    return free(budget.limit_at(window.end_ms - 1), budget.tiers.hard_bp, committed)


def _most(policy: CompiledPolicy, budget: Budget, written: WrittenBudget, rule: CarryOver, at_ms: int) -> int:
    """The cap; less, where `max_usd` or the limit of a wider budget is nearer."""
    if rule.cap_usd is not None:
        cap = parse_usd(rule.cap_usd)
    else:
        assert rule.cap_bp is not None, "there is a cap"
        cap = budget.limit_nanousd * rule.cap_bp // BASIS_POINTS
    takes, own = taking(budget, written, at_ms), plain_limit(budget, at_ms)
    above = [max(0, plain_limit(each, at_ms) - own) for each in parents(policy.budgets, budget)]
    return min([cap, *above, *([] if takes is None else [takes])])
