"""Wire structs of money that moves between budgets; `schemas.moving` says the same for the people who write it."""

from __future__ import annotations

from msgspec import Struct

from services.core.events import Event, Instant, Name, Text, Usd


class Move(Struct, frozen=True, kw_only=True, gc=False):
    """Money that one budget gives another, to the end of the window in which it happens.

    `move` names it: said twice, it happens once. From `until` on, what is free of it is to be given back before that.
    `rule` is the policy's rule that wanted it, `returns` the earlier move that this one gives back.
    """

    organization: Name
    move: Name
    from_budget: Name
    to_budget: Name
    amount_usd: Usd
    until: Instant | None = None
    rule: Name | None = None
    returns: Name | None = None
    by: Name
    reason: Text = ""
    key_id: Name | None = None


class Carry(Struct, frozen=True, kw_only=True, gc=False):
    """A budget's window is over: what it leaves is to be added to the next one. The fold works out how much that is."""

    organization: Name
    budget: Name
    window: Name
    by: Name
    reason: Text = ""


class BudgetCarried(Event, frozen=True, kw_only=True, gc=False, tag="spendgate.budget.carried.v1"):
    data: Carry


class BudgetMoved(Event, frozen=True, kw_only=True, gc=False, tag="spendgate.budget.moved.v1"):
    data: Move
