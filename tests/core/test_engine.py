"""The enforcer's memory against the real fold: whatever happens in whatever order, no spending is lost or doubled."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import product
from typing import Any

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, precondition, rule

from services.aggregator.changelog import encode
from services.core.ask import Ask
from services.core.decide import Action
from services.core.decision import Decision
from services.core.effects import Effects
from services.core.events import EnforcerAlive, Event, Heartbeat, from_ms, to_ms
from services.core.fold import fold
from services.core.pricing import PriceBook
from services.core.record import Record
from services.core.reservation import ReservationId
from services.core.state import LedgerState
from services.enforcer.closings import Closing
from services.enforcer.engine import Engine
from services.enforcer.errors import AlreadyClosed
from services.enforcer.report import Report
from services.enforcer.reservations import Closed
from services.enforcer.wants import Shortage
from tests.core.ledger import budget as written
from tests.core.ledger import policy

TTL_MS = 60_000
SCOPES = ["org:acme", "org:acme/project:search", "org:acme/user:alice", "org:acme/user:bob"]
MODEL = "org:acme/model:gpt-4o"
"""The scope of a budget that comes with the first policy."""

START_MS = to_ms(datetime(2026, 11, 30, 23, 55, tzinfo=UTC))
DECEMBER_MS = to_ms(datetime(2026, 12, 1, tzinfo=UTC))
MONTHS = ["month:2026-11", "month:2026-12"]
WHERE = st.sampled_from(["ledger", "ledger", "ledger", "overtaken", "spool", "nowhere"])
TOKENS = st.integers(0, 3000)

_encode = msgspec.json.Encoder().encode


class Enforcing(RuleBasedStateMachine):
    """One enforcer, one ledger partition, and the fold that follows when it is told to."""

    reservations = Bundle("reservations")

    def __init__(self) -> None:
        super().__init__()
        prices = PriceBook.bundled()
        self.engine = Engine("e", prices, lambda *_: 0, reservation_ttl_ms=TTL_MS, reservations_max=1000)
        self.engine.partitions = 1
        self.engine.standings.restored = True
        self.state = LedgerState(0, prices)
        self.now_ms = START_MS
        self.records: list[bytes] = []
        self.applied = 0
        self.spool: list[Event] = []
        self.estimates: dict[str, int] = {}
        self.asks: dict[str, Ask] = {}
        self.expired: dict[str, int] = {}
        self.finals: dict[str, int] = {}
        self.versions = 0

    @rule()
    def the_lease_is_renewed(self) -> None:
        self._append([self._heartbeat()])
        self._apply(len(self.records) - self.applied)

    @rule(target=reservations, user=st.sampled_from(["alice", "bob"]), project=st.sampled_from(["search", None]),
          output=TOKENS, dry_run=st.booleans())  # fmt: skip
    def check(self, user: str, project: str | None, output: int, dry_run: bool) -> str | None:
        ask = Ask(
            organization="acme", user=user, project=project, model="gpt-4o", input_tokens=500,
            max_output_tokens=output, dry_run=dry_run,
        )  # fmt: skip
        decision = self._decide(ask)
        if decision.reservation is None:
            assert dry_run or decision.action is Action.DENY
            return None
        self._assert_covered(ask)
        live = self.engine.reservations.live(decision.reservation.id)
        assert live is not None
        assert live.estimate_nanousd is not None
        self.estimates[live.id], self.asks[live.id] = live.estimate_nanousd, ask
        return live.id

    @rule(reservation=reservations, output=TOKENS, where=WHERE)
    def settle(self, reservation: str | None, output: int, where: str) -> None:
        if reservation is None:
            return
        closing = self.engine.closings.settle(
            Report(reservation=reservation, input_tokens=500, output_tokens=output), self.now_ms
        )
        if isinstance(closing, Closed):
            assert reservation in self.finals
            return
        if self._keep(closing, where):
            assert closing.cost_nanousd is not None
            self.finals[reservation] = closing.cost_nanousd

    @rule(reservation=reservations)
    def release(self, reservation: str | None) -> None:
        if reservation is None:
            return
        try:
            assert self.engine.closings.release(reservation).fate == "released"
        except AlreadyClosed as closed:
            fate = closed.fate
            assert reservation in (self.finals if fate == "settled" else self.expired)

    @rule(forward_ms=st.integers(0, 2 * TTL_MS), where=WHERE)
    def time_passes(self, forward_ms: int, where: str) -> None:
        self.now_ms += forward_ms
        self.engine.tidy(self.now_ms)
        kept = True
        while kept and (closings := self.engine.closings.expire(self.now_ms)):
            for closing in closings:
                assert closing.reservation is not None
                kept = self._keep(closing, where)
                if kept:
                    self.expired[closing.reservation.id] = self.estimates[closing.reservation.id]

    @rule()
    def spool_drains(self) -> None:
        if self.spool:
            self._append(self.spool)
            self.spool = []
            self.engine.pending.drained(0, len(self.records) - 1)

    @rule(limit=st.sampled_from(["0.05", "0.5", "100"]))
    def policy_changes(self, limit: str) -> None:
        self.versions += 1
        budgets = [written("company", limit), written("model", limit, scope={"model": "gpt-4o"})]
        self.records.append(_encode([policy(*budgets, version=self.versions)]))

    @precondition(lambda self: self.applied < len(self.records))
    @rule(data=st.data())
    def ledger_is_applied(self, data: st.DataObject) -> None:
        self._apply(data.draw(st.integers(1, len(self.records) - self.applied)))

    @invariant()
    def what_is_held_is_what_is_in_flight(self) -> None:
        live = [name for name in self.estimates if self.engine.reservations.live(name) is not None]
        in_force = self.engine.directory.organization("acme").policy.version > 0
        for scope, month in product([*SCOPES, MODEL] if in_force else SCOPES, MONTHS):
            held = sum(self.estimates[name] for name in live if self._counts(name, scope, month))
            assert self._figure(scope, month, "held_nanousd") == held

    @invariant()
    def spending_is_never_forgotten(self) -> None:
        for scope, month in product(SCOPES, MONTHS):
            spent = self._figure(scope, month, "settled_nanousd") + self._figure(scope, month, "pending_nanousd")
            assert self._truth(scope, month, min) <= spent <= self._truth(scope, month, max)

    def teardown(self) -> None:
        """In the end, when the ledger has everything and all of it is applied, the figures are the ledger's."""
        self.spool_drains()
        if self.applied < len(self.records):
            self._apply(len(self.records) - self.applied)
        for scope, month in product(SCOPES, MONTHS):
            charged = self._charged(scope, month)
            settled = sum(self.finals.get(name, self.expired.get(name, 0)) for name in charged)
            assert self._figure(scope, month, "settled_nanousd") == settled
            assert self._figure(scope, month, "pending_nanousd") == 0

    def _truth(self, scope: str, month: str, choose: Any) -> int:
        """What was charged, an expired and then settled request at the lower or the higher of both."""
        sums = 0
        for name in self._charged(scope, month):
            known = [self.expired.get(name), self.finals.get(name)]
            sums += choose(amount for amount in known if amount is not None)
        return sums

    def _charged(self, scope: str, month: str) -> list[str]:
        return [name for name in {*self.finals, *self.expired} if self._counts(name, scope, month)]

    def _counts(self, name: str, scope: str, month: str) -> bool:
        """Whether a reservation counts there: by whose it is, and by when it was made."""
        ask, reserved = self.asks[name], ReservationId.parse(name)
        assert reserved is not None
        scopes = {"org:acme", f"org:acme/user:{ask.user}", f"org:acme/project:{ask.project}", MODEL}
        return scope in scopes and month == MONTHS[reserved.reserved_at_ms >= DECEMBER_MS]

    def _figure(self, scope: str, month: str, name: str) -> int:
        standing = self.engine.standings.find(f"{scope}@{month}")
        return 0 if standing is None else int(getattr(standing, name))

    def _decide(self, ask: Ask) -> Decision:
        """Claim until it can be decided."""
        found = self.engine.check(ask, self.now_ms, self.now_ms)
        while isinstance(found, Shortage):
            self.engine.wants.wait(found, self.now_ms)
            claims = self.engine.wants.say(0, self.engine.identity, self.engine.source, self.now_ms, self.now_ms)
            self._append([self._heartbeat(), *claims])
            self._apply(len(self.records) - self.applied)
            self.engine.wants.leave(found)
            found = self.engine.check(ask, self.now_ms, self.now_ms)
        return found

    def _heartbeat(self) -> Event:
        beat = self.engine.leases.next_beat(0, self.now_ms)
        alive = Heartbeat(enforcer=self.engine.identity, beat=beat)
        return EnforcerAlive(id=f"b{beat}", source=self.engine.source, time=from_ms(self.now_ms), data=alive)

    def _assert_covered(self, ask: Ask) -> None:
        """What a hard limit guards is reserved from the share alone."""
        for link in self.engine.directory.organization("acme").route(ask, self.now_ms).chain:
            assert link.standing.share_nanousd >= 0

    def _keep(self, closing: Closing, where: str) -> bool:
        if where == "nowhere":
            self.engine.closings.undo(closing)
            return False
        if where == "spool" or self.spool:  # what comes after spooled events queues behind them
            self.spool.append(closing.event)
            self.engine.closings.confirm(closing, None)
            return True
        self._append([closing.event])
        offset = len(self.records) - 1
        if where == "overtaken":  # the balances are here before the acknowledgement
            self._apply(len(self.records) - self.applied)
        self.engine.closings.confirm(closing, offset)
        return True

    def _append(self, events: list[Event]) -> None:
        self.records.append(_encode(events))

    def _apply(self, count: int) -> None:
        effects = Effects()
        for offset in range(self.applied, self.applied + count):
            effects.absorb(fold(self.state, Record(0, offset, self.now_ms, self.records[offset])))
        self.applied += count
        messages = encode(effects)
        for _, value in messages.get("policies", []):
            assert value is not None
            self.engine.adopt(value)
        self.engine.standings.absorb(0, [(key, value) for key, value in messages["balances"] if key is not None])
        assert not effects.rejections


Enforcing.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestEnforcing = Enforcing.TestCase
