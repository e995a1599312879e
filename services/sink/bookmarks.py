"""What the consumer group has committed for a partition, metadata included: the sink's whole memory."""

from __future__ import annotations

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from services.sink.ranges import Bookmark


class Bookmarks:
    """Reads commits through the admin API, because a consumer only tells the offset."""

    def __init__(self, kafka: str, group_id: str) -> None:
        self._kafka = kafka
        self._group_id = group_id

    async def read(self, place: TopicPartition) -> Bookmark:
        """The bookmark of one partition. Raises aiokafka's `KafkaError`."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self._kafka, request_timeout_ms=15_000)
        try:
            await admin.start()
            found = await admin.list_consumer_group_offsets(self._group_id, partitions=[place])
        finally:
            await admin.close()
        committed = found.get(place)
        return Bookmark(None) if committed is None else Bookmark.read(committed.offset, committed.metadata)
