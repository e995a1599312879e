"""Says to the ledger what this enforcer wants and that it lives, and wakes the checks that wait for the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

import msgspec

from services.adapters import logs
from services.adapters.clock import steady_ms
from services.adapters.lane import as_array
from services.adapters.ledger import parcels
from services.adapters.ledger_clock import LedgerClock
from services.adapters.publisher import Publisher, RecordRefused
from services.core.events import EnforcerAlive, Heartbeat, from_ms
from services.enforcer.claim_meter import ClaimMeter
from services.enforcer.engine import Engine
from services.enforcer.wants import Shortage

TICK_S: Final = 0.025
REVIEW_MS: Final = 1_000
"""Wants are looked through once in this time, if there are not too many of them."""
STEP: Final = 16
"""How many wants are looked at before the clock is: a review holds up the loop for a millisecond or two at a time."""

log = logs.logger(__name__)
_encode = msgspec.json.Encoder().encode


class Terms(Protocol):
    """What the operator decides of it."""

    @property
    def heartbeat_s(self) -> float:
        """Seconds between signs of life."""

    @property
    def reclaim_after_ms(self) -> int | None:
        """After how long a silence shares may be taken back; None: never."""


class Claims:
    """The voice of one engine. One record is on its way to each partition at a time; what comes meanwhile is the next.

    Nothing is spooled: whatever is said later says it all.
    """

    def __init__(
        self,
        engine: Engine,
        publisher: Publisher,
        topic: str,
        clock: LedgerClock,
        terms: Terms,
        meter: ClaimMeter,
        new_identity: Callable[[], str],
    ) -> None:
        self._engine, self._publisher, self._topic, self._clock = engine, publisher, topic, clock
        self._terms, self.meter, self._new_identity = terms, meter, new_identity
        self._waiting: dict[asyncio.Future[None], Shortage] = {}
        self._restored = asyncio.Event()
        self._calls: list[asyncio.Event] = []
        self._heartbeats: set[int] = set()
        self._beaten_ms = self._reviewed_ms = 0
        self._reviewing = False
        self._last_words: dict[int, list[bytes]] = {}

    async def run(self) -> None:
        """Speak, from when everything is restored, until cancelled."""
        await self._restored.wait()
        assert self._engine.partitions is not None, "partitions are known before anything is restored"
        self.meter.watch(self._engine)
        self._calls = [asyncio.Event() for _ in range(self._engine.partitions)]
        async with asyncio.TaskGroup() as group:
            for partition in range(self._engine.partitions):
                group.create_task(self._speak(partition))
            group.create_task(self._tick())

    async def answer(self, shortage: Shortage, within_ms: int) -> None:
        """Claim what a request lacks, and return once the ledger has answered, or when the time is over."""
        self._engine.wants.wait(shortage, steady_ms())
        self._speak_up()
        loop = asyncio.get_running_loop()
        answered = loop.create_future()
        self._waiting[answered] = shortage
        impatience = loop.call_later(within_ms / 1000, _wake, answered)
        try:
            await answered
        finally:
            impatience.cancel()
            del self._waiting[answered]
            self._engine.wants.leave(shortage)

    def absorbed(self) -> None:
        """The changelogs were read on: wake whoever was answered, and answer what is asked of this enforcer."""
        if self._engine.standings.restored:
            self._restored.set()
        if self._engine.registry.reclaimed:
            self._start_over()
        for waiting, shortage in self._waiting.items():
            if self._engine.is_answered(shortage):
                _wake(waiting)
        self._speak_up()

    async def say_goodbye(self) -> None:
        """Give back what is not held, as the last that is said; call it when `run` has ended."""
        self._engine.wants.give_all_back()
        partitions = self._engine.wants.due()
        await asyncio.gather(*[self._deliver(partition, self._claims(partition)) for partition in partitions])

    async def _speak(self, partition: int) -> None:
        call = self._calls[partition]
        while True:
            await call.wait()
            call.clear()
            await asyncio.sleep(0)  # whatever is asked for in this turn of the loop goes into one record
            await self._deliver(partition, [*self._last_words.pop(partition, ()), *self._words(partition)])

    async def _tick(self) -> None:
        while True:
            now = steady_ms()
            if now - self._beaten_ms >= self._terms.heartbeat_s * 1000:
                self._beaten_ms = now
                self._heartbeats.update(range(len(self._calls)))
            self._look_around(now)
            self._speak_up()
            await asyncio.sleep(TICK_S)

    def _look_around(self, begun_ms: int) -> None:
        review, now_ms = self._engine.review, self._clock.now_ms()
        if not self._reviewing and begun_ms - self._reviewed_ms < REVIEW_MS:
            return
        if not self._reviewing:
            self._reviewed_ms = begun_ms
            review.begin()
        self._reviewing = True
        while self._reviewing and steady_ms() - begun_ms < 1:
            self._reviewing = review.step(STEP, now_ms, begun_ms)

    def _speak_up(self) -> None:
        if not self._calls:
            return
        for partition in (*self._heartbeats, *self._last_words, *self._engine.wants.due()):
            self._calls[partition].set()

    def _words(self, partition: int) -> list[bytes]:
        """What is to be said to a partition; the heartbeat first, for without it no claim is granted."""
        words = []
        if partition in self._heartbeats:
            self._heartbeats.discard(partition)
            words.append(self._heartbeat(partition))
        return words + self._claims(partition)

    def _heartbeat(self, partition: int) -> bytes:
        engine = self._engine
        beat = engine.leases.next_beat(partition, steady_ms())
        alive = Heartbeat(enforcer=engine.identity, beat=beat, reclaim_after_ms=self._terms.reclaim_after_ms)
        at = from_ms(self._clock.now_ms())
        return _encode(EnforcerAlive(id=f"{engine.identity}-{beat}", source=engine.source, time=at, data=alive))

    def _claims(self, partition: int) -> list[bytes]:
        engine = self._engine
        said = list(engine.wants.say(partition, engine.identity, engine.source, self._clock.now_ms(), steady_ms()))
        self.meter.said(said)
        return [_encode(claim) for claim in said]

    async def _deliver(self, partition: int, words: list[bytes]) -> None:
        for parcel, _size in parcels(words):
            try:
                await self._publisher.deliver(self._topic, partition, as_array(parcel))
            except RecordRefused as error:
                log.error("Kafka never takes these claims", reason=str(error), claims=len(parcel))

    def _start_over(self) -> None:
        """The ledger has given this enforcer up: go on as another, and leave to others what it had elsewhere."""
        engine = self._engine
        old = engine.identity
        engine.wants.give_all_back()
        self._last_words = {partition: self._claims(partition) for partition in engine.wants.due()}
        engine.start_over(self._new_identity())
        self._heartbeats.update(range(len(self._calls)))
        for waiting in self._waiting:
            _wake(waiting)  # what they lack they are to claim as the new one
        log.error("the ledger has given this enforcer up, it goes on as another", old=old, new=engine.identity)


def _wake(waiting: asyncio.Future[None]) -> None:
    if not waiting.done():
        waiting.set_result(None)
