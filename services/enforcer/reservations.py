"""Reservations in flight, found by id and due by time; and those closed lately, so that repeated calls are answered."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Final, Literal

from mypy_extensions import mypyc_attr

from services.core.ask import Ask
from services.core.pacing import advance, unused_us
from services.core.standing import Standing

Fate = Literal["settled", "released", "expired"]

REMEMBERED = 65_536
"""How many closed reservations are remembered."""


@mypyc_attr(acyclic=True)
@dataclass(init=False, slots=True)
class Reservation:
    """Money set aside for one request in every standing that it counts toward. No estimate: nothing was set aside."""

    id: Final[str]
    ask: Final[Ask]
    estimate_nanousd: Final[int | None]
    standings: Final[tuple[Standing, ...]]
    reserved_at_ms: Final[int]
    expires_at_ms: Final[int]
    paced: Final[tuple[tuple[Standing, int], ...]]
    """What it took from the pace of budgets in their throttle tier, in microseconds."""

    def __init__(
        self,
        id: str,  # noqa: A002 - the name that the wire has
        ask: Ask,
        estimate_nanousd: int | None,
        standings: tuple[Standing, ...],
        reserved_at_ms: int,
        expires_at_ms: int,
        paced: tuple[tuple[Standing, int], ...] = (),
    ) -> None:
        self.id = id
        self.ask = ask
        self.estimate_nanousd = estimate_nanousd
        self.standings = standings
        self.reserved_at_ms = reserved_at_ms
        self.expires_at_ms = expires_at_ms
        self.paced = paced

    def take_pace(self) -> None:
        """Count it in the pace."""
        for standing, interval_us in self.paced:
            standing.paced_until_us = advance(standing.paced_until_us, interval_us, self.reserved_at_ms)

    def give_back_pace(self, cost_nanousd: int | None) -> None:
        """It cost this much: give back what it did not need of the pace. An unknown cost keeps it all."""
        if cost_nanousd is None or not self.estimate_nanousd:
            return
        for standing, interval_us in self.paced:
            standing.paced_until_us -= unused_us(interval_us, self.estimate_nanousd, cost_nanousd)

    def hold(self) -> None:
        """Set the money aside."""
        amount = self.estimate_nanousd
        if amount:
            for standing in self.standings:
                standing.held_nanousd += amount

    def let_go(self) -> None:
        """Give it back."""
        amount = self.estimate_nanousd
        if amount:
            for standing in self.standings:
                standing.held_nanousd -= amount


@mypyc_attr(acyclic=True)
@dataclass(init=False, slots=True)
class Closed:
    """How a reservation ended, and for a settled one at what cost (None: unpriced)."""

    reservation: Final[Reservation]
    fate: Final[Fate]
    cost_nanousd: Final[int | None]

    def __init__(self, reservation: Reservation, fate: Fate, cost_nanousd: int | None = None) -> None:
        self.reservation = reservation
        self.fate = fate
        self.cost_nanousd = cost_nanousd


class Reservations:
    """Every reservation in flight holds its money; it is due in the order in which it was made."""

    def __init__(self) -> None:
        self._live: dict[str, Reservation] = {}
        # By the second in which they are due: settled ones leave at once, where one queue would keep them for the whole
        # time to live.
        self._due: dict[int, dict[str, Reservation]] = {}
        self._seconds: list[int] = []
        self._settling: dict[str, Reservation] = {}
        self._closed: dict[str, Closed] = {}
        self._closing: deque[str] = deque()

    def __len__(self) -> int:
        return len(self._live)

    def live(self, reservation_id: str) -> Reservation | None:
        """A reservation in flight."""
        return self._live.get(reservation_id)

    def settling(self, reservation_id: str) -> Reservation | None:
        """A reservation whose settlement is on its way into the ledger."""
        return self._settling.get(reservation_id)

    def closed(self, reservation_id: str) -> Closed | None:
        """How a reservation ended, if that was lately."""
        return self._closed.get(reservation_id)

    def of(self, organization: str) -> list[Reservation]:
        """An organization's reservations in flight."""
        return [reservation for reservation in self._live.values() if reservation.ask.organization == organization]

    def add(self, reservation: Reservation) -> None:
        """Hold a new reservation, or one again that could not be closed."""
        reservation.hold()
        name, second = reservation.id, reservation.expires_at_ms // 1000
        self._live[name] = reservation
        bucket = self._due.get(second)
        if bucket is None:
            bucket = self._due[second] = {}
            heappush(self._seconds, second)
        bucket[name] = reservation

    def take(self, reservation: Reservation) -> None:
        """Let go of a reservation's money; `close` says how it ended."""
        reservation.let_go()
        del self._live[reservation.id]
        del self._due[reservation.expires_at_ms // 1000][reservation.id]

    def settle(self, reservation: Reservation) -> None:
        """Remember a reservation, in flight or closed otherwise, as on its way to be settled; let go of its money."""
        self._settling[reservation.id] = reservation
        if reservation.id in self._live:
            self.take(reservation)

    def settled(self, reservation: Reservation) -> None:
        """The settlement has arrived, or failed."""
        self._settling.pop(reservation.id, None)

    def replace(self, old: Reservation, new: Reservation) -> None:
        """Hold in other standings what was held for the same reservation."""
        self.take(old)
        self.add(new)

    def close(self, closed: Closed) -> None:
        """Remember how a reservation ended, forgetting the oldest for it."""
        key = closed.reservation.id
        if key not in self._closed:
            self._closing.append(key)
            if len(self._closing) > REMEMBERED:
                self._closed.pop(self._closing.popleft(), None)
        self._closed[key] = closed

    def reopen(self, reservation_id: str) -> bool:
        """Forget that a reservation expired; False when it has been settled since, or forgotten anyway."""
        closed = self._closed.get(reservation_id)
        if closed is None or closed.fate != "expired":
            return False
        del self._closed[reservation_id]
        return True

    def due(self, now_ms: int) -> list[Reservation]:
        """Reservations whose time is over, those of one second at a time; in flight until they are taken."""
        while self._seconds and self._seconds[0] < now_ms // 1000:
            bucket = self._due[self._seconds[0]]
            if bucket:
                return list(bucket.values())
            del self._due[heappop(self._seconds)]
        return []
