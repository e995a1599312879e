"""The anomalies feed: `spendgate.anomaly.found.v1` to rows of `anomalies`, who moved as arrays."""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Struct

from services.sink.columns import F64, I64, INSTANT, LABEL, TEXT, Columns, many
from services.sink.feed import Feed


class Contributor(Struct, gc=False):
    """Who moved, and by how much."""

    dimension: str
    value: str
    observed_nanousd: int
    expected_nanousd: int


class Anomaly(Struct, gc=False):
    """An anomaly as it was told. A tolerant reader: newer forecasters may know more kinds."""

    anomaly: str
    organization: str
    scope: str
    kind: str
    severity: str
    begins_ms: int
    hour_ms: int
    observed_nanousd: int
    expected_nanousd: int
    score: float
    found_at_ms: int
    contributors: list[Contributor] = []


class AnomalyFound(Struct, gc=False, tag_field="type", tag="spendgate.anomaly.found.v1"):
    data: Anomaly


class AnomalyRow(Struct, gc=False):
    """An anomaly as its table has it."""

    anomaly: str
    organization: str
    scope: str
    kind: str
    severity: str
    begins_ms: int
    hour_ms: int
    observed_nanousd: int
    expected_nanousd: int
    score: float
    dimensions: list[str]
    values: list[str]
    values_observed: list[int]
    values_expected: list[int]
    found_at_ms: int


COLUMNS: Final[Columns] = {
    "anomaly": TEXT,
    "organization": LABEL,
    "scope": TEXT,
    "kind": LABEL,
    "severity": LABEL,
    "begins": INSTANT,
    "hour": INSTANT,
    "observed_nanousd": I64,
    "expected_nanousd": I64,
    "score": F64,
    "dimensions": many(TEXT),
    "values": many(TEXT),
    "values_observed": many(I64),
    "values_expected": many(I64),
    "found_at": INSTANT,
}

_decode_many = msgspec.json.Decoder(list[AnomalyFound]).decode
_decode_one = msgspec.json.Decoder(AnomalyFound).decode


def _row(event: AnomalyFound) -> AnomalyRow:
    found = event.data
    return AnomalyRow(
        anomaly=found.anomaly,
        organization=found.organization,
        scope=found.scope,
        kind=found.kind,
        severity=found.severity,
        begins_ms=found.begins_ms,
        hour_ms=found.hour_ms,
        observed_nanousd=found.observed_nanousd,
        expected_nanousd=found.expected_nanousd,
        score=found.score,
        dimensions=[each.dimension for each in found.contributors],
        values=[each.value for each in found.contributors],
        values_observed=[each.observed_nanousd for each in found.contributors],
        values_expected=[each.expected_nanousd for each in found.contributors],
        found_at_ms=found.found_at_ms,
    )


ANOMALIES: Final[Feed[AnomalyRow]] = Feed(
    topic="anomalies",
    table="anomalies",
    columns=COLUMNS,
    time="begins",
    many=lambda value: [_row(event) for event in _decode_many(value)],
    one=lambda element: _row(_decode_one(element)),
)
