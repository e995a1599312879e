"""The past of a ledger partition: folded up to an instant or an offset, by the same fold, and no further."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias
from zoneinfo import ZoneInfo

from services.core.fold import fold
from services.core.period import PeriodError, parse_instant
from services.core.record import Record
from services.core.state import LedgerState

_PLACE: Final = re.compile(r"([0-9]{1,9}):([0-9]{1,18})")


@dataclass(frozen=True, slots=True)
class Instant:
    """All that the ledger's clock had reached by then, UTC milliseconds."""

    at_ms: int


@dataclass(frozen=True, slots=True)
class Place:
    """All up to this record of a partition, itself included: what `status` calls `ledger 2:17`."""

    partition: int
    offset: int


Mark: TypeAlias = Instant | Place
"""Where the past that is asked for ends."""


def parse_mark(text: str, zone: ZoneInfo) -> Mark:
    """`2:17`, or an instant as `parse_instant` takes it: of `zone`, unless it has an offset. Raises PeriodError."""
    if place := _PLACE.fullmatch(text):
        return Place(int(place[1]), int(place[2]))
    try:
        return Instant(parse_instant(text, zone))
    except PeriodError as error:
        raise PeriodError(f"{error}, or a place in the ledger as PARTITION:OFFSET, 2:17") from error


@dataclass(slots=True)
class Past:
    """A partition's state, growing from the ledger's beginning until `mark` is reached.

    The ledger's clock never goes back, although the broker's may: so what it had reached by an instant is a prefix of
    the ledger, and ends before the first record that was appended later.
    """

    state: LedgerState
    mark: Mark
    records: int = 0
    events: int = 0
    size_bytes: int = 0
    complete: bool = field(default=False, init=False)
    """Whether a record was seen that is not of this past any more, or the last that is."""

    def __post_init__(self) -> None:
        if isinstance(self.mark, Place) and self.mark.partition != self.state.partition:
            raise ValueError(f"{self.mark} is not a place in partition {self.state.partition}")

    def take(self, records: Sequence[Record]) -> None:
        """Fold what comes next in the ledger, as far as it belongs to this past."""
        for record in records:
            if self.complete or self._is_later(record):
                self.complete = True
                return
            effects = fold(self.state, record)
            self.records += 1
            self.events += effects.counts.total()
            self.size_bytes += len(record.value)
            self.complete = isinstance(self.mark, Place) and record.offset >= self.mark.offset

    @property
    def now_ms(self) -> int:
        """What time it was then: the instant, or at a place the ledger's clock."""
        return self.mark.at_ms if isinstance(self.mark, Instant) else self.state.position.clock_ms

    def _is_later(self, record: Record) -> bool:
        if isinstance(self.mark, Instant):
            return record.appended_at_ms > self.mark.at_ms
        return record.offset > self.mark.offset
