"""Looks at every policy with rules, again and again, and asks the ledger for what they want."""

from __future__ import annotations

import asyncio
from typing import Final

import msgspec

from services.adapters import logs
from services.adapters.clock import monotonic_ms, now_ms
from services.adapters.kafka import partition_for
from services.adapters.publisher import Publisher
from services.adapters.topics import topic
from services.core.events import from_ms
from services.core.money import format_usd
from services.core.moving.carrying import DueCarry, due_carries
from services.core.moving.wanted import WantedMove, wanted_moves
from services.core.moving_events import BudgetCarried, BudgetMoved, Carry, Move
from services.steward.books import Books, InForce
from services.steward.health import Health
from services.steward.settings import StewardSettings

SOURCE: Final = "spendgate/steward"
REASON_CHARACTERS_MAX: Final = 2048
_encode = msgspec.json.Encoder().encode
log = logs.logger(__name__)

Asked = BudgetMoved | BudgetCarried


class Rounds:
    """Whoever asks, and however often: a move has a name that follows from its rule and window, and happens once."""

    def __init__(self, settings: StewardSettings, books: Books, publisher: Publisher, health: Health) -> None:
        self._settings, self._books, self._publisher, self._health = settings, books, publisher, health
        self._asked_ms: dict[str, int] = {}

    async def run(self) -> None:
        """Run until cancelled."""
        await self._publisher.connect()
        self._health.over("ledger")
        while True:
            if self._health.well:
                await self.look(now_ms())
            await asyncio.sleep(self._settings.steward_look_s)

    async def look(self, at_ms: int) -> None:
        """One round."""
        self._forget_asked()
        for each in self._books.looking():
            try:
                events = self._wanted(each, at_ms)
            except Exception:  # one organization's trouble is not another's
                self._health.failed()
                log.exception("cannot look at a policy", organization=each.entry.organization)
                continue
            if events:
                await self._ask(each.entry.organization, events)

    def _wanted(self, each: InForce, at_ms: int) -> list[Asked]:
        """The events to send: what rules want, and windows to be carried over; none that was asked for just now."""
        stands = self._books.stands(each.compiled, at_ms)
        moves = wanted_moves(each.compiled, each.written, each.entry.moves, stands, at_ms)
        carries = due_carries(each.entry, each.written, each.compiled, at_ms)
        name = each.entry.organization
        events: list[Asked] = [carry_event(name, due, at_ms) for due in carries]
        events += [move_event(name, move, at_ms) for move in moves]
        return [event for event in events if _key(event) not in self._asked_ms]

    async def _ask(self, organization: str, events: list[Asked]) -> None:
        assert self._publisher.partitions is not None, "the publisher has connected"
        partition = partition_for(organization, self._publisher.partitions)
        record = b"[" + b",".join(map(_encode, events)) + b"]"
        await self._publisher.deliver(topic(self._settings, "ledger"), partition, record)
        for event in events:
            self._asked_ms[_key(event)] = monotonic_ms()
            log.info("asked for a move", organization=organization, move=event.id, reason=event.data.reason)
        self._health.asked(len(events))

    def _forget_asked(self) -> None:
        since_ms = monotonic_ms() - int(self._settings.steward_retry_s * 1000)
        self._asked_ms = {name: asked_ms for name, asked_ms in self._asked_ms.items() if asked_ms > since_ms}


def _key(event: Asked) -> str:
    return f"{event.data.organization}/{event.id}"


def carry_event(organization: str, due: DueCarry, at_ms: int) -> BudgetCarried:
    """The event that asks the ledger to carry a window over."""
    data = Carry(organization=organization, budget=due.budget, window=due.window, by=SOURCE, reason=due.reason)
    return BudgetCarried(id=due.name, source=SOURCE, time=from_ms(at_ms), subject=organization, data=data)


def move_event(organization: str, wanted: WantedMove, at_ms: int) -> BudgetMoved:
    """The event that asks the ledger for a move."""
    data = Move(
        organization=organization,
        move=wanted.move,
        from_budget=wanted.from_budget,
        to_budget=wanted.to_budget,
        amount_usd=format_usd(wanted.amount_nanousd),
        rule=wanted.rule,
        returns=wanted.returns,
        by=SOURCE,
        reason=wanted.reason[:REASON_CHARACTERS_MAX],
    )
    return BudgetMoved(id=wanted.move, source=SOURCE, time=from_ms(at_ms), subject=organization, data=data)
