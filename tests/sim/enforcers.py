"""One enforcer process: the real engine, behind a network that loses, delays and repeats, with a clock of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

import msgspec

from services.core.ask import Ask
from services.core.decision import Decision
from services.core.events import EnforcerAlive, Heartbeat, from_ms
from services.enforcer.closings import Closing
from services.enforcer.engine import Engine
from services.enforcer.report import Report
from services.enforcer.wants import Shortage
from tests.core.ledger import NOON_MS, PRICES
from tests.sim.broker import Broker

TTL_MS = 2_000
LEASE_MS = 2_000
RECLAIM_MS = LEASE_MS + TTL_MS + 1_500
CLAIM_TIMEOUT_MS = 250
HEARTBEAT_MS = 400

Append = Callable[[bytes, Callable[[int], None]], None]
"""Bring an event into the ledger, sooner or later, once or twice; the second argument hears of its first offset."""

_encode = msgspec.json.Encoder().encode


@dataclass(slots=True)
class Waiting:
    """A request that waits for a share. `ends_ms` is when it is decided without."""

    ask: Ask
    shortage: Shortage
    ends_ms: int
    answer: Callable[[Decision], None]


@dataclass(slots=True)
class Enforcer:
    """One life of an enforcer. `ahead_ms` and `drift` (parts in a thousand) are how wrong its clocks are."""

    identity: str
    random: Random
    broker: Broker
    ahead_ms: int
    drift: int
    reclaim_after_ms: int | None
    early: bool = False
    forgetful: bool = False
    expiring: bool = True
    engine: Engine = field(init=False)
    dead: bool = False
    frozen: bool = False
    cut: bool = False
    lives: int = 1
    waiting: list[Waiting] = field(default_factory=list)
    spool: list[Closing] = field(default_factory=list)
    expired: Callable[[str], None] = lambda _reservation: None
    _followed: tuple[int, int] = (0, 0)
    _policies: int = 0
    _beaten_ms: int = -HEARTBEAT_MS

    def __post_init__(self) -> None:
        self.engine = Engine(
            self.identity, PRICES, lambda _name, _count: 0,
            reservation_ttl_ms=TTL_MS, reservations_max=10_000, lease_ttl_ms=LEASE_MS,
        )  # fmt: skip
        self.engine.partitions = 1

    @property
    def running(self) -> bool:
        """Whether it can be spoken to."""
        return not self.dead and not self.frozen

    @property
    def ready(self) -> bool:
        """Whether it knows its balances and policies."""
        return self.engine.standings.restored and self.engine.directory.organization("strict").policy.version > 0

    def now_ms(self, world_ms: int) -> int:
        """What it takes for the ledger's time."""
        return world_ms + self.ahead_ms

    def steady_ms(self, world_ms: int) -> int:
        """What its monotonic clock says, which may run fast or slow."""
        return world_ms + (world_ms - NOON_MS) * self.drift // 1_000

    def check(self, ask: Ask, world_ms: int, answer: Callable[[Decision], None]) -> None:
        """Decide at once, or as soon as the ledger has answered a claim."""
        found = self.engine.check(ask, self.now_ms(world_ms), self.steady_ms(world_ms))
        if isinstance(found, Decision):
            answer(found)
            return
        self.engine.wants.wait(found, self.steady_ms(world_ms))
        self.waiting.append(Waiting(ask, found, world_ms + CLAIM_TIMEOUT_MS, answer))

    def settle(self, report: Report, world_ms: int) -> Closing:
        """Begin to settle; the closing is to be sent."""
        closing = self.engine.closings.settle(report, self.now_ms(world_ms))
        assert isinstance(closing, Closing), "a reservation is settled once here, at most after it expired"
        return closing

    def follow(self, world_ms: int) -> None:
        """Read on in the changelogs, stopping anywhere: in the middle of a transaction too."""
        if self.cut:
            return
        for value in self.broker.policies[self._policies :]:
            self.engine.adopt(value)
        self._policies = len(self.broker.policies)
        self._read()
        if self.engine.registry.reclaimed:
            self._start_over()
        self._wake(world_ms)

    def speak(self, world_ms: int) -> list[bytes]:
        """What it says to the ledger just now: that it lives, and what it wants."""
        if not self.engine.standings.restored:
            return []
        now_ms, steady_ms = self.now_ms(world_ms), self.steady_ms(world_ms)
        engine, said = self.engine, []
        if steady_ms - self._beaten_ms >= HEARTBEAT_MS:
            self._beaten_ms = steady_ms
            alive = Heartbeat(
                enforcer=engine.identity,
                beat=engine.leases.next_beat(0, steady_ms),
                reclaim_after_ms=1 if self.early else self.reclaim_after_ms,
            )
            event = EnforcerAlive(
                id=f"{engine.identity}-{alive.beat}", source=engine.source, time=from_ms(now_ms), data=alive
            )
            said.append(_encode(event))
        engine.review.begin()
        while engine.review.step(64, now_ms, steady_ms):
            pass
        return said + [
            _encode(claim) for claim in engine.wants.say(0, engine.identity, engine.source, now_ms, steady_ms)
        ]

    def expire(self, world_ms: int) -> list[Closing]:
        """Charge what nobody settled in time."""
        closings = self.engine.closings.expire(self.now_ms(world_ms))
        if self.expiring:
            return closings
        for closing in closings:
            self.engine.pending.cancel(closing.spending)
        return []

    def confirm(self, closing: Closing, offset: int) -> None:
        """The closing's event is in the ledger."""
        # The fault: believe at once that the ledger's figure contains it.
        self.engine.closings.confirm(closing, -1 if self.forgetful else offset)

    def _read(self) -> None:
        number, place = self._followed
        standings = self.engine.standings
        steps = self.random.randint(1, 60) if standings.restored else 1 << 30
        for _ in range(steps):
            if number >= len(self.broker.transactions):
                break
            transaction = self.broker.transactions[number]
            standings.absorb(0, [transaction[place]])
            place += 1
            if place == len(transaction):
                number, place = number + 1, 0
        self._followed = number, place
        standings.restored = True

    def _wake(self, world_ms: int) -> None:
        """Decide what was answered, and what has waited long enough."""
        waiting, self.waiting = self.waiting, []
        for each in waiting:
            over = world_ms >= each.ends_ms
            if not over and not self.engine.is_answered(each.shortage):
                self.waiting.append(each)
                continue
            self.engine.wants.leave(each.shortage)
            found = self.engine.check(each.ask, self.now_ms(world_ms), self.steady_ms(world_ms), final=over)
            if isinstance(found, Decision):
                each.answer(found)
            else:
                self.engine.wants.wait(found, self.steady_ms(world_ms))
                self.waiting.append(Waiting(each.ask, found, each.ends_ms, each.answer))

    def _start_over(self) -> None:
        self.engine.wants.give_all_back()
        self.lives += 1
        self.engine.start_over(f"{self.identity}-{self.lives}")
        self._beaten_ms = -HEARTBEAT_MS
