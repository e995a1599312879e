"""Watches every balance, transaction by transaction, and raises as soon as one is beyond its hard limit."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

import msgspec

from services.adapters.kafka import Record, tail
from services.adapters.settings import Settings
from services.core.balance import Balance, split_key
from services.core.effects import POSITION_KEY, Position
from services.core.escrow import ENFORCER_KEY, Registered, outstanding
from services.core.money import format_usd
from tests.e2e.demand import WINDOW, Company

_balance = msgspec.json.Decoder(Balance).decode
_position = msgspec.json.Decoder(Position).decode
_registered = msgspec.json.Decoder(Registered).decode


@dataclass(slots=True)
class Watch:
    """The balances of some companies as the aggregator commits them. Those in `guarded` must never be overspent."""

    settings: Settings
    guarded: Company
    balances: dict[str, Balance] = field(default_factory=dict)
    enforcers: dict[str, Registered] = field(default_factory=dict)
    positions: dict[int, Position] = field(default_factory=dict)
    samples: int = 0
    reclaimed_nanousd: Counter[str] = field(default_factory=Counter)
    """By scope, what enforcers presumed dead might have spent."""

    async def run(self) -> None:
        """Look at every change, until cancelled. Raises `AssertionError`."""
        async with aclosing(tail(self.settings, ["balances"])) as batches:
            async for batch in batches:
                for (_, partition), records in batch.records.items():
                    self._take(partition, records)

    async def reached(self, ends: Mapping[int, int]) -> None:
        """Wait until all of the ledger up to its `ends` has been applied."""
        while any(self.positions.get(partition, Position()).offset + 1 < end for partition, end in ends.items()):
            await asyncio.sleep(0.05)

    def settled_nanousd(self, scope: str) -> int:
        """What a scope has spent in the window of the budgets."""
        return self.balances.get(f"{scope}@{WINDOW}", Balance()).settled_nanousd

    def holders(self) -> set[str]:
        """The enforcers that have a share of anything, however small."""
        return {name for balance in self.balances.values() for name in balance.shares}

    def _take(self, partition: int, records: Sequence[Record]) -> None:
        for record in records:
            assert record.key is not None
            key = record.key.decode()
            if key == POSITION_KEY:
                assert record.value is not None
                self.positions[partition] = _position(record.value)
            elif record.value is None:
                self.balances.pop(key, None)
                self.enforcers.pop(key.removeprefix(ENFORCER_KEY), None)
            elif key.startswith(ENFORCER_KEY):
                self.enforcers[key.removeprefix(ENFORCER_KEY)] = _registered(record.value)
            else:
                self._look_at(key, _balance(record.value))

    def _look_at(self, key: str, balance: Balance) -> None:
        scope, window = split_key(key)
        before, self.balances[key] = self.balances.get(key), balance
        limit = self.guarded.limit_of(scope)
        if window != WINDOW or limit is None:
            return
        self.samples += 1
        spent, shares = balance.settled_nanousd, outstanding(balance.shares.values())
        assert spent + shares <= limit, (
            f"{scope}: {format_usd(spent)} is spent and {format_usd(shares)} may be, of {format_usd(limit)}"
        )
        if before is not None:
            gone = [share for name, share in before.shares.items() if name not in balance.shares]
            self.reclaimed_nanousd[scope] += outstanding(gone)
