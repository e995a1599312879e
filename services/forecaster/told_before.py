"""Reads back which projections were told before: the topic of alerts is the only memory of them that there is."""

from __future__ import annotations

from contextlib import aclosing

import msgspec

from services.adapters import logs
from services.adapters.kafka import tail
from services.adapters.settings import Settings
from services.core.outcomes import AlertRaised
from services.forecaster.crossings import Crossings
from services.forecaster.health import Health

log = logs.logger(__name__)
_split = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode = msgspec.json.Decoder(AlertRaised).decode


async def read_told(settings: Settings, crossings: Crossings, health: Health) -> None:
    """Give all alerts that Kafka still has to `crossings`. Waits for a broker that is away; raises `KafkaError`."""
    async with aclosing(tail(settings, ["alerts"])) as batches:
        async for batch in batches:
            for records in batch.records.values():
                for record in records:
                    _take(record.value or b"[]", crossings, health)
            if batch.caught_up:
                health.over("alerts")
                return


def _take(value: bytes, crossings: Crossings, health: Health) -> None:
    """Each alert by itself: one that a newer service wrote must not hide those beside it."""
    try:
        elements = _split(value)
    except msgspec.MsgspecError as error:
        _unreadable(error, health)
        return
    for element in elements:
        try:
            crossings.restore(_decode(element).data)
        except msgspec.MsgspecError as error:
            _unreadable(error, health)


def _unreadable(error: Exception, health: Health) -> None:
    health.unreadable()
    log.warning("an alert cannot be read", reason=str(error))
