"""Checks a run with a second, simpler model: after every step what must never be, in the end what must be exact."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Final

from schemas.policy import Policy
from services.core.ask import Ask
from services.core.balance import Balance
from services.core.effects import Effects
from services.core.escrow import Share
from services.core.events import to_ms
from services.core.fold import fold
from services.core.state import LedgerState, compiled_of
from tests.core.ledger import PRICES, Changelog, Json
from tests.sim.limits import USERS, Moved
from tests.sim.world import World

LIVELY_MS = 8_000
NANOS: Final = 1_000_000_000


class Broken(AssertionError):
    """An invariant does not hold."""


class Auditor:
    """Watches one run. What was reclaimed it finds out by itself: a share that was there and is not any more."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._read = 0
        self._shares: dict[str, dict[str, int]] = {}
        self._sums: dict[str, int] = {}
        self._reclaimed: Counter[str] = Counter()

    def check_step(self, world: World) -> None:
        """No hard limit is overspent, nothing is granted beyond one, and nobody spends a share that was taken back."""
        for effects in world.broker.committed[self._read :]:
            self._note_money_moved(effects)
            for key, balance in effects.balances.items():
                if balance is not None and (balance.shares or key in self._shares):
                    self._check_shares(key, balance)
        self._read = len(world.broker.committed)
        if world.seen.admitted_after_reclaim:
            raise Broken("an enforcer has allowed a request after its shares were given to others")
        for key in world.books.grown:
            if world.books.owed[key] > self._allowed(key):
                raise Broken(f"{world.books.owed[key]} nano-dollars are spent or reserved in {key}")
        world.books.grown.clear()

    def check_end(self) -> None:
        """Everything has arrived: sums are exact, all who keep them agree, and what is free can be spent."""
        world = self.world
        _equal(_loose(world), _loose_by_reading(world), "the balances of loose")
        self._check_books()
        self._check_replay()
        self._check_enforcers()
        self._check_liveness()

    def _note_money_moved(self, effects: Effects) -> None:
        """What moved counts from now on; and each budget has what it should: together, what they had without moves."""
        entry = effects.policies.get("strict")
        if entry is None:
            return
        limits, at_ms = self.world.limits, _clock_ms(effects)
        for carried in entry.carries:
            if carried.window[4:] not in limits.carried:
                limits.carried[carried.window[4:]] = int(Decimal(carried.amount_usd) * NANOS)
                self.world.seen.carried += 1
        for move in entry.moves:
            if move.move not in limits.moved:
                giver, taker = (name.removesuffix("-hour") for name in (move.from_budget, move.to_budget))
                limits.moved[move.move] = Moved(move.since_ms, giver, taker, int(Decimal(move.amount_usd) * NANOS))
                self.world.seen.moved += 1
        users = {limits.budget(user): f"org:strict/user:{user}@hour:{limits.hour(at_ms)}" for user in USERS}
        keys = {"hard": f"org:strict@day:{limits.day(at_ms)}", **(users if limits.moving else {})}
        for budget in compiled_of(entry, Policy.model_validate(entry.policy)).budgets:
            if budget.name in keys:
                key = keys[budget.name]
                _equal(budget.limit_at(at_ms), limits.of_version(entry.version, key, at_ms), f"the limit of {key}")
        _equal(sum(map(limits.net, users.values())), 0, "what moves have made or lost")

    def _check_shares(self, key: str, balance: Balance) -> None:
        outstanding = {name: _outstanding(share) for name, share in balance.shares.items()}
        for name, amount in self._shares.get(key, {}).items():
            if name not in balance.shares:
                self._reclaimed[key] += amount
                self.world.seen.reclaimed += 1
        total = balance.settled_nanousd + sum(outstanding.values())
        # After a limit has shrunk, or a reclaimed share was reported late, there may be more: then nothing is added.
        if total > max(self._allowed(key), self._sums.get(key, 0)):
            raise Broken(f"{key} has settled and granted {total} nano-dollars")
        self._shares[key], self._sums[key] = outstanding, total

    def _allowed(self, key: str) -> int:
        """What may be spent at most: the limit, and the exceptions that have a name."""
        limit = self.world.limits.largest(key, self.world.now_ms)
        return limit + self.world.books.overruns[key] + self._reclaimed[key]

    def _check_books(self) -> None:
        balances = {key: balance.settled_nanousd for key, balance in _balances(self.world).items()}
        charged = self.world.books.charged()
        found = Counter({key: balances.get(key, 0) for key in charged})
        _equal(found, charged, "what gateways of strict know they spent")

    def _check_replay(self) -> None:
        state, log = LedgerState(0, PRICES, carry_after_ms=0), Changelog()
        kept = self.world.broker.changelog
        for record in self.world.broker.ledger[: kept.restore().position.offset + 1]:
            log.write(fold(state, record))
        _equal(log.balances, kept.balances, "the balances of a replay")
        _equal((log.policies, log.position), (kept.policies, kept.position), "policies and position of a replay")

    def _check_enforcers(self) -> None:
        for enforcer in self.world.enforcers:
            for key, balance in _balances(self.world).items():
                standing = enforcer.engine.standings.find(key)
                if standing is None:
                    raise Broken(f"the enforcer does not know {key}")
                _equal(standing.settled_nanousd, balance.settled_nanousd, f"the enforcer's figure of {key}")
                _equal((standing.pending_nanousd, standing.held_nanousd), (0, 0), f"what it adds to {key}")

    def _check_liveness(self) -> None:
        """A request that fits into what nobody spent, holds, or took to its grave is allowed in the end, anywhere."""
        world = self.world
        if world.limits.paced:
            return
        ask = Ask(organization="strict", user="ada", model="gpt-4o-mini", input_tokens=1, max_output_tokens=1)
        alive = {enforcer.engine.identity for enforcer in world.enforcers}
        keys = world.keys(ask, world.now_ms)
        balances = _balances(world)
        for key in keys:
            shares = balances[key].shares if key in balances else {}
            lost = sum(_outstanding(share) for name, share in shares.items() if name not in alive)
            if world.free(key) - lost <= world.limits.now // 50:
                return
        for place in range(len(world.enforcers)):
            if not world.ask_until(place, ask, LIVELY_MS, self.check_step):
                raise Broken(f"enforcer {place} is never granted what is free")


