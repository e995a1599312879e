"""One ledger partition, opened: fenced, restored, checked against the ledger, then folded batch by batch."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Self

from services.adapters import logs
from services.adapters.clock import monotonic_ms
from services.aggregator.changelog import encode
from services.aggregator.errors import LedgerGap, LedgerMissing
from services.aggregator.restore import Ends, ends, restore
from services.aggregator.settings import AggregatorSettings
from services.aggregator.transaction import UNKNOWN, Writer
from services.core.effects import Effects
from services.core.fold import fold
from services.core.pricing import PriceBook
from services.core.record import Record
from services.core.state import LedgerState

log = logs.logger(__name__)


@dataclass(frozen=True, slots=True)
class Parked:
    """The state of a partition that was revoked, and where its changelog ended: good for as long as it still does."""

    state: LedgerState
    changelog_end: int


@dataclass(slots=True)
class Partition:
    """A partition that this worker may write. After any error it is unusable: the process must end."""

    number: int
    generation: int
    state: LedgerState
    writer: Writer
    _closed: bool = False
    # The state is ahead of what was committed: it may be neither written from nor kept.
    _spoilt: bool = False
    _busy: asyncio.Lock = field(default_factory=asyncio.Lock)

    @classmethod
    async def open(
        cls,
        settings: AggregatorSettings,
        number: int,
        prices: PriceBook,
        *,
        generation: int,
        parked: Parked | None = None,
    ) -> Self:
        """Fence, restore, check: in this order, so that nothing can be written behind what was read.

        `generation`: the assignment it is opened for. `parked`: what we had of it before a rebalance; used instead of
        the changelogs if nobody has written since. Raises `LedgerMissing` when state and ledger do not fit together.
        """
        started_ms = monotonic_ms()
        writer = await Writer.fence(settings, number)
        try:
            found = await ends(settings, number)
            kept = parked is not None and parked.changelog_end == found.changelog_end
            state = parked.state if parked is not None and kept else await restore(settings, number, prices)
            _check(number, state.position.offset, found)
        except BaseException:
            await writer.close()
            raise
        writer.changelog_end = found.changelog_end
        # A million balances never become garbage together: spare every later collection from visiting them.
        gc.freeze()
        log.info(
            "partition opened",
            partition=number,
            position=state.position.offset,
            balances=len(state.tables),
            kept=kept,
            took_ms=monotonic_ms() - started_ms,
        )
        return cls(number, generation, state, writer)

    async def apply(self, records: Sequence[Record]) -> Effects:
        """Fold records and commit what follows; those at or below the position are skipped.

        Records that come after `close` are dropped: the next holder reads them again. Raises `LedgerGap` before
        anything is applied beyond a gap, `KafkaError` when the transaction fails.
        """
        async with self._busy:
            done = Effects()
            if self._closed:
                return done
            try:
                for effects in self._fold(records):
                    assert effects.position is not None
                    await self.writer.commit(encode(effects), offset=effects.position.offset)
                    done.absorb(effects)
            except BaseException:
                self._spoilt = self._closed = True
                raise
            return done

    async def close(self) -> Parked | None:
        """Finish the transaction in hand, then let go; what to remember in case the partition comes back."""
        async with self._busy:
            self._closed = True
            await self.writer.close()
            end = self.writer.changelog_end
            return None if self._spoilt or end == UNKNOWN else Parked(self.state, end)

    def _fold(self, records: Sequence[Record]) -> Iterator[Effects]:
        """The effects of the records, cut into transactions of bounded size."""
        limit = self.writer.settings.transaction_charges
        batch = Effects()
        for record in records:
            position = self.state.position.offset
            if record.offset <= position:
                continue
            if record.offset != position + 1:
                raise LedgerGap(self.number, position=position, offset=record.offset)
            batch.absorb(fold(self.state, record))
            if len(batch.charges) >= limit:
                yield batch
                batch = Effects()
        if batch.position is not None:
            yield batch


def _check(number: int, position: int, found: Ends) -> None:
    if not found.ledger_first <= position + 1 <= found.ledger_end:
        raise LedgerMissing(number, position=position, first=found.ledger_first, end=found.ledger_end)
