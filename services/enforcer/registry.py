"""The enforcers that the ledger knows, as they are tailed: this one among them, and how many are alive."""

from __future__ import annotations

from collections import defaultdict

import msgspec

from services.core.escrow import Registered
from services.enforcer.lease import Leases

_decode = msgspec.json.Decoder(Registered).decode


class Registry:
    """Who is registered in which partition. `reclaimed`: this enforcer has lost its shares somewhere."""

    def __init__(self, identity: str, leases: Leases, *, alive_ms: int) -> None:
        """An enforcer counts as alive when it was heard of within the last `alive_ms` of the ledger's clock."""
        self.reclaimed = False
        self._identity, self._leases, self._alive_ms = identity, leases, alive_ms
        self._known: defaultdict[int, dict[str, Registered]] = defaultdict(dict)
        self._alive: dict[int, int] = {}

    def put(self, partition: int, name: str, value: bytes | None) -> None:
        """Take note of an entry of the balances changelog; None removes it."""
        if value is None:
            self._known[partition].pop(name, None)
            return
        entry = self._known[partition][name] = _decode(value)
        if name != self._identity:
            return
        if entry.reclaimed:
            self.reclaimed = True
        else:
            self._leases.heard(partition, entry.beat)

    def count(self, partition: int, clock_ms: int) -> None:
        """Count again who is alive, by the ledger's clock there."""
        alive = sum(
            not found.reclaimed and clock_ms - found.alive_at_ms <= self._alive_ms
            for found in self._known[partition].values()
        )
        self._alive[partition] = max(1, alive)

    def alive(self, partition: int) -> int:
        """How many enforcers share the budgets of a partition: this one at least."""
        return self._alive.get(partition, 1)

    def all(self) -> dict[str, list[Registered]]:
        """Every enforcer by name, as each partition that heard of it knows it."""
        found: defaultdict[str, list[Registered]] = defaultdict(list)
        for known in self._known.values():
            for name, entry in known.items():
                found[name].append(entry)
        return found

    def start_over(self, identity: str) -> None:
        """This enforcer is another one now."""
        self._identity, self.reclaimed = identity, False
