"""What the aggregator refused lately, by where it stood in the ledger: for those who wait to hear what became of it."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Final

import msgspec

from services.adapters.clock import now_ms
from services.adapters.kafka import tail
from services.adapters.settings import Settings
from services.core.outcomes import Rejection, UsageRejected

KEPT: Final = 4_096
Place = tuple[int, int]
_decode = msgspec.json.Decoder(list[UsageRejected]).decode


class Refusals:
    """Follows the rejections from now on; the latest are kept."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._found: dict[Place, Rejection] = {}
        self._changed = asyncio.Condition()

    async def of(self, place: Place, *, wait_s: float) -> Rejection | None:
        """Why the event at (partition, offset) of the ledger was refused; None when nobody says so in time."""
        try:
            async with asyncio.timeout(wait_s), self._changed:
                await self._changed.wait_for(lambda: place in self._found)
        except TimeoutError:
            return None
        return self._found[place]

    async def follow(self) -> None:
        """Run until cancelled."""
        async with aclosing(tail(self._settings, ["rejected"], since_ms={"rejected": now_ms()})) as batches:
            async for batch in batches:
                values = [r.value for records in batch.records.values() for r in records if r.value is not None]
                async with self._changed:
                    for value in values:
                        self._take(value)
                    self._changed.notify_all()

    def _take(self, value: bytes) -> None:
        try:
            events = _decode(value)
        except msgspec.MsgspecError:
            return  # of a newer release: nobody here waits for it
        for rejection in (event.data for event in events):
            if rejection.ledger_partition is not None and rejection.ledger_offset is not None:
                self._found[rejection.ledger_partition, rejection.ledger_offset] = rejection
        while len(self._found) > KEPT:
            del self._found[next(iter(self._found))]
