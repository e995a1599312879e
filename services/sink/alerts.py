"""The alerts feed: `spendgate.alert.raised.v1` to rows of `alerts`."""

from __future__ import annotations

from datetime import date
from typing import Final

import msgspec
from msgspec import Struct

from services.core.money import parse_usd
from services.sink.columns import DAY, F64, I64, INSTANT, LABEL, TEXT, U16, U64, Columns
from services.sink.feed import Feed


class Alert(Struct, gc=False):
    """An alert as it was told. A tolerant reader: newer services may know more kinds."""

    alert: str
    organization: str
    budget: str
    scope: str
    window: str
    threshold: str
    severity: str
    settled_usd: str
    limit_usd: str
    raised_at_ms: int
    ledger_partition: int
    ledger_offset: int
    kind: str = "threshold"
    probability: float | None = None
    projected_usd: str | None = None
    expected_on: date | None = None


class AlertRaised(Struct, gc=False, tag_field="type", tag="spendgate.alert.raised.v1"):
    data: Alert


class AlertRow(Struct, gc=False):
    """An alert as its table has it."""

    alert: str
    kind: str
    organization: str
    budget: str
    scope: str
    window: str
    threshold: str
    severity: str
    settled_nanousd: int
    limit_nanousd: int
    probability: float | None
    projected_nanousd: int | None
    expected_on: date | None
    raised_at_ms: int
    ledger_partition: int
    ledger_offset: int


COLUMNS: Final[Columns] = {
    "alert": TEXT,
    "kind": LABEL,
    "organization": LABEL,
    "budget": LABEL,
    "scope": TEXT,
    "window": LABEL,
    "threshold": LABEL,
    "severity": LABEL,
    "settled_nanousd": I64,
    "limit_nanousd": I64,
    "probability": F64,
    "projected_nanousd": I64,
    "expected_on": DAY,
    "raised_at": INSTANT,
    "ledger_partition": U16,
    "ledger_offset": U64,
}

_decode_many = msgspec.json.Decoder(list[AlertRaised]).decode
_decode_one = msgspec.json.Decoder(AlertRaised).decode


def _row(event: AlertRaised) -> AlertRow:
    alert = event.data
    return AlertRow(
        alert=alert.alert,
        kind=alert.kind,
        organization=alert.organization,
        budget=alert.budget,
        scope=alert.scope,
        window=alert.window,
        threshold=alert.threshold,
        severity=alert.severity,
        settled_nanousd=parse_usd(alert.settled_usd),
        limit_nanousd=parse_usd(alert.limit_usd),
        probability=alert.probability,
        projected_nanousd=None if alert.projected_usd is None else parse_usd(alert.projected_usd),
        expected_on=alert.expected_on,
        raised_at_ms=alert.raised_at_ms,
        ledger_partition=alert.ledger_partition,
        ledger_offset=alert.ledger_offset,
    )


ALERTS: Final[Feed[AlertRow]] = Feed(
    topic="alerts",
    table="alerts",
    columns=COLUMNS,
    time="raised_at",
    many=lambda value: [_row(event) for event in _decode_many(value)],
    one=lambda element: _row(_decode_one(element)),
)
