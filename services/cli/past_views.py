"""The past as services would have told it: an enforcer's status and decisions, the console's outlook."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from services.aggregator.changelog import Message, encode
from services.cli.past import entry_of
from services.console.books import Books
from services.console.feed import Feed
from services.console.status import ScopeOutlook
from services.console.status import status_of as outlook_of
from services.core.as_of import Past
from services.core.ask import Ask
from services.core.decision import Decision, LedgerPosition
from services.core.effects import Effects
from services.core.events import EnforcerAlive, EnforcerForgotten, Event, Farewell, Heartbeat, from_ms
from services.core.fold import fold
from services.core.money import format_usd
from services.core.record import Record
from services.core.scope import level_of, parse_scope, scope_key
from services.enforcer.answers import Status
from services.enforcer.engine import LEASE_TTL_MS, Engine
from services.enforcer.status import status_of

IDENTITY: Final = "as-of"
ANSWERS_MAX: Final = 32
"""How often it may claim for one request: for the model asked for and each that is offered, grace included."""


class PastShare(Struct, frozen=True, kw_only=True):
    """What an enforcer could still spend of a balance."""

    window: str
    enforcer: str
    outstanding_usd: str


class PastStatus(Struct, frozen=True, kw_only=True):
    """A scope as it stood. What enforcers had reserved is not in the ledger: their shares are, which contain it."""

    status: Status
    outlook: ScopeOutlook
    shares: list[PastShare]


def status_then(past: Past, scope: str) -> PastStatus:
    """What an enforcer and a console without forecasts would have said of a scope. Raises `ScopeError`."""
    organization, now_ms = parse_scope(scope)["org"], past.now_ms
    status = status_of(enforcer_then(past, organization), scope, now_ms, reached=True)
    balances = past.state.tables[level_of(scope)]
    shares = [
        PastShare(window=window.window, enforcer=name, outstanding_usd=format_usd(share.outstanding_nanousd))
        for window in status.windows
        for balance in [balances.get(f"{scope}@{window.window}")]
        if balance is not None
        for name, share in sorted(balance.shares.items())
        if share.outstanding_nanousd
    ]
    return PastStatus(status=status, outlook=_outlook_then(past, scope, organization), shares=shares)


def decide_then(past: Past, ask: Ask) -> Decision:
    """What the enforcer would have answered that held most of what the request needs. Raises `ScopeError`.

    A new one takes its place and its shares, and claims what it lacks of a ledger that goes on from this past, by the
    same fold: so the past is of no more use for anything else. What is not in the ledger is not known: reservations in
    flight, so its whole share is free, and the pace of a throttle tier, which begins anew. What others held counts as
    spent. Nothing is reserved.
    """
    partition, now_ms = past.state.partition, past.now_ms
    position = LedgerPosition(partition=partition, offset=past.state.position.offset)
    forgone = _best_placed(past, ask)
    engine = enforcer_then(past, ask.organization)
    farewell = [] if forgone is None else [_farewell(engine, forgone, now_ms)]
    _say(past, engine, [*farewell, _heartbeat(engine, partition, now_ms)])
    asked = replace(ask, dry_run=True)
    for answered in range(ANSWERS_MAX + 1):
        found = engine.check(asked, now_ms, now_ms, final=answered == ANSWERS_MAX)
        if isinstance(found, Decision):
            return replace(found, ledger=position)
        engine.wants.wait(found, now_ms)
        _say(past, engine, list(engine.wants.say(partition, IDENTITY, engine.source, now_ms, now_ms)))
        engine.wants.leave(found)
    raise AssertionError("what is final is a decision")


def enforcer_then(past: Past, organization: str) -> Engine:
    """An enforcer that has just read all that the ledger said of an organization then, and has no share yet."""
    partition = past.state.partition
    engine = Engine(
        IDENTITY,
        past.state.prices,
        lambda _organization, _partitions: partition,
        reservation_ttl_ms=LEASE_TTL_MS,
        reservations_max=1,
    )
    engine.partitions = partition + 1
    entry = entry_of(past, organization)
    if entry is not None:
        engine.adopt(msgspec.json.encode(entry))
    _absorb(engine, partition, _balances_then(past, organization))
    engine.standings.restored = True
    return engine


def _outlook_then(past: Past, scope: str, organization: str) -> ScopeOutlook:
    books, now_ms = Books(), past.now_ms
    entry = entry_of(past, organization)
    if entry is not None:
        books.take_policy(msgspec.json.encode(entry))
    for key, value in _balances_then(past, organization):
        books.take_balance(past.state.partition, key or b"", value, now_ms)
    return outlook_of(books.book(organization), Feed(), scope, now_ms)


def _balances_then(past: Past, organization: str) -> list[Message]:
    """An organization's balances and its partition's enforcers, as one transaction of the changelog."""
    root = scope_key({"org": organization})
    balances = {key: balance for key, balance in past.state.tables.items() if key.startswith((f"{root}@", f"{root}/"))}
    return encode(Effects(balances={**balances}, enforcers={**past.state.enforcers}, position=past.state.position))[
        "balances"
    ]


def _best_placed(past: Past, ask: Ask) -> str | None:
    """The enforcer alive with the largest shares in the balances of the request; None if nobody has any."""
    alive = {
        name
        for name, found in past.state.enforcers.items()
        if not found.reclaimed and past.now_ms - found.alive_at_ms <= LEASE_TTL_MS
    }
    held: Counter[str] = Counter()
    for slot in past.state.organization(ask.organization).routes.slots(ask, past.now_ms):
        balance = past.state.tables[slot.level].get(slot.key)
        if balance is not None:
            held.update({name: share.outstanding_nanousd for name, share in balance.shares.items() if name in alive})
    return max(sorted(held), key=lambda name: held[name], default=None)


def _farewell(engine: Engine, enforcer: str, now_ms: int) -> EnforcerForgotten:
    gone = Farewell(enforcer=enforcer, by=IDENTITY)
    return EnforcerForgotten(id=f"{IDENTITY}-farewell", source=engine.source, time=from_ms(now_ms), data=gone)


def _heartbeat(engine: Engine, partition: int, now_ms: int) -> EnforcerAlive:
    alive = Heartbeat(enforcer=IDENTITY, beat=engine.leases.next_beat(partition, now_ms))
    return EnforcerAlive(id=f"{IDENTITY}-{alive.beat}", source=engine.source, time=from_ms(now_ms), data=alive)


def _say(past: Past, engine: Engine, events: Sequence[Event]) -> None:
    """Append to the ledger as it was then, and let the enforcer hear what follows."""
    state = past.state
    effects = fold(state, Record(state.partition, state.position.offset + 1, past.now_ms, msgspec.json.encode(events)))
    _absorb(engine, state.partition, encode(effects)["balances"])


def _absorb(engine: Engine, partition: int, messages: list[Message]) -> None:
    engine.standings.absorb(partition, [(key or b"", value) for key, value in messages])
