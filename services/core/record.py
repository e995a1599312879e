"""A ledger record and its events: decoded at once when all is well, one by one when something is not."""

from __future__ import annotations

import json
from dataclasses import dataclass

import msgspec

from services.core.ledger_event import LedgerEvent

_MAX_KEPT_BYTES = 65_536

_decode_record = msgspec.json.Decoder(list[LedgerEvent]).decode
_event_decoder: msgspec.json.Decoder[LedgerEvent] = msgspec.json.Decoder(LedgerEvent)
_split_record = msgspec.json.Decoder(list[msgspec.Raw]).decode


@dataclass(frozen=True, slots=True)
class Record:
    """One Kafka record of the ledger: a JSON array of CloudEvents, with the broker's append time."""

    partition: int
    offset: int
    appended_at_ms: int
    value: bytes


@dataclass(frozen=True, slots=True)
class Malformed:
    """An event that could not be read: as it came (bounded), and why."""

    detail: str
    event: str


def read_events(record: Record) -> list[LedgerEvent | Malformed]:
    """The events of a record in order; never raises, whatever the bytes are."""
    try:
        return list(_decode_record(record.value))
    except (msgspec.DecodeError, RecursionError):
        pass
    try:
        return [_read_event(raw) for raw in _split(record.value)]
    except (ValueError, RecursionError) as error:
        return [Malformed(f"the record is not a JSON array of events: {error}", _text(record.value))]


def original_event(record: Record, index: int) -> str:
    """The JSON text of one event of a record, as it came (bounded)."""
    return _text(_split(record.value)[index])


def _split(value: bytes) -> list[bytes]:
    """A record's events as JSON, each by itself. Raises ValueError or RecursionError when it is not a JSON array."""
    try:
        return [bytes(raw) for raw in _split_record(value)]
    except msgspec.DecodeError:
        # Python's own parser takes a few things that msgspec does not, such as half a surrogate pair: whatever one
        # event has of these, the others beside it must count.
        events = json.loads(value)
        if not isinstance(events, list):
            raise
        return [json.dumps(event).encode() for event in events]


def _read_event(raw: bytes) -> LedgerEvent | Malformed:
    try:
        return _event_decoder.decode(raw)
    except (msgspec.DecodeError, RecursionError) as error:
        return Malformed(str(error), _text(raw))


def _text(raw: bytes) -> str:
    return raw[:_MAX_KEPT_BYTES].decode("utf-8", errors="replace")
