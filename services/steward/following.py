"""Keeps the steward's books up to date from Kafka, however often reading breaks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing

from aiokafka.errors import KafkaError

from services.adapters import logs
from services.adapters.clock import now_ms
from services.adapters.ending import end_tasks
from services.adapters.kafka import TailBatch, tail
from services.adapters.topics import TopicName, TopicsError
from services.steward.books import Books
from services.steward.health import Health, Where
from services.steward.settings import StewardSettings

RETRY_S = 1.0
DAY_MS = 86_400_000
log = logs.logger(__name__)


class Following:
    """Three readers: policies first, then the balances of the scopes that they look at, and forecasts."""

    def __init__(self, settings: StewardSettings, books: Books, health: Health) -> None:
        self._settings, self._books, self._health = settings, books, health
        self._policies_known, self._more_scopes = asyncio.Event(), asyncio.Event()
        self._scopes: frozenset[str] = frozenset()

    async def policies(self) -> None:
        """Run until cancelled."""
        await self._again("policies", self._read_policies)

    async def balances(self) -> None:
        """Run until cancelled: from the beginning again whenever a policy looks at a scope that none did before."""
        await self._policies_known.wait()
        while True:
            self._more_scopes.clear()
            self._scopes = self._books.scopes()
            reading = asyncio.create_task(self._again("balances", self._read_balances))
            more = asyncio.create_task(self._more_scopes.wait())
            try:
                await asyncio.wait([reading, more], return_when=asyncio.FIRST_COMPLETED)
                if reading.done():
                    reading.result()
            finally:
                await end_tasks(reading, more)
            self._health.trouble("balances", "another policy looks at more of them")

    async def forecasts(self) -> None:
        """Run until cancelled."""
        await self._again("forecasts", self._read_forecasts)

    async def _again(self, where: Where, read: Callable[[], AsyncGenerator[bool, None]]) -> None:
        while True:
            try:
                async with aclosing(read()) as steps:
                    async for caught_up in steps:
                        if caught_up:
                            self._health.over(where)
            except (KafkaError, TopicsError, OSError) as error:
                self._health.trouble(where, str(error) or repr(error))
                await asyncio.sleep(RETRY_S)

    async def _read_policies(self) -> AsyncGenerator[bool, None]:
        async with aclosing(self._tail("policies")) as batches:
            async for batch in batches:
                for value in _values(batch):
                    self._take(self._books.take_policy, value)
                if batch.caught_up:
                    self._policies_known.set()
                if not self._books.scopes() <= self._scopes:
                    self._more_scopes.set()
                yield batch.caught_up

    async def _read_balances(self) -> AsyncGenerator[bool, None]:
        async with aclosing(self._tail("balances")) as batches:
            async for batch in batches:
                for records in batch.records.values():
                    for record in records:
                        self._take_balance((record.key or b"").decode(), record.value)
                yield batch.caught_up

    async def _read_forecasts(self) -> AsyncGenerator[bool, None]:
        since_ms = now_ms() - self._settings.steward_forecast_days * DAY_MS
        async with aclosing(self._tail("forecasts", {"forecasts": since_ms})) as batches:
            async for batch in batches:
                for value in _values(batch):
                    self._take(self._books.take_forecasts, value)
                yield batch.caught_up

    def _tail(
        self, name: TopicName, since_ms: Mapping[TopicName, int] | None = None
    ) -> AsyncGenerator[TailBatch, None]:
        return tail(self._settings, [name], since_ms=since_ms)

    def _take(self, take: Callable[[bytes], None], value: bytes) -> None:
        try:
            take(value)
        except ValueError as error:
            self._unreadable(error)

    def _take_balance(self, key: str, value: bytes | None) -> None:
        try:
            self._books.take_balance(key, value, self._scopes)
        except ValueError as error:
            self._unreadable(error)

    def _unreadable(self, error: ValueError) -> None:
        self._health.unreadable()
        log.error("cannot be read; what was known before stays", reason=str(error))


def _values(batch: TailBatch) -> list[bytes]:
    return [record.value for records in batch.records.values() for record in records if record.value is not None]
