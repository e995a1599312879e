"""Money that was settled here and is on its way through the ledger: counted until the balances contain it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import count
from typing import Final

from mypy_extensions import mypyc_attr

from services.core.standing import Standing


@mypyc_attr(acyclic=True)
@dataclass(init=False, slots=True)
class Spending:
    """One amount in nano-dollars, and the standings that it is added to until the ledger's own figures have it."""

    partition: Final[int]
    amount_nanousd: Final[int]
    standings: Final[tuple[Standing, ...]]

    def __init__(self, partition: int, amount_nanousd: int, standings: tuple[Standing, ...]) -> None:
        self.partition = partition
        self.amount_nanousd = amount_nanousd
        self.standings = standings


class Pending:
    """All spending on its way. Each is opened, then either cancelled, or placed in the ledger and dropped there."""

    def __init__(self, applied: Callable[[int], int]) -> None:
        """`applied(partition)` is the offset up to which the balances contain the ledger."""
        self._applied = applied
        self._placed: defaultdict[int, list[tuple[int, int, Spending]]] = defaultdict(list)
        self._spooled: defaultdict[int, list[Spending]] = defaultdict(list)
        self._serial = count()

    def open(self, partition: int, amount_nanousd: int, standings: tuple[Standing, ...]) -> Spending:
        """Count an amount from now on, before it is anywhere else."""
        for standing in standings:
            standing.pending_nanousd += amount_nanousd
        return Spending(partition, amount_nanousd, standings)

    def cancel(self, spending: Spending) -> None:
        """Stop counting: the ledger has it, or nobody will."""
        for standing in spending.standings:
            standing.pending_nanousd -= spending.amount_nanousd

    def place(self, spending: Spending, offset: int | None) -> None:
        """The spending is at this offset of its partition; None: in the spool, its offset is not known yet."""
        if offset is None:
            self._spooled[spending.partition].append(spending)
        elif offset <= self._applied(spending.partition):
            self.cancel(spending)
        else:
            heappush(self._placed[spending.partition], (offset, next(self._serial), spending))

    def applied(self, partition: int, offset: int) -> None:
        """The balances contain the ledger up to this offset: what is placed there counts no longer here."""
        placed = self._placed[partition]
        while placed and placed[0][0] <= offset:
            self.cancel(heappop(placed)[2])

    def spooled(self) -> list[int]:
        """The partitions of which something waits in the spool."""
        return [partition for partition, waiting in self._spooled.items() if waiting]

    def drained(self, partition: int, offset: int) -> None:
        """All that was spooled for a partition is in the ledger, at this offset or before."""
        for spending in self._spooled.pop(partition, ()):
            self.place(spending, offset)
