"""An aggregator whose Kafka consumer works no more ends, whatever of the consumer has ended in its own thread."""

from __future__ import annotations

import asyncio
from operator import attrgetter
from pathlib import Path

import pytest
from aiokafka.errors import KafkaError

from services.adapters.metrics import Metrics
from services.adapters.topics import ensure_topics
from services.aggregator.app import Aggregator
from services.aggregator.settings import AggregatorSettings
from services.core.pricing import PriceBook

BACKGROUND = ("_client._sync_task", "_fetcher._fetch_task")
WITHIN_S = 60


@pytest.mark.parametrize("part", BACKGROUND)
async def test_a_worker_ends_with_its_consumer(broker: str, prefix: str, tmp_path: Path, part: str) -> None:
    settings = AggregatorSettings(kafka=broker, topic_prefix=prefix, data_dir=tmp_path, session_timeout_s=3.0)
    await ensure_topics(settings)
    worker = Aggregator(settings, PriceBook.bundled(), Metrics(process=False))
    await worker.start()
    try:
        ended = asyncio.create_task(worker.ended())
        thread = worker.app.consumer._thread
        thread.thread_loop.call_soon_threadsafe(attrgetter(part)(thread._consumer).cancel)
        with pytest.raises(KafkaError, match="the consumer works no more"):
            await asyncio.wait_for(ended, WITHIN_S)
    finally:
        await worker.stop()
