"""Reads what people are to hear of, and who has answered: each record's consequences and its offset in one step."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import aclosing
from typing import Final

import msgspec
from aiokafka.errors import KafkaError

from services.adapters import logs
from services.adapters.clock import now_ms
from services.adapters.kafka import Record, TailBatch, tail
from services.adapters.settings import Settings
from services.adapters.topics import TopicName, TopicsError
from services.core.events import Acknowledgement, AlertAcknowledged
from services.core.foresight_events import AnomalyFound
from services.core.notifying import Notice, of_alert, of_anomaly, plan
from services.core.outcomes import AlertRaised
from services.notifier.book import Book
from services.notifier.health import Health
from services.notifier.outbox import Outbox
from services.notifier.outbox import Position as Place

RETRY_S: Final = 1.0
FORECASTS_SINCE_MS: Final = 2 * 86_400_000
ACKNOWLEDGED: Final = str(AlertAcknowledged.__struct_config__.tag).encode()
EVENTS: Final[Sequence[TopicName]] = ("alerts", "anomalies", "ledger")
log = logs.logger(__name__)
_split = msgspec.json.Decoder(list[msgspec.Raw]).decode


class _Type(msgspec.Struct):
    type: str = ""


_alert = msgspec.json.Decoder(AlertRaised).decode
_anomaly = msgspec.json.Decoder(AnomalyFound).decode
_acknowledged = msgspec.json.Decoder(AlertAcknowledged).decode
_type = msgspec.json.Decoder(_Type).decode


class Reading:
    """Follows policies, forecasts, alerts, anomalies and acknowledgements; `wake` is told when there may be work."""

    def __init__(
        self,
        settings: Settings,
        outbox: Outbox,
        book: Book,
        health: Health,
        wake: Callable[[], None],
        *,
        within_ms: int,
    ) -> None:
        """A notice that was raised longer than `within_ms` ago is not told any more."""
        self._settings, self._outbox, self._book, self._health = settings, outbox, book, health
        self._wake, self._within_ms = wake, within_ms
        self._known = asyncio.Event()

    async def follow_book(self) -> None:
        """Follow policies and forecasts until cancelled; when reading breaks, it begins again."""
        while True:
            try:
                since_ms: Mapping[TopicName, int] = {"forecasts": now_ms() - FORECASTS_SINCE_MS}
                async with aclosing(tail(self._settings, ["policies", "forecasts"], since_ms=since_ms)) as batches:
                    async for batch in batches:
                        self._book.take_policies(_values(batch, "policies"))
                        self._book.take_forecasts(_values(batch, "forecasts"))
                        if batch.caught_up:
                            self._known.set()
                            self._health.over("policies")
            except (KafkaError, TopicsError, OSError) as error:
                self._health.trouble("policies", str(error) or repr(error))
                await asyncio.sleep(RETRY_S)

    async def follow_events(self) -> None:
        """Once the policies are known: plan for what is new, and take note of answers, until cancelled."""
        await self._known.wait()
        while True:
            try:
                since = await self._outbox.call(self._outbox.positions)
                since_ms: Mapping[TopicName, int] = {
                    name: now_ms() - self._within_ms for name in EVENTS if not any(place == name for place, _ in since)
                }
                places = {(name, p): at for name in EVENTS for (place, p), at in since.items() if place == name}
                async with aclosing(tail(self._settings, EVENTS, since_ms=since_ms, since=places)) as batches:
                    async for batch in batches:
                        await self._take(batch)
                        if batch.caught_up:
                            self._health.over("events")
            except (KafkaError, TopicsError, OSError) as error:
                self._health.trouble("events", str(error) or repr(error))
                await asyncio.sleep(RETRY_S)

    async def _take(self, batch: TailBatch) -> None:
        found: dict[Place, list[Notice | Acknowledgement]] = {
            place: list(self._events(place[0], records)) for place, records in batch.records.items() if records
        }
        if not found:
            return
        await self._look_up({partition for (_, partition), events in found.items() if any(map(self._is_new, events))})
        positions = {place: batch.records[place][-1].offset + 1 for place in found}
        await self._outbox.call(self._keep, found, positions)
        self._wake()

    def _is_new(self, event: Notice | Acknowledgement) -> bool:
        return isinstance(event, Notice) and not self._book.contacts(event.organization)

    async def _look_up(self, partitions: Collection[int]) -> None:
        """Read the policies of these partitions to their ends of now: what raised a notice is among them.

        They come by another way than notices do, and a plan that is made for nobody is never made again.
        """
        if not partitions:
            return
        async with aclosing(tail(self._settings, ["policies"], partitions=partitions)) as batches:
            async for batch in batches:
                self._book.take_policies(_values(batch, "policies"))
                if batch.caught_up:
                    return

    def _keep(self, found: Mapping[Place, Sequence[Notice | Acknowledgement]], positions: Mapping[Place, int]) -> None:
        planned: list[int] = []
        with self._outbox.step(positions):
            # Answers first: whatever was answered by now need not go any further.
            for _, events in sorted(found.items(), key=lambda item: item[0][0] != "ledger"):
                for event in events:
                    if isinstance(event, Notice):
                        planned += self._plan(event)
                    else:
                        self._outbox.answer(event.organization, event.alert, event.by, now_ms())
        for count in planned:
            self._health.planned(count)

    def _plan(self, notice: Notice) -> list[int]:
        if self._outbox.knows(notice.id) or now_ms() - notice.raised_at_ms > self._within_ms:
            return []
        deliveries = plan(notice, self._book.contacts(notice.organization))
        self._outbox.plan(notice, deliveries)
        by = self._outbox.answered_by(notice.organization, notice.id)
        if by is not None:
            self._outbox.answer(notice.organization, notice.id, by, now_ms())
        return [len(deliveries)]

    def _events(self, name: TopicName, records: Sequence[Record]) -> Iterator[Notice | Acknowledgement]:
        """Each event by itself: one that a newer service wrote must not hide those beside it."""
        for record in records:
            value = record.value or b"[]"
            if name == "ledger" and ACKNOWLEDGED not in value:
                continue
            try:
                elements = _split(value)
            except msgspec.MsgspecError:
                elements = []  # in the ledger it is a rejection; elsewhere nobody of ours writes such
                self._health.unreadable()
            for element in elements:
                try:
                    event = _event(name, element)
                except (msgspec.MsgspecError, ValueError) as error:
                    self._health.unreadable()
                    log.warning("an event cannot be read", topic=name, offset=record.offset, reason=str(error))
                    continue
                if event is not None:
                    yield event


def _event(name: TopicName, element: msgspec.Raw) -> Notice | Acknowledgement | None:
    if name == "alerts":
        return of_alert(_alert(element).data)
    if name == "anomalies":
        return of_anomaly(_anomaly(element).data)
    if _type(element).type.encode() != ACKNOWLEDGED:
        return None
    return _acknowledged(element).data


def _values(batch: TailBatch, name: TopicName) -> list[bytes | None]:
    return [record.value for (place, _), records in batch.records.items() if place == name for record in records]
