"""What one transaction writes: the effects of a stretch of the ledger as Kafka messages, topic by topic."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import TypeAlias

import msgspec

from services.adapters.topics import TopicName
from services.core.effects import POSITION_KEY, Effects
from services.core.escrow import ENFORCER_KEY
from services.core.events import Event, from_ms
from services.core.outcomes import (
    Alert,
    AlertRaised,
    AuditEntry,
    AuditRecorded,
    Charge,
    ChargePosted,
    Rejection,
    UsageRejected,
)

Message: TypeAlias = tuple[bytes | None, bytes | None]
Messages: TypeAlias = dict[TopicName, list[Message]]

SOURCE = "spendgate/aggregator"
MAX_EVENTS = 500
MAX_BYTES = 512 * 1024

_encode = msgspec.json.Encoder().encode
# All charges of a ledger record carry the same instant.
_instant = lru_cache(maxsize=256)(from_ms)


def encode(effects: Effects) -> Messages:
    """The messages of one transaction, `#position` last of its topic; a None value removes its key.

    A pure function of the effects: an audit that folds the same records writes the same bytes.
    """
    assert effects.position is not None, "effects without a position change nothing and need no transaction"
    balances: list[Message] = [(key.encode(), _value(balance)) for key, balance in effects.balances.items()]
    balances += [(f"{ENFORCER_KEY}{name}".encode(), _value(found)) for name, found in effects.enforcers.items()]
    balances.append((POSITION_KEY.encode(), _encode(effects.position)))
    messages: Messages = {
        "balances": balances,
        "policies": [(key.encode(), _encode(entry)) for key, entry in effects.policies.items()],
        "seen": [(b"%d" % offset, _value(record)) for offset, record in effects.seen.items()],
        "charges": _records(map(_charge_posted, effects.charges)),
        "alerts": _records(map(_alert_raised, effects.alerts)),
        "audit": _records(map(_audit_recorded, effects.audit)),
        "rejected": _records(map(_usage_rejected, effects.rejections)),
    }
    return {name: found for name, found in messages.items() if found}


def _value(value: msgspec.Struct | None) -> bytes | None:
    return None if value is None else _encode(value)


def _records(events: Iterable[Event]) -> list[Message]:
    return [(None, b"[" + b",".join(chunk) + b"]") for chunk in chunks(map(_encode, events))]


def chunks(
    encoded: Iterable[bytes], *, max_events: int = MAX_EVENTS, max_bytes: int = MAX_BYTES
) -> Iterator[Sequence[bytes]]:
    """Encoded events in groups small enough for one record; an event larger than that has a record of its own."""
    chunk: list[bytes] = []
    size = 0
    for event in encoded:
        if chunk and (len(chunk) == max_events or size + len(event) > max_bytes):
            yield chunk
            chunk, size = [], 0
        chunk.append(event)
        size += len(event) + 1
    if chunk:
        yield chunk


def _charge_posted(charge: Charge) -> ChargePosted:
    return ChargePosted(id=charge.charge, source=SOURCE, time=_instant(charge.recorded_at_ms), data=charge)


def _alert_raised(alert: Alert) -> AlertRaised:
    return AlertRaised(id=alert.alert, source=SOURCE, time=_instant(alert.raised_at_ms), data=alert)


def _audit_recorded(entry: AuditEntry) -> AuditRecorded:
    return AuditRecorded(id=entry.entry, source=SOURCE, time=_instant(entry.at_ms), data=entry)


def _usage_rejected(rejection: Rejection) -> UsageRejected:
    place = f"{rejection.ledger_partition}-{rejection.ledger_offset}-{rejection.ledger_index}"
    return UsageRejected(id=place, source=SOURCE, time=_instant(rejection.rejected_at_ms), data=rejection)