def _clock_ms(effects: Effects) -> int:
    """The ledger's clock when these effects were folded."""
    assert effects.position is not None, "what is committed has a position"
    return effects.position.clock_ms


def _outstanding(share: Share) -> int:
    return max(0, share.granted_nanousd - share.released_nanousd - share.used_nanousd)


def _balances(world: World) -> Mapping[str, Balance]:
    return dict(world.broker.changelog.restore().tables.items())


def _loose(world: World) -> Counter[str]:
    whole = "org:loose@day:"
    return Counter({key: found.settled_nanousd for key, found in _balances(world).items() if key.startswith(whole)})


def _loose_by_reading(world: World) -> Counter[str]:
    """An organization's spend by reading the ledger once, event by event, with nothing but dictionaries."""
    reports: dict[str, tuple[str, int]] = {}
    for record in world.broker.ledger:
        for event in json.loads(record.value):
            if event["data"].get("organization") == "loose":
                day = datetime.fromisoformat(event["time"]).date().isoformat()
                reports.setdefault(event["id"], (f"org:loose@day:{day}", _cost(event)))
    spent: Counter[str] = Counter()
    for key, cost in reports.values():
        spent[key] += cost
    return spent


def _cost(event: Json) -> int:
    data = event["data"]
    if data.get("gen_ai.usage.output_tokens") is None:
        return 0
    price = PRICES.price(
        data.get("gen_ai.provider.name"),
        data["gen_ai.request.model"],
        to_ms(datetime.fromisoformat(event["time"])),
        input_tokens=data["gen_ai.usage.input_tokens"],
        output_tokens=data["gen_ai.usage.output_tokens"],
    )
    return 0 if price is None else price.total_nanousd


def _equal(found: object, expected: object, what: str) -> None:
    if found != expected:
        raise Broken(f"{what}: found {found!r:.300}, expected {expected!r:.300}")
