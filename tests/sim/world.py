"""A whole Spendgate in one thread: a seed, a fake clock, and processes that crash, freeze, repeat and reorder.

Everything that decides is the real code (`fold`, the enforcers' `Engine`); only Kafka and the network are models.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from heapq import heappop, heappush
from itertools import count
from random import Random
from zoneinfo import ZoneInfo

import msgspec

from services.core.ask import Ask
from services.core.decide import Action
from services.core.decision import Decision
from services.core.money import parse_usd
from services.enforcer.closings import Closing
from tests.core.ledger import NOON_MS, Json
from tests.sim.books import Books
from tests.sim.broker import Aggregator, Broker, Fenced
from tests.sim.enforcers import RECLAIM_MS, TTL_MS, Enforcer
from tests.sim.faults import Faults
from tests.sim.gateways import Gateways
from tests.sim.happenings import Happenings
from tests.sim.limits import USERS, Limits

BEGIN_MS = NOON_MS - 4_000
BUSY_MS = 6_000
DAY_MS = 86_400_000
QUIET_MS = RECLAIM_MS + 2 * TTL_MS + 4_000

ZONES = ("UTC", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "Pacific/Fiji")
"""Runs begin just before noon UTC: whole hours turn in the busy time, and in Fiji the day does."""

_encode = msgspec.json.Encoder().encode


class World:
    """One run. `on_step` is called after every step; whatever it raises ends the run."""

    def __init__(self, seed: int, faults: Faults | None = None) -> None:
        self.random = Random(seed)
        self._names = count(1)
        self.faults = faults or Faults()
        self.now_ms = BEGIN_MS
        self.limits = Limits(
            ZoneInfo(self.random.choice(ZONES)),
            scheduled=self.random.random() < 0.3,
            paced=self.random.random() < 0.2,
            gracious=self.random.random() < 0.3,
            moving=self.random.random() < 0.5,
            carrying=self.random.random() < 0.5,
        )
        self.broker = Broker(self.faults)
        self.aggregator = Aggregator.open(self.broker)
        self.books = Books()
        self.seen = Happenings()
        self.rude = self.random.random() < 0.15
        self.gateways = Gateways(self)
        self.reclaim_after_ms = self.random.choice([RECLAIM_MS, RECLAIM_MS, None])
        self.enforcers = [self._enforcer(f"e{number}") for number in range(self.random.randint(1, 4))]
        self._steps: list[tuple[int, int, Callable[[], object]]] = []
        self._order = count()

    def run(self, on_step: Callable[[World], None]) -> None:
        """Play a busy time, then a quiet one in which everything arrives."""
        self._change_policy()
        busy = BUSY_MS
        self._every(self.gateways.ask, 5, 50, busy)
        self._every(self.gateways.report, 100, 600, busy)
        self._always(self._aggregator_reads, 15, 120)
        self._every(self._aggregator_fails, 800, 5_000, busy)
        self._every(self._policy_changes, 2_000, 12_000, busy)
        if self.limits.moving:
            self._every(self._move, 50, 800, busy)
        if self.limits.carrying:
            self._every(self._carry, 100, 1_000, busy)
        self._every(self._enforcer_fails, 600, 4_000, busy)
        for place in range(len(self.enforcers)):
            self._always(partial(self._follow, place), 15, 120)
            self._always(partial(self._speak, place), 20, 150)
            self._always(partial(self._expire, place), 100, 250)
        self._play(on_step)

    def ask_until(self, place: int, ask: Ask, within_ms: int, on_step: Callable[[World], None]) -> bool:
        """Ask an enforcer again and again while everything works; whether the request is allowed in the end."""
        answers: list[Decision] = []
        until_ms = self.now_ms + within_ms

        def ask_once() -> None:
            if not any(answer.action is Action.ALLOW for answer in answers):
                self.enforcers[place].check(ask, self.now_ms, answers.append)

        begun_ms = self.now_ms - BEGIN_MS
        for step in (ask_once, self._aggregator_reads):
            self._every(step, 40, 80, begun_ms + within_ms, begun_ms)
        for each in range(len(self.enforcers)):
            self._every(partial(self._follow, each), 40, 80, begun_ms + within_ms, begun_ms)
            self._every(partial(self._speak, each), 40, 80, begun_ms + within_ms, begun_ms)
        self._play(on_step)
        assert self.now_ms <= until_ms + 1_000
        return any(answer.action is Action.ALLOW for answer in answers)

    def free(self, key: str) -> int:
        """What is really left of a balance: below its limit, and neither spent nor held by anybody."""
        return self.limits.at(key, self.now_ms) - self.books.owed[key]

    def keys(self, ask: Ask, at_ms: int) -> tuple[str, str]:
        """The two balances with hard limits that a request counts in."""
        return (
            f"org:strict@day:{self.limits.day(at_ms)}",
            f"org:strict/user:{ask.user}@hour:{self.limits.hour(at_ms)}",
        )

    def _play(self, on_step: Callable[[World], None]) -> None:
        while self._steps:
            self.now_ms, _, step = heappop(self._steps)
            step()
            on_step(self)

    # Enforcers

    def _enforcer(self, name: str) -> Enforcer:
        if not self.faults.name_kept:
            name = f"{name}-{next(self._names):04x}"
        return Enforcer(
            name,
            self.random,
            self.broker,
            ahead_ms=self.random.randint(-400, 400),
            drift=self.random.randint(-20, 20),
            reclaim_after_ms=self.reclaim_after_ms,
            early=self.faults.reclaimed_early,
            forgetful=self.faults.pending_forgotten,
            expiring=not self.faults.expiry_forgotten,
        )

    def _follow(self, place: int) -> None:
        if self.enforcers[place].running:
            self.enforcers[place].follow(self.now_ms)

    def _speak(self, place: int) -> None:
        enforcer = self.enforcers[place]
        if not enforcer.running:
            return
        for said in enforcer.speak(self.now_ms):
            # Nothing of it is kept: what is lost is said again.
            if not enforcer.cut and self.random.random() > 0.1:
                self.append(said, lambda _offset: None)

    def _expire(self, place: int) -> None:
        enforcer = self.enforcers[place]
        if not enforcer.running or not enforcer.ready:
            return
        while closings := enforcer.expire(self.now_ms):
            for closing in closings:
                assert closing.reservation is not None, "what expires was reserved here"
                self.books.expire(closing.reservation.id)
                self.send(enforcer, closing)

    def send(self, enforcer: Enforcer, closing: Closing) -> None:
        """Bring a closing into the ledger; an enforcer that is cut off keeps it on its disk until it is not."""
        if enforcer.cut and not enforcer.dead:
            enforcer.spool.append(closing)
            return
        self.append(_encode(closing.event), lambda offset: enforcer.confirm(closing, offset))

    def _enforcer_fails(self) -> None:
        place = self.random.randrange(len(self.enforcers))
        enforcer = self.enforcers[place]
        if not enforcer.running:
            return
        match self.random.choice(["kill", "freeze", "cut", "cut"]):
            case "kill":
                self._kill(place)
            case "freeze":
                enforcer.frozen = True
                self.later(lambda: self._thaw(enforcer), 200, 6_000)
            case _:
                enforcer.cut = True
                self.later(lambda: self._heal(enforcer), 200, 6_000)

    def _kill(self, place: int) -> None:
        """Everything in memory is lost; what is on its disk another process brings into the ledger."""
        old = self.enforcers[place]
        old.dead = True
        self.seen.kills += 1
        self.books.lose(old.identity)
        for closing in old.spool:
            self.append(_encode(closing.event), lambda _offset: None)
        self.enforcers[place] = self._enforcer(old.identity.partition("-")[0])

    def _thaw(self, enforcer: Enforcer) -> None:
        enforcer.frozen = False

    def _heal(self, enforcer: Enforcer) -> None:
        enforcer.cut = False
        spool, enforcer.spool = enforcer.spool, []
        for closing in spool:
            self.send(enforcer, closing)

    def is_reclaimed(self, identity: str) -> bool:
        """Whether the ledger has given an enforcer up."""
        known = self.aggregator.state.enforcers.get(identity)
        return known is not None and known.reclaimed

    # The ledger and its aggregator

    def append(self, event: bytes, placed: Callable[[int], None]) -> None:
        """Deliver an event to the ledger after a while, some of them twice; `placed` hears of the first."""
        self.later(lambda: placed(self.broker.append(self.now_ms, event)), 1, 120)
        if self.random.random() < 0.1:
            self.later(lambda: self.broker.append(self.now_ms, event), 1, 600)

    def _change_policy(self) -> None:
        amount = parse_usd(self.random.choice(["0.01", "0.03", "0.10"]))
        written: Json = self.limits.put_in_force(self.now_ms, amount)
        self.broker.append(self.now_ms, _encode(written))

    def _policy_changes(self) -> None:
        self._change_policy()

    def _move(self) -> None:
        """Ask for a move between the users; sometimes two ask for the same one."""
        giver, taker = self.random.sample(USERS, 2)
        name, amount = f"move-{next(self._names)}", self.random.randint(1, self.limits.now * 3 // 5)
        for source in self.random.choice([["s1"], ["s2"], ["s1", "s2"]]):
            written = self.limits.move(name, giver, taker, amount, source=source, at_ms=self.now_ms)
            self.append(_encode(written), lambda _offset: None)

    def _carry(self) -> None:
        """Ask for yesterday to be carried over: refused until the day has turned in this run."""
        yesterday = self.limits.day(self.now_ms - DAY_MS)
        self.append(_encode(self.limits.carry(yesterday, at_ms=self.now_ms)), lambda _offset: None)

    def _aggregator_reads(self) -> None:
        aggregator = self.aggregator
        if aggregator.frozen or aggregator.in_hand is not None:
            return
        aggregator.read(self.random.randint(1, 12))
        self.later(lambda: self._aggregator_writes(aggregator), 1, 30)

    def _aggregator_writes(self, aggregator: Aggregator) -> None:
        if aggregator.frozen:
            return
        try:
            aggregator.write()
        except Fenced:
            aggregator.frozen = True

    def _aggregator_fails(self) -> None:
        """Killed, with whatever it had in hand; or frozen, and waking up only after another has taken over."""
        old = self.aggregator
        old.frozen = True
        self.aggregator = Aggregator.open(self.broker)
        if self.random.random() < 0.5:
            self.seen.kills += 1
            return
        self.seen.zombies += 1
        self.later(lambda: self._wake(old), 50, 1_500)

    def _wake(self, zombie: Aggregator) -> None:
        zombie.frozen = False
        self._aggregator_writes(zombie)

    # Time

    def _always(self, step: Callable[[], object], low_ms: int, high_ms: int) -> None:
        """In the busy time and, less often, in the quiet one."""
        self._every(step, low_ms, high_ms, BUSY_MS)
        self._every(step, high_ms, 2 * high_ms, BUSY_MS + QUIET_MS, BUSY_MS)

    def _every(self, step: Callable[[], object], low_ms: int, high_ms: int, until_ms: int, from_ms: int = 0) -> None:
        at_ms = BEGIN_MS + from_ms + self.random.randint(0, high_ms)
        while at_ms < BEGIN_MS + until_ms:
            heappush(self._steps, (at_ms, next(self._order), step))
            at_ms += self.random.randint(low_ms, high_ms)

    def later(self, step: Callable[[], object], low_ms: int, high_ms: int) -> None:
        """Do something after a while."""
        at_ms = self.now_ms + self.random.randint(low_ms, high_ms)
        heappush(self._steps, (at_ms, next(self._order), step))
