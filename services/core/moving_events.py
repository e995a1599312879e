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


class BudgetMoved(Event, frozen=True, kw_only=True, gc=False, tag="spendgate.budget.moved.v1"):
    data: Move
