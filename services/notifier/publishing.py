"""Publishes what has ended: who was told of what is an event too."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import Final

import msgspec

from services.adapters import logs
from services.adapters.kafka import partition_for
from services.adapters.publisher import Publisher, RecordRefused
from services.adapters.settings import Settings
from services.adapters.topics import topic
from services.core.events import from_ms
from services.core.notification_events import Notification, NotificationSent
from services.notifier.outbox import Outbox

SOURCE: Final = "spendgate/notifier"
AT_ONCE: Final = 500
LOOK_S: Final = 5.0
log = logs.logger(__name__)
_encode = msgspec.json.Encoder().encode


class Publishing:
    """Delivers however long that takes; after a crash some come twice, and are known by their ids."""

    def __init__(self, settings: Settings, publisher: Publisher, outbox: Outbox, ended: asyncio.Event) -> None:
        self._settings, self._publisher, self._outbox, self._ended = settings, publisher, outbox, ended

    async def run(self) -> None:
        """Publish until cancelled."""
        await self._publisher.connect()
        while True:
            self._ended.clear()
            while untold := await self._outbox.call(self._outbox.untold, AT_ONCE):
                await self._publish(untold)
            try:
                await asyncio.wait_for(self._ended.wait(), LOOK_S)
            except TimeoutError:
                continue

    async def _publish(self, notifications: list[Notification]) -> None:
        partitions = self._publisher.partitions
        assert partitions is not None, "the publisher has connected"
        by_partition: defaultdict[int, list[Notification]] = defaultdict(list)
        for each in notifications:
            by_partition[partition_for(each.organization, partitions)].append(each)
        for partition, members in by_partition.items():
            record = b"[" + b",".join(_encode(_event(each)) for each in members) + b"]"
            try:
                await self._publisher.deliver(topic(self._settings, "notifications"), partition, record)
            except RecordRefused as error:
                log.error("notifications cannot be published", reason=str(error), count=len(members))
        await self._outbox.call(self._remember, notifications)

    def _remember(self, notifications: list[Notification]) -> None:
        with self._outbox.step({}):
            self._outbox.published(notifications)


def _event(notification: Notification) -> NotificationSent:
    return NotificationSent(
        id=notification.notification, source=SOURCE, time=from_ms(notification.at_ms), data=notification
    )
