"""What has been counted already: event names and reservations within the horizon, so that each counts once."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import msgspec
from msgspec import Struct

from services.core.events import Dimensions


class Settlement(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """What a reservation has been charged so far.

    `dimensions` and `counted` (balance keys) are set while it is unconfirmed: the final usage corrects the balances in
    which the estimate was counted, whatever it says itself, and whatever policy is in force by then. `offset` names the
    ledger record that said so last.
    """

    cost_nanousd: int
    final: bool
    offset: int
    reserved_at_ms: int
    dimensions: Dimensions | None = None
    counted: tuple[str, ...] = ()


class SeenRecord(Struct, kw_only=True, gc=False, omit_defaults=True):
    """Everything one ledger record added: the changelog's value, keyed by the record's offset."""

    forget_after_ms: int
    events: dict[str, dict[str, list[str]]] = {}
    """Ids by organization and source."""
    reservations: dict[str, Settlement] = {}

    def note(self, organization: str, source: str, event_id: str) -> None:
        """Add an event."""
        sources = self.events.get(organization)
        if sources is None:
            sources = self.events[organization] = {}
        ids = sources.get(source)
        if ids is None:
            sources[source] = [event_id]
        else:
            ids.append(event_id)

    def named(self) -> Iterator[tuple[tuple[str, str], list[str]]]:
        """The ids by organization and source."""
        for organization, sources in self.events.items():
            for source, ids in sources.items():
                yield (organization, source), ids

    @property
    def empty(self) -> bool:
        """Whether the record added nothing."""
        return not self.events and not self.reservations


_decode = msgspec.json.Decoder(SeenRecord).decode


def owned(organization: str, name: str) -> str:
    """A name that senders choose, as one organization's own: nobody can spend or block a name of another's."""
    return f"{len(organization)}:{organization}{name}"


class Seen:
    """The seen table of one ledger partition. Records leave in the order in which they came."""

    def __init__(self) -> None:
        self._events: dict[tuple[str, str], set[str]] = {}
        self._reservations: dict[str, Settlement] = {}
        self._records: deque[tuple[int, SeenRecord]] = deque()

    def __len__(self) -> int:
        return sum(map(len, self._events.values()))

    def event(self, organization: str, source: str, event_id: str) -> bool:
        """Whether the event was counted."""
        ids = self._events.get((organization, source))
        return ids is not None and event_id in ids

    def reservation(self, organization: str, reservation: str) -> Settlement | None:
        """What the reservation was charged, if anything."""
        return self._reservations.get(owned(organization, reservation))

    def note_event(self, record: SeenRecord, organization: str, source: str, event_id: str) -> None:
        """Remember an event as counted."""
        ids = self._events.get((organization, source))
        if ids is None:
            ids = self._events[organization, source] = set()
        ids.add(event_id)
        record.note(organization, source, event_id)

    def note_reservation(self, record: SeenRecord, organization: str, reservation: str, settlement: Settlement) -> None:
        """Remember what a reservation has been charged, replacing what was known."""
        reservation = owned(organization, reservation)
        self._reservations[reservation] = record.reservations[reservation] = settlement

    def close(self, offset: int, record: SeenRecord) -> None:
        """Keep a finished record until its time to be forgotten."""
        assert not self._records or self._records[-1][0] < offset, "seen records must come in ledger order"
        self._records.append((offset, record))

    def restore(self, offset: int, value: bytes) -> None:
        """Load one changelog entry; entries must come in ledger order, those already removed left out."""
        record = _decode(value)
        for named, ids in record.named():
            self._events.setdefault(named, set()).update(ids)
        self._reservations.update(record.reservations)
        self.close(offset, record)

    def forget(self, clock_ms: int) -> list[int]:
        """Drop the records whose time has come; their offsets."""
        forgotten = []
        while self._records and self._records[0][1].forget_after_ms < clock_ms:
            offset, record = self._records.popleft()
            for named, ids in record.named():
                known = self._events[named]
                known.difference_update(ids)
                if not known:
                    del self._events[named]
            for reservation in record.reservations:
                latest = self._reservations.get(reservation)
                if latest is not None and latest.offset == offset:
                    del self._reservations[reservation]
            forgotten.append(offset)
        return forgotten
