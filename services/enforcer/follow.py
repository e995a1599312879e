"""Follows the aggregator's changelogs into the engine, and wakes those who wait for a ledger position."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Sequence
from contextlib import aclosing

from aiokafka.errors import KafkaError
from msgspec import MsgspecError
from pydantic import ValidationError

from services.adapters import logs
from services.adapters.kafka import Record, TailBatch, tail
from services.adapters.ledger_clock import LedgerClock
from services.adapters.settings import Settings
from services.adapters.topics import TopicsError, ensure_topics
from services.enforcer.engine import Engine

RETRY_S = 1.0
log = logs.logger(__name__)


class Follower:
    """Keeps the engine at the end of the balances and policies changelogs."""

    def __init__(
        self, engine: Engine, settings: Settings, clock: LedgerClock, absorbed: Callable[[], None] = lambda: None
    ) -> None:
        """`clock` is told how far the ledger's own has come, `absorbed` whenever the engine has learnt something."""
        self._engine, self._settings, self._clock, self._absorbed = engine, settings, clock, absorbed
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []

    async def run(self) -> None:
        """Restore, then follow, until cancelled. When reading breaks, it begins again: what is known stays."""
        while True:
            try:
                self._engine.partitions = await ensure_topics(self._settings)
                async with aclosing(tail(self._settings, ["balances", "policies"])) as batches:
                    async for batch in batches:
                        self._absorb(batch)
            except (KafkaError, TopicsError, OSError) as error:
                log.error("the changelogs cannot be followed, trying again", reason=str(error) or repr(error))
                await asyncio.sleep(RETRY_S)

    async def reached(self, partition: int, offset: int, wait_s: float) -> bool:
        """Whether a ledger position has been applied, waiting for it this long."""
        if self._engine.standings.offset(partition) >= offset:
            return True
        arrival: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (partition, offset, arrival)
        self._waiting.append(entry)
        try:
            await asyncio.wait_for(arrival, wait_s)
        except TimeoutError:
            return False
        finally:
            self._waiting.remove(entry)
        return True

    def _absorb(self, batch: TailBatch) -> None:
        """All of a batch in one step: no request is answered in between."""
        for (name, partition), records in batch.records.items():
            if name == "policies":
                self._adopt(records)
            else:
                self._engine.standings.absorb(partition, [(r.key, r.value) for r in records if r.key is not None])
        self._clock.reached(max((at.clock_ms for at in self._engine.standings.positions.values()), default=0))
        self._wake()
        if batch.caught_up and not self._engine.standings.restored:
            self._restored()
        self._absorbed()

    def _adopt(self, records: Sequence[Record]) -> None:
        for record in records:
            if record.value is None:
                continue
            try:
                self._engine.adopt(record.value)
            except (MsgspecError, ValidationError) as error:
                log.error("a policy cannot be read, the one before it stays in force", reason=str(error))

    def _wake(self) -> None:
        for partition, offset, arrival in self._waiting:
            if not arrival.done() and self._engine.standings.offset(partition) >= offset:
                arrival.set_result(None)

    def _restored(self) -> None:
        self._engine.standings.restored = True
        # What was restored stays: the collector need not walk a million balances again and again.
        gc.collect()
        gc.freeze()
        log.info("restored", balances=len(self._engine.standings.known))
