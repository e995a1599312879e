"""What gateways know they may have spent: a model of its own, simpler than the ledger, to hold everything against."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

Fate = Literal["open", "settled", "expired", "lost"]


@dataclass(slots=True)
class Entry:
    """One reservation: the balances it counts in, and what it cost, or may still cost at most; nano-dollars."""

    enforcer: str
    keys: tuple[str, ...]
    amount: int
    fate: Fate = "open"


@dataclass(slots=True)
class Books:
    """All reservations of one organization, and per balance what they add up to.

    `overruns`: what gateways that broke their own cap spent beyond their estimates. `grown`: the balances in which more
    is owed since somebody last looked.
    """

    entries: dict[str, Entry] = field(default_factory=dict)
    owed: Counter[str] = field(default_factory=Counter)
    overruns: Counter[str] = field(default_factory=Counter)
    grown: set[str] = field(default_factory=set)

    def reserve(self, reservation: str, entry: Entry) -> None:
        """A request was allowed: it may cost its estimate."""
        self.entries[reservation] = entry
        self._add(entry, entry.amount)

    def settle(self, reservation: str, cost: int) -> None:
        """The request has cost this much; that is final."""
        entry = self.entries[reservation]
        for key in entry.keys:
            self.overruns[key] += max(0, cost - entry.amount)
        self._add(entry, cost - entry.amount)
        entry.amount, entry.fate = cost, "settled"

    def expire(self, reservation: str) -> None:
        """Charged at its estimate, until it is settled after all."""
        if self.entries[reservation].fate == "open":
            self.entries[reservation].fate = "expired"

    def lose(self, enforcer: str) -> None:
        """The enforcer is gone: nobody will charge what is open there, unless its gateway still does."""
        for entry in self.entries.values():
            if entry.enforcer == enforcer and entry.fate == "open":
                entry.fate = "lost"

    def charged(self) -> Counter[str]:
        """What the ledger must have per balance once everything has arrived."""
        total: Counter[str] = Counter()
        for entry in self.entries.values():
            if entry.fate in ("settled", "expired"):
                for key in entry.keys:
                    total[key] += entry.amount
        return total

    def _add(self, entry: Entry, amount: int) -> None:
        for key in entry.keys:
            self.owed[key] += amount
        if amount > 0:
            self.grown.update(entry.keys)
