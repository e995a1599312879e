"""Where elements go that are no rows: to the topic of rejected events, with the reason, for a person to look at."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress

import msgspec
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from services.adapters import logs
from services.adapters.clock import now_ms
from services.adapters.topics import topic
from services.core.events import from_ms
from services.core.outcomes import Rejection, UsageRejected
from services.sink.feed import Malformed
from services.sink.settings import SinkSettings

TEXT_BYTES_MAX = 64 << 10
STOP_S = 10.0

log = logs.logger(__name__)


class Rejects:
    """Publishes rejections at least once; the id is the element's place, so that a repetition is known for one."""

    def __init__(self, settings: SinkSettings) -> None:
        self._topic = topic(settings, "rejected")
        self._producer = AIOKafkaProducer(
            bootstrap_servers=settings.kafka, enable_idempotence=True, acks="all", max_request_size=4 << 20
        )

    async def start(self) -> None:
        """Connect. Raises aiokafka's `KafkaError`."""
        await self._producer.start()

    async def stop(self) -> None:
        """Send what is queued, within reason, and disconnect: a carrier that was not told of a delivery repeats it."""
        with suppress(KafkaError, TimeoutError):
            await asyncio.wait_for(self._producer.stop(), STOP_S)

    async def publish(self, place: TopicPartition, elements: Iterable[Malformed]) -> None:
        """Keep these elements of one partition, and return once the broker has them. Raises `KafkaError`."""
        deliveries = []
        for element in elements:
            event = _rejected(place, element, now_ms())
            log.error("element is no row", id=event.id, detail=event.data.detail)
            value = msgspec.json.encode([event])
            deliveries.append(await self._producer.send(self._topic, value, partition=place.partition))
        for delivery in deliveries:
            await delivery


def _rejected(place: TopicPartition, element: Malformed, at_ms: int) -> UsageRejected:
    where = f"{place.topic}-{place.partition}-{element.offset}" + ("" if element.index is None else f"-{element.index}")
    cut = f" (cut after {TEXT_BYTES_MAX} bytes)" if len(element.text) > TEXT_BYTES_MAX else ""
    rejection = Rejection(
        reason="malformed",
        detail=f"{where}: {element.detail}{cut}",
        rejected_at_ms=at_ms,
        stage="sink",
        event=element.text[:TEXT_BYTES_MAX].decode("utf-8", "replace"),
    )
    return UsageRejected(id=where, source="spendgate/sink", time=from_ms(at_ms), data=rejection)
