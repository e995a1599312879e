"""Enforcers and the fold in one loop, without anything between them: claims out, shares back, time as told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from services.aggregator.changelog import encode
from services.core.ask import Ask
from services.core.decision import Decision
from services.core.effects import Effects
from services.core.escrow import Share, outstanding
from services.core.events import EnforcerAlive, Event, Heartbeat, from_ms
from services.core.fold import fold
from services.core.record import Record
from services.core.standing import Standing
from services.core.state import LedgerState
from services.enforcer.engine import Engine
from services.enforcer.report import Report
from services.enforcer.reservations import Closed
from services.enforcer.wants import Shortage
from tests.core.ledger import NOON_MS, PRICES, Json, policy

TTL_MS = 600_000
LEASE_TTL_MS = 60_000
USD = 1_000_000_000
SOURCE = "spendgate/enforcer/test"

_encode = msgspec.json.Encoder().encode


def asking(usd: float, **changed: Any) -> Ask:
    """A request that costs this much at most: so many of gpt-4o's output tokens, a thousandth of a cent each."""
    tokens = round(usd * 100_000)
    return Ask(**{"organization": "acme", "model": "gpt-4o", "input_tokens": 0, "max_output_tokens": tokens, **changed})


class Loop:
    """One ledger partition, the organization acme, and the enforcers `e0`, `e1`, ... of which all have said hello."""

    def __init__(self, *budgets: Json, enforcers: int = 1, reclaim_after_ms: int | None = 3_600_000) -> None:
        self.now_ms = NOON_MS
        self.reclaim_after_ms = reclaim_after_ms
        self.state = LedgerState(0, PRICES)
        self.effects = Effects()
        self._offset = self._version = 0
        self.engines = [self.enforcer(f"e{number}") for number in range(enforcers)]
        self.policy(*budgets)
        for engine in self.engines:
            self.beat(engine)

    def enforcer(self, name: str, **told: Any) -> Engine:
        """An enforcer that knows nothing yet and is ready."""
        engine = Engine(
            name,
            PRICES,
            lambda *_: 0,
            reservation_ttl_ms=TTL_MS,
            reservations_max=10_000,
            lease_ttl_ms=LEASE_TTL_MS,
            **told,
        )
        engine.partitions, engine.standings.restored = 1, True
        return engine

    def policy(self, *budgets: Json) -> None:
        """Put a policy in force."""
        self._version += 1
        self.apply(policy(*budgets, version=self._version, at_ms=self.now_ms))

    def beat(self, engine: Engine) -> None:
        """Let an enforcer say that it lives."""
        alive = Heartbeat(
            enforcer=engine.identity,
            beat=engine.leases.next_beat(0, self.now_ms),
            reclaim_after_ms=self.reclaim_after_ms,
        )
        self.apply(EnforcerAlive(id="b", source=SOURCE, time=from_ms(self.now_ms), data=alive))

    def apply(self, *events: Event | Json) -> None:
        """Append a record of events, fold it, and let every enforcer read what follows."""
        record = Record(0, self._offset, self.now_ms, _encode(events))
        self._offset += 1
        effects = fold(self.state, record)
        assert not effects.rejections, effects.rejections
        self.effects.absorb(effects)
        messages = encode(effects)
        for engine in self.engines:
            for _, value in messages.get("policies", []):
                assert value is not None
                engine.adopt(value)
            engine.standings.absorb(0, [(key, value) for key, value in messages["balances"] if key is not None])

    def speak(self, engine: Engine) -> int:
        """Let an enforcer say what is due, and the ledger answer; how many balances that was about."""
        claims = list(engine.wants.say(0, engine.identity, SOURCE, self.now_ms, self.now_ms))
        if claims:
            self.apply(*claims)
        return sum(len(claim.data.claims) for claim in claims)

    def speak_all(self) -> None:
        """Let enforcers speak until nobody has anything to say."""
        while sum(self.speak(engine) for engine in self.engines):
            pass

    def later(self, forward_ms: int) -> None:
        """Let time pass, a second at a time at most, with all looking after their shares."""
        until_ms = self.now_ms + forward_ms
        while self.now_ms < until_ms:
            self.now_ms = min(until_ms, self.now_ms + 1_000)
            for engine in self.engines:
                engine.review.begin()
                while engine.review.step(16, self.now_ms, self.now_ms):
                    pass
            self.speak_all()

    def ask(self, engine: Engine, usd: float = 0.01, **changed: Any) -> Decision | Shortage:
        """Ask for a request that costs this much at most."""
        return engine.check(asking(usd, **changed), self.now_ms, self.now_ms)

    @contextmanager
    def waiting(self, engine: Engine, shortage: Shortage) -> Iterator[None]:
        """A request waits meanwhile."""
        engine.wants.wait(shortage, self.now_ms)
        yield
        engine.wants.leave(shortage)

    def check(self, engine: Engine, usd: float = 0.01, **changed: Any) -> Decision:
        """The same, decided with whatever has to be claimed for it."""
        return self.decide(engine, asking(usd, **changed))

    def decide(self, engine: Engine, ask: Ask) -> Decision:
        """Decide any request, with whatever has to be claimed for it."""
        found = engine.check(ask, self.now_ms, self.now_ms)
        for _ in range(10):
            if isinstance(found, Decision):
                return found
            with self.waiting(engine, found):
                self.speak(engine)
                assert engine.is_answered(found)
            found = engine.check(ask, self.now_ms, self.now_ms)
        raise AssertionError("claimed ten times, and still not decided")

    def reserve(self, engine: Engine, usd: float = 0.01, **changed: Any) -> str:
        """A reservation that must be given."""
        decision = self.check(engine, usd, **changed)
        assert decision.reservation is not None, decision
        return decision.reservation.id

    def settle(self, engine: Engine, reservation: str, cost_usd: str) -> None:
        """Settle, and let the ledger have it."""
        closing = engine.closings.settle(Report(reservation=reservation, cost_usd=cost_usd), self.now_ms)
        assert not isinstance(closing, Closed)
        offset = self._offset
        self.apply(closing.event)
        engine.closings.confirm(closing, offset)

    def standing(self, engine: Engine, key: str) -> Standing:
        """A balance as an enforcer knows it."""
        found = engine.standings.find(key)
        assert found is not None
        return found

    def shares(self, key: str) -> dict[str, Share]:
        """The shares of a balance in the ledger."""
        return dict(self.state.tables.items())[key].shares

    def bound(self, key: str) -> int:
        """What is settled and may still be spent there, in nano-dollars."""
        balance = dict(self.state.tables.items())[key]
        return balance.settled_nanousd + outstanding(balance.shares.values())
