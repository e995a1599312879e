"""Sends what is due: makes messages of deliveries, tries each, and remembers what came of it before anything else."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from functools import partial
from time import perf_counter
from typing import Final

from services.adapters import logs
from services.adapters.clock import now_ms
from services.adapters.ending import end_tasks
from services.core.notifying import bundle, redacted, retry_after_ms
from services.notifier.health import Health
from services.notifier.letter import Writer
from services.notifier.outbox import Message, Outbox
from services.notifier.senders import Senders
from services.notifier.taken import NotTaken, Outcome, Taken

LOOK_S: Final = 5.0
"""At the latest after this long somebody looks whether anything is due: clocks are set, too."""
HOUR_MS: Final = 3_600_000
SWEEP_MS: Final = HOUR_MS
log = logs.logger(__name__)


class Delivering:
    """The way of messages to their receivers. A message that is on its way is not sent beside itself."""

    def __init__(
        self, outbox: Outbox, writer: Writer, senders: Senders, health: Health, *, at_once: int, remember_ms: int
    ) -> None:
        """`remember_ms`: how long what has ended is remembered; longer than any notice may be late."""
        self._outbox, self._writer, self._senders, self._health = outbox, writer, senders, health
        self._at_once, self._remember_ms = at_once, remember_ms
        self._on_their_way: dict[str, asyncio.Task[None]] = {}
        self._woken = asyncio.Event()
        self._swept_ms, self._draining = 0, False
        self.ended = asyncio.Event()
        """Set when deliveries have come to an end: there is something to publish."""

    def wake(self) -> None:
        """There may be something to send."""
        self._woken.set()

    async def run(self) -> None:
        """Send what is due, until cancelled."""
        while True:
            self._woken.clear()
            at_ms = now_ms()
            await self._look(at_ms)
            await self._rest(at_ms)

    async def drain(self, within_s: float) -> None:
        """Begin nothing more, and let what is on its way arrive: what was answered is then remembered."""
        self._draining = True
        if self._on_their_way:
            await asyncio.wait(self._on_their_way.values(), timeout=within_s)
        await end_tasks(*self._on_their_way.values())

    async def _look(self, at_ms: int) -> None:
        room = self._at_once - len(self._on_their_way)
        if room <= 0 or self._draining:
            return
        for message in await self._outbox.call(self._next, at_ms, room, list(self._on_their_way)):
            task = asyncio.create_task(self._send(message))
            self._on_their_way[message.id] = task
            task.add_done_callback(partial(self._arrived, message.id))

    async def _rest(self, looked_ms: int) -> None:
        due_ms = await self._outbox.call(self._outbox.next_due_ms, looked_ms)
        busy = len(self._on_their_way) >= self._at_once
        wait_s = LOOK_S if due_ms is None or busy else min(LOOK_S, max(0.05, (due_ms - now_ms()) / 1000))
        try:
            await asyncio.wait_for(self._woken.wait(), wait_s)
        except TimeoutError:
            return

    def _next(self, at_ms: int, room: int, busy: Iterable[str]) -> list[Message]:
        """Make messages of what is due, and give those whose turn it is."""
        with self._outbox.step({}):
            for (_, channel), waiting in self._outbox.due(at_ms).items():
                sent = self._outbox.sent_ms(channel, at_ms - HOUR_MS)
                self._outbox.put(channel, bundle(waiting, sent, at_ms), at_ms)
            if at_ms - self._swept_ms > SWEEP_MS:
                self._outbox.forget(at_ms - self._remember_ms)
                self._swept_ms = at_ms
        return self._outbox.open_messages(at_ms, room, busy)

    async def _send(self, message: Message) -> None:
        began = perf_counter()
        outcome = await self._try(message)
        self._health.tried(perf_counter() - began, taken=isinstance(outcome, Taken))
        await self._outbox.call(self._remember, message, outcome, now_ms())
        self.ended.set()

    async def _try(self, message: Message) -> Outcome:
        try:
            return await self._senders.send(message.channel, self._writer.write(message, now_ms()))
        except Exception as error:
            # Not to be counted would mean to be tried every few seconds, for ever.
            log.error("a message could not be written or sent", message=message.id, exc_info=error)
            return NotTaken(f"it could not be written or sent: {type(error).__name__}")

    def _remember(self, message: Message, outcome: Outcome, at_ms: int) -> None:
        told = {"message": message.id, "channel": redacted(message.channel), "detail": outcome.detail}
        with self._outbox.step({}):
            if isinstance(outcome, Taken):
                self._outbox.settle(message, "sent", outcome.detail, at_ms)
            else:
                wait_ms = _wait_ms(message, outcome)
                if wait_ms is None:
                    log.error("given up: nobody was told", attempts=message.attempts + 1, **told)
                    self._outbox.settle(message, "dead", outcome.detail, at_ms)
                else:
                    log.warning("not taken, will be tried again", in_s=wait_ms / 1000, **told)
                    self._outbox.postpone(message, outcome.detail, at_ms + wait_ms)
                    return
        self._health.ended("sent" if isinstance(outcome, Taken) else "dead", len(message.notices))

    def _arrived(self, name: str, task: asyncio.Task[None]) -> None:
        del self._on_their_way[name]
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("what came of a message could not be remembered", message=name, exc_info=error)
            return  # looked at again when the next thing is due
        self._woken.set()


def _wait_ms(message: Message, outcome: NotTaken) -> int | None:
    if outcome.for_good:
        return None
    return retry_after_ms(message.id, message.attempts + 1, outcome.after_ms)
