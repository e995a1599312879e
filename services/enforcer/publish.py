"""Publishes decisions: every denial and warning, and a sample of the rest. A check never waits for it."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import msgspec
from prometheus_client import Counter

from services.adapters import logs
from services.adapters.lane import as_array
from services.adapters.ledger import parcels
from services.adapters.metrics import Metrics
from services.adapters.publisher import Publisher, RecordRefused
from services.core.decide import Action
from services.core.decision import Decision, DecisionMade
from services.core.events import Event
from services.enforcer.sample import Sample

LINGER_S = 0.1
_TAG: Final = str(DecisionMade.__struct_config__.tag)
log = logs.logger(__name__)
_encode = msgspec.json.Encoder().encode


class _Made(Event, frozen=True, kw_only=True, gc=False, tag=_TAG):
    """A `DecisionMade` whose data is encoded already."""

    data: msgspec.Raw


class Decisions:
    """A bounded buffer of decisions on their way to Kafka; when it is full, new ones are dropped and counted."""

    def __init__(
        self, publisher: Publisher, topic: str, source: str, metrics: Metrics, *, sample: Sample, buffer_max: int
    ) -> None:
        self._publisher, self._topic, self._source = publisher, topic, source
        self._sample, self._max = sample, buffer_max
        self._buffer: defaultdict[int, deque[bytes]] = defaultdict(deque)
        self._buffered = 0
        self._finishing = asyncio.Event()
        self._published = metrics.counter("spendgate_decisions_published_total")
        self._dropped = metrics.counter("spendgate_decisions_dropped_total")

    def offer(self, decision: Decision, encoded: bytes | None = None) -> None:
        """Publish a decision if it is a denial, warns, or is in the sample; `encoded` is its JSON, if made already.

        A brief one is none of these, or it would not be brief.
        """
        if decision.detail == "brief":
            return
        if decision.action is Action.ALLOW and not decision.warnings and not self._sample.has(decision.decision):
            return
        if self._buffered >= self._max:
            self._dropped.inc()
            return
        data = msgspec.Raw(encoded or _encode(decision))
        event = _Made(id=decision.decision, source=self._source, time=decision.decided_at, data=data)
        self._buffer[decision.ledger.partition].append(_encode(event))
        self._buffered += 1

    async def run(self) -> None:
        """Deliver what is offered, until `finish` is called."""
        while not self._finishing.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._finishing.wait(), LINGER_S)
            await self._deliver()
        await self._deliver()  # what came while the last was on its way

    def finish(self) -> None:
        """Let `run` deliver what is left, and end."""
        self._finishing.set()

    async def _deliver(self) -> None:
        """Everything in the buffer; it leaves when it is delivered, so that what waits for Kafka fills the buffer."""
        for partition, waiting in list(self._buffer.items()):
            for parcel, _size in parcels(list(waiting)):
                counter = await self._send(partition, parcel)
                counter.inc(len(parcel))
                self._buffered -= len(parcel)
                for _ in parcel:
                    waiting.popleft()

    async def _send(self, partition: int, parcel: Sequence[bytes]) -> Counter:
        """Deliver a parcel; the counter of what became of it."""
        try:
            await self._publisher.deliver(self._topic, partition, as_array(parcel))
        except RecordRefused as error:
            log.error("Kafka never takes these decisions, they are dropped", reason=str(error), decisions=len(parcel))
            return self._dropped
        return self._published
