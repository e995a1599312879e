"""What happens to the services under load: they are killed and come back, several at a time, and Kafka stands still."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

from deploy.local.health import answers
from deploy.local.stack import KAFKA, Stack

POLL_S = 0.1


@dataclass(slots=True)
class Havoc:
    """Seeded kills and pauses, and what has been done so far."""

    stack: Stack
    random: Random
    kills: Counter[str] = field(default_factory=Counter)
    pauses_s: list[float] = field(default_factory=list)

    async def play(self, victims: Sequence[str], *, rounds: int, pauses: int) -> None:
        """`kill -9` each victim once a round; meanwhile Kafka is paused now and then. Returns once all are back.

        The stack starts again what dies, whether it was killed or gave up itself: the next may die before that.
        """
        async with asyncio.TaskGroup() as both:
            both.create_task(self._kill(victims, rounds))
            both.create_task(self._pause(pauses))
        for name in victims:
            while not await answers(f"{self.stack.url(name)}/readyz"):
                await asyncio.sleep(POLL_S)

    async def _kill(self, victims: Sequence[str], rounds: int) -> None:
        for _ in range(rounds):
            for name in self.random.sample(victims, len(victims)):
                await asyncio.sleep(self.random.uniform(1, 2))
                while not self.stack.process(name).running:
                    await asyncio.sleep(POLL_S)
                await self.stack.kill(name)
                self.kills[name] += 1

    async def _pause(self, times: int) -> None:
        for _ in range(times):
            await asyncio.sleep(self.random.uniform(6, 9))
            self.stack.pause(KAFKA)
            try:
                self.pauses_s.append(self.random.uniform(3, 8))
                await asyncio.sleep(self.pauses_s[-1])
            finally:
                self.stack.resume(KAFKA)
