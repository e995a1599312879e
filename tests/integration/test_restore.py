"""Reading a partition's ends can be given up at any moment, as a rebalance does, and leaves no connection behind."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Coroutine
from typing import Any

import pytest

from services.adapters.ending import end_tasks
from services.adapters.topics import ensure_topics, partition_count
from services.aggregator.image import reading
from services.aggregator.restore import ends, holds_records
from services.aggregator.settings import AggregatorSettings

LATEST_MS = 40
"""It is given up at moments from before the connection until in the middle of the reading."""


async def read_image(settings: AggregatorSettings) -> None:
    async with reading(settings):
        await asyncio.Event().wait()


@pytest.mark.filterwarnings("error")
async def test_what_is_given_up_halfway_is_closed(broker: str, prefix: str) -> None:
    settings = AggregatorSettings(kafka=broker, topic_prefix=prefix)
    await ensure_topics(settings)
    for after_ms in range(LATEST_MS):
        works: list[Coroutine[Any, Any, object]] = [partition_count(settings), read_image(settings)]
        works += [ends(settings, 0), holds_records(settings, 0, 0, 1)]
        tasks = [asyncio.create_task(work) for work in works]
        await asyncio.wait(tasks, timeout=after_ms / 1000)
        await end_tasks(*tasks)
    gc.collect()  # what was not closed says so now, and so fails this test instead of a later one
