"""What the ledger says about money that moves: from one budget to another, for the rest of a window."""

from __future__ import annotations

from decimal import Decimal
from typing import Self

from pydantic import model_validator
from pydantic_core import PydanticCustomError

from schemas.envelope import Data
from schemas.fields import Identifier, Instant, Name, Text
from schemas.spending import WireUsd


class MoveRequest(Data):
    """Money that one budget is to give another, as somebody asks for it.

    It lasts to the end of the window in which it happens. From `until` on, what is free of it is given back already.
    """

    organization: Name
    from_budget: Identifier
    to_budget: Identifier
    amount_usd: WireUsd
    until: Instant | None = None
    by: Name
    reason: Text = ""

    @model_validator(mode="after")
    def _moves_something(self) -> Self:
        if not Decimal(self.amount_usd):
            raise PydanticCustomError("inconsistent", "moves nothing: write an amount", {"field": "amount_usd"})
        if self.from_budget == self.to_budget:
            raise PydanticCustomError(
                "inconsistent", "is the budget that gives it: name another", {"field": "to_budget"}
            )
        return self


class Carry(Data):
    """A window of a budget is over: what it leaves is to be counted, and added to the next one as its policy says."""

    organization: Name
    budget: Identifier
    window: Name
    by: Name
    reason: Text = ""


class Move(MoveRequest):
    """Money that one budget gives another, to the end of a window. `move` names it: said twice, it happens once.

    `rule` is the policy's rule that wanted it, `returns` the earlier move that this one gives back. `by` is what the
    sender wrote, `key_id` the API key presented.
    """

    move: Name
    rule: Identifier | None = None
    returns: Name | None = None
    key_id: Name | None = None
