"""Gateways that never stop asking: they spend what they may, and ask for less and less when they may not."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from time import perf_counter

from services.adapters.clock import monotonic_ms
from tests.e2e.demand import LADDER, SMALLEST, Company, Spender
from tests.e2e.gates import Admitted, Gate, Refusal

CALL_S = 0.15
"""What a call to the provider takes at most."""
PAUSE_S = 0.05
"""What a gateway waits at most after it was refused."""


@dataclass(slots=True)
class Tally:
    """What the gateways saw, all together."""

    calls: int = 0
    spent_nanousd: int = 0
    refused: Counter[Refusal] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    rungs: defaultdict[Spender, int] = field(default_factory=lambda: defaultdict(int))
    """How little each spender asks for by now."""
    in_flight: int = 0
    hungry_ms: int = field(default_factory=monotonic_ms)
    """When something other than the smallest request was asked for, or was not plainly denied, for the last time."""

    @property
    def checks(self) -> int:
        """How many times a gateway asked."""
        return len(self.seconds)

    def percentile_ms(self, percent: int) -> float:
        """How long this part of the checks took at most."""
        return sorted(self.seconds)[len(self.seconds) * percent // 100] * 1000

    def is_dry(self, for_ms: int) -> bool:
        """Whether for so long nothing was given to anybody, however little it was."""
        return not self.in_flight and monotonic_ms() - self.hungry_ms > for_ms


@dataclass(frozen=True, slots=True)
class Hammer:
    """One gateway, whose requests cost between a fifth and all of what was estimated."""

    gate: Gate
    company: Company
    tally: Tally
    stopped: asyncio.Event
    home: int
    seed: int

    async def run(self) -> None:
        """Ask until stopped; whatever was admitted is recorded."""
        random, rungs = Random(self.seed), self.tally.rungs
        while not self.stopped.is_set():
            spender = self.company.draw(random)
            rung = rungs[spender]
            admitted = await self._ask(spender, rung)
            if isinstance(admitted, Admitted):
                rungs[spender] = max(0, rung - 1)
                await self._spend(spender, admitted, random)
                continue
            if admitted is Refusal.EXCEEDED:
                rungs[spender] = min(SMALLEST, rung + 1)
            await asyncio.sleep(random.uniform(0, PAUSE_S))

    async def _ask(self, spender: Spender, rung: int) -> Admitted | Refusal:
        tally, begun = self.tally, perf_counter()
        admitted = await self.gate.admit(spender, LADDER[rung], self.home)
        tally.seconds.append(perf_counter() - begun)
        if admitted is not Refusal.EXCEEDED or rung < SMALLEST:
            tally.hungry_ms = monotonic_ms()
        if isinstance(admitted, Refusal):
            tally.refused[admitted] += 1
        return admitted

    async def _spend(self, spender: Spender, admitted: Admitted, random: Random) -> None:
        tally = self.tally
        tally.in_flight += 1
        await asyncio.sleep(random.uniform(0, CALL_S))
        cost = admitted.estimate_nanousd * random.randint(20, 100) // 100
        await self.gate.record(spender, admitted, cost)
        tally.in_flight -= 1
        tally.calls += 1
        tally.spent_nanousd += cost
        tally.hungry_ms = monotonic_ms()


def hammers(
    gates: Sequence[Gate], company: Company, count: int, enforcers: int, stopped: asyncio.Event
) -> list[Hammer]:
    """So many gateways, spread over the gates and the enforcers, with one tally."""
    tally = Tally()
    return [
        Hammer(gates[number % len(gates)], company, tally, stopped, number % enforcers, seed=number)
        for number in range(count)
    ]
