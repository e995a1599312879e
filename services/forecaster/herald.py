"""Tells others: events to their topics, each organization's in its partition, returning once Kafka has them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import msgspec

from services.adapters.kafka import partition_for
from services.adapters.publisher import Publisher
from services.adapters.settings import Settings
from services.adapters.topics import TopicName, topic
from services.core.events import Event, from_ms
from services.core.foresight_events import Anomaly, AnomalyFound, Forecast, ForecastMade
from services.core.outcomes import Alert, AlertRaised
from services.forecaster.health import Health

SOURCE: Final = "spendgate/forecaster"
RECORD_BYTES: Final = 512 << 10
_encode = msgspec.json.Encoder().encode


class Herald:
    """Delivers however long that takes. What was told twice, after a restart, is known by its id."""

    def __init__(self, settings: Settings, publisher: Publisher, health: Health) -> None:
        self._settings, self._publisher, self._health = settings, publisher, health

    def partition_of(self, organization: str) -> int:
        """Where all that concerns an organization is told; once the publisher has connected."""
        assert self._publisher.partitions is not None, "the publisher has connected"
        return partition_for(organization, self._publisher.partitions)

    async def tell_forecasts(self, organization: str, forecasts: Sequence[Forecast]) -> None:
        """To `forecasts`."""
        events = (
            ForecastMade(id=each.forecast, source=SOURCE, time=from_ms(each.made_at_ms), data=each)
            for each in forecasts
        )
        await self._tell("forecasts", organization, events)
        self._health.told(forecasts=len(forecasts))

    async def tell_alerts(self, organization: str, alerts: Sequence[Alert]) -> None:
        """To `alerts`."""
        events = (
            AlertRaised(id=each.alert, source=SOURCE, time=from_ms(each.raised_at_ms), data=each) for each in alerts
        )
        await self._tell("alerts", organization, events)
        self._health.told(alerts=len(alerts))

    async def tell_anomaly(self, event_id: str, anomaly: Anomaly) -> None:
        """To `anomalies`; the id of the event says whether it is the first one of this anomaly."""
        event = AnomalyFound(id=event_id, source=SOURCE, time=from_ms(anomaly.found_at_ms), data=anomaly)
        await self._tell("anomalies", anomaly.organization, [event])
        self._health.told(anomalies=1)

    async def _tell(self, name: TopicName, organization: str, events: Iterable[Event]) -> None:
        partition = self.partition_of(organization)
        for record in _records(map(_encode, events)):
            await self._publisher.deliver(topic(self._settings, name), partition, record)


def _records(encoded: Iterable[bytes]) -> Iterator[bytes]:
    """JSON arrays of bounded size; an event larger than that has a record of its own."""
    waiting: list[bytes] = []
    size = 0
    for event in encoded:
        if waiting and size + len(event) > RECORD_BYTES:
            yield b"[" + b",".join(waiting) + b"]"
            waiting, size = [], 0
        waiting.append(event)
        size += len(event) + 1
    if waiting:
        yield b"[" + b",".join(waiting) + b"]"
