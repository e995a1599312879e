"""Reading a partition's ends can be given up at any moment, as a rebalance does, and leaves no connection behind."""

from __future__ import annotations

import asyncio
import gc

import pytest

from services.adapters.ending import end_tasks
from services.adapters.topics import ensure_topics
from services.aggregator.image import reading
from services.aggregator.restore import ends, holds_records
from services.aggregator.settings import AggregatorSettings

STEPS = 60
"""Turns of the event loop after which it is given up: from before the connection to the middle of the reading."""


async def read_image(settings: AggregatorSettings) -> None:
    async with reading(settings):
        await asyncio.Event().wait()


@pytest.mark.filterwarnings("error")
async def test_what_is_given_up_halfway_is_closed(broker: str, prefix: str) -> None:
    settings = AggregatorSettings(kafka=broker, topic_prefix=prefix)
    await ensure_topics(settings)
    for steps in range(0, STEPS, 3):
        works = (ends(settings, 0), holds_records(settings, 0, 0, 1), read_image(settings))
        tasks = [asyncio.create_task(work) for work in works]
        for _ in range(steps):
            await asyncio.sleep(0)
        await end_tasks(*tasks)
    gc.collect()  # what was not closed says so now, and so fails this test instead of a later one
