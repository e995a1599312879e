"""Why the enforcer cannot do what it was asked."""

from __future__ import annotations

from typing import Literal


class Restoring(Exception):
    """The balances are still being read: no answer would be right."""


class TooManyReservations(Exception):
    """As many reservations are in flight as this enforcer may hold."""


class UnknownReservation(Exception):
    """A reservation that this enforcer neither holds nor closed lately."""


class BeingSettled(Exception):
    """A reservation whose settlement is on its way into the ledger."""


class OutOfTime(Exception):
    """A reservation whose usage the ledger would reject: it was made too long ago, or is yet to be made."""

    def __init__(self, reason: Literal["late", "future"], message: str) -> None:
        super().__init__(message)
        self.reason = reason


class AlreadyClosed(Exception):
    """A reservation that has ended another way; `fate` says how."""

    def __init__(self, reservation: str, fate: str) -> None:
        super().__init__(f"{reservation} was {fate} already")
        self.fate = fate
