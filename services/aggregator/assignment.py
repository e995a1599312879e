"""The partitions that the group has given to this worker: opened in the background, let go before others take them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence

from services.adapters import logs
from services.adapters.ending import end_tasks
from services.adapters.vital import failure_of
from services.aggregator.partition import Parked, Partition
from services.aggregator.settings import AggregatorSettings
from services.core.effects import Effects
from services.core.pricing import PriceBook
from services.core.record import Record

log = logs.logger(__name__)


class Assignment:
    """Opens, feeds and closes partitions. `failed` is called with the first error: the process must then end."""

    def __init__(
        self, settings: AggregatorSettings, prices: PriceBook, *, failed: Callable[[BaseException], None]
    ) -> None:
        self._settings = settings
        self._prices = prices
        self._failed = failed
        self._opening: dict[int, asyncio.Task[Partition]] = {}
        self._parked: dict[int, Parked] = {}

    def opened(self) -> Mapping[int, Partition]:
        """The partitions that are ready."""
        return {
            number: task.result()
            for number, task in self._opening.items()
            if task.done() and not task.cancelled() and task.exception() is None
        }

    def pending(self) -> list[int]:
        """The partitions that are assigned and not ready yet."""
        return sorted(self._opening.keys() - self.opened().keys())

    def assign(self, numbers: Iterable[int], *, generation: int) -> None:
        """Start to open partitions, at once and whether or not records arrive; returns without waiting.

        The group waits for whoever handles an assignment, without heartbeats: a long restore must not happen there.
        """
        wanted = set(numbers)
        for number in self._parked.keys() - wanted:
            del self._parked[number]
        for number in sorted(wanted - self._opening.keys()):
            opening = Partition.open(
                self._settings,
                number,
                self._prices,
                generation=generation,
                parked=self._parked.pop(number, None),
            )
            task = self._opening[number] = asyncio.create_task(opening, name=f"open partition {number}")
            task.add_done_callback(self._report)

    async def revoke(self, numbers: Iterable[int]) -> None:
        """Let partitions go; returns when their transactions are finished and nothing more can be written."""
        tasks = {number: task for number in numbers if (task := self._opening.pop(number, None)) is not None}
        await asyncio.gather(*(self._close(number, task) for number, task in tasks.items()))

    async def apply(self, number: int, generation: int, records: Sequence[Record]) -> Effects:
        """Apply records to an assigned partition once it is open; those of an earlier assignment are dropped."""
        task = self._opening.get(number)
        if task is None:
            return Effects()
        await asyncio.wait([task])
        if task.cancelled():  # revoked while it was being opened
            return Effects()
        partition = task.result()
        return await partition.apply(records) if partition.generation == generation else Effects()

    async def close(self) -> None:
        """Let everything go."""
        await self.revoke(list(self._opening))

    async def _close(self, number: int, task: asyncio.Task[Partition]) -> None:
        await end_tasks(task)
        if task.cancelled() or task.exception() is not None:
            return
        parked = await task.result().close()
        if parked is not None:
            self._parked[number] = parked
        log.info("partition let go", partition=number, position=task.result().state.position.offset)

    def _report(self, task: asyncio.Task[Partition]) -> None:
        if (error := failure_of(task)) is not None:
            self._failed(error)
