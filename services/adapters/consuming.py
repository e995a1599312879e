"""Keeps whoever waits for a Kafka consumer from waiting for ever, should something inside the consumer have ended."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, NoReturn, TypeVar

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from services.adapters.ending import end_tasks
from services.adapters.vital import failure_of

CLOSE_S = 4.0

ResultT = TypeVar("ResultT")


async def until_broken(consumer: AIOKafkaConsumer) -> NoReturn:
    """Wait until a background task of a started consumer has ended, which nothing makes good. Raises `KafkaError`."""
    ended, _ = await asyncio.wait(_background(consumer), return_when=asyncio.FIRST_COMPLETED)
    raise _error_of(ended)


def broken(consumer: AIOKafkaConsumer) -> KafkaError | None:
    """What `until_broken` would raise by now; the consumer may be one of another thread."""
    ended = [task for task in _background(consumer) if task.done()]
    return _error_of(ended) if ended else None


async def while_alive(consumer: AIOKafkaConsumer, work: Coroutine[Any, Any, ResultT]) -> ResultT:
    """The result of `work`, which waits for a started consumer. Raises `KafkaError` once that cannot come any more."""
    working = asyncio.create_task(work)
    try:
        ended, _ = await asyncio.wait([working, *_background(consumer)], return_when=asyncio.FIRST_COMPLETED)
        if working not in ended:
            raise _error_of(ended)
        return working.result()
    finally:
        await end_tasks(working)


@asynccontextmanager
async def started(consumer: AIOKafkaConsumer) -> AsyncIterator[AIOKafkaConsumer]:
    """A consumer that runs in the block, and is closed after it: also when its start fails, or is given up halfway."""
    try:
        await consumer.start()
        yield consumer
    finally:
        await close(consumer)


async def close(consumer: AIOKafkaConsumer) -> None:
    """Leave the group and disconnect, part by part: a stop that waits for what has ended inside closes none."""
    parts = (consumer._fetcher, consumer._client)
    for end in (consumer.stop, *[part.close for part in parts if part is not None]):
        with suppress(Exception):
            await asyncio.wait_for(end(), CLOSE_S)


def _background(consumer: AIOKafkaConsumer) -> Collection[asyncio.Task[Any]]:
    """What refreshes metadata, what fetches, and what keeps the membership: of the first two, aiokafka tells nobody."""
    tasks = (
        consumer._client._sync_task,
        consumer._fetcher._fetch_task,
        getattr(consumer._coordinator, "_coordination_task", None),
    )
    return [task for task in tasks if task is not None]


def _error_of(ended: Collection[asyncio.Task[Any]]) -> KafkaError:
    task = next(iter(ended))
    name, cause = task.get_coro().__qualname__, failure_of(task)  # type: ignore[union-attr]
    error = KafkaError(f"the consumer works no more: {name} has ended" + (f" by {cause!r}" if cause else ""))
    error.__cause__ = cause
    return error
