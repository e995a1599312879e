"""Follows the topics into the board, and wakes whoever shows it."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import aclosing
from typing import Final

from aiokafka.errors import KafkaError

from services.adapters import logs
from services.adapters.clock import now_ms
from services.adapters.kafka import TailBatch, tail
from services.adapters.settings import Settings
from services.adapters.topics import TopicName, TopicsError, ensure_topics
from services.console.board import Board

RETRY_S: Final = 1.0
COMPACTED: Final[tuple[TopicName, ...]] = ("balances", "policies")
_DAY_MS: Final = 86_400_000
PAST_MS: Final[dict[TopicName, int]] = {
    "charges": 3_600_000,
    "decisions": 3_600_000,
    "alerts": 31 * _DAY_MS,
    "audit": 31 * _DAY_MS,
    "anomalies": 31 * _DAY_MS,
    "forecasts": 3 * _DAY_MS,
}
"""How far back the other topics are read at the start; what is older is asked of ClickHouse."""

_TOLD_MAX: Final = 20
log = logs.logger(__name__)


class Follower:
    """Keeps a board at the end of its topics."""

    def __init__(self, board: Board, settings: Settings) -> None:
        self.board, self._settings = board, settings
        self._changed = asyncio.Event()
        self._told: Counter[str] = Counter()
        self.caught_up = False
        """Whether all that existed at the start has been read."""

    async def run(self) -> None:
        """Restore, then follow, until cancelled. When reading breaks, it begins again: what is known stays."""
        while True:
            try:
                await ensure_topics(self._settings)
                self.board.books.restored = False
                at_ms = now_ms()
                since_ms = {name: at_ms - past_ms for name, past_ms in PAST_MS.items()}
                async with aclosing(tail(self._settings, (*COMPACTED, *PAST_MS), since_ms=since_ms)) as batches:
                    async for batch in batches:
                        self._absorb(batch)
            except (KafkaError, TopicsError, OSError) as error:
                log.error("the topics cannot be followed, trying again", reason=str(error) or repr(error))
                await asyncio.sleep(RETRY_S)

    async def changed(self, since: int, wait_s: float) -> bool:
        """Whether the board has come past a version, waiting for it this long."""
        if self.board.version == since:
            changed = self._changed
            try:
                await asyncio.wait_for(changed.wait(), wait_s)
            except TimeoutError:
                return False
        return True

    def _absorb(self, batch: TailBatch) -> None:
        at_ms = now_ms()
        for (name, partition), records in batch.records.items():
            self._tell(name, self.board.take(name, partition, records, at_ms))
        if batch.caught_up and not self.board.books.restored:
            self.board.books.restored = self.caught_up = True
            log.info("restored", organizations=len(self.board.organizations))
        self.wake()

    def wake(self) -> None:
        """Let those go on who wait for a change."""
        self._changed.set()
        self._changed = asyncio.Event()

    def _tell(self, name: TopicName, problems: list[str]) -> None:
        """Log what could not be read; a topic full of it is not to fill the disk."""
        for problem in problems:
            self._told[name] += 1
            if self._told[name] <= _TOLD_MAX:
                log.error("a record cannot be read and is not shown", topic=name, reason=problem[:500])
