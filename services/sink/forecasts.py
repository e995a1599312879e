"""The forecasts feed: `spendgate.forecast.made.v1` to rows of `forecasts`, a fan and its risks as arrays."""

from __future__ import annotations

from datetime import date
from typing import Final

import msgspec
from msgspec import Struct

from services.sink.columns import DAY, F64, I64, INSTANT, LABEL, TEXT, Columns, many
from services.sink.feed import Feed


class FanPoint(Struct, gc=False):
    """Spending up to the end of a day."""

    day: date
    low_nanousd: int
    mid_nanousd: int
    high_nanousd: int


class Risk(Struct, gc=False):
    """How likely a budget is to be exceeded."""

    budget: str
    limit_nanousd: int
    probability: float
    exhausted_on: date | None = None


class Forecast(Struct, gc=False):
    """A forecast as it was told. A tolerant reader: newer forecasters may say more."""

    forecast: str
    organization: str
    scope: str
    window: str
    as_of: date
    begins: date
    ends: date
    spent_nanousd: int
    total_nanousd: int
    low_nanousd: int
    high_nanousd: int
    made_at_ms: int
    fan: list[FanPoint] = []
    risks: list[Risk] = []
    models: list[str] = []


class ForecastMade(Struct, gc=False, tag_field="type", tag="spendgate.forecast.made.v1"):
    data: Forecast


class ForecastRow(Struct, gc=False):
    """A forecast as its table has it: what is nested there lies in arrays of equal length."""

    forecast: str
    organization: str
    scope: str
    window: str
    as_of: date
    begins: date
    ends: date
    spent_nanousd: int
    total_nanousd: int
    low_nanousd: int
    high_nanousd: int
    fan_days: list[date]
    fan_low: list[int]
    fan_mid: list[int]
    fan_high: list[int]
    risk_budgets: list[str]
    risk_limits: list[int]
    risk_chances: list[float]
    risk_days: list[date | None]
    models: list[str]
    made_at_ms: int


COLUMNS: Final[Columns] = {
    "forecast": TEXT,
    "organization": LABEL,
    "scope": TEXT,
    "window": LABEL,
    "as_of": DAY,
    "begins": DAY,
    "ends": DAY,
    "spent_nanousd": I64,
    "total_nanousd": I64,
    "low_nanousd": I64,
    "high_nanousd": I64,
    "fan_days": many(DAY),
    "fan_low": many(I64),
    "fan_mid": many(I64),
    "fan_high": many(I64),
    "risk_budgets": many(TEXT),
    "risk_limits": many(I64),
    "risk_chances": many(F64),
    "risk_days": many(DAY),
    "models": many(TEXT),
    "made_at": INSTANT,
}

_decode_many = msgspec.json.Decoder(list[ForecastMade]).decode
_decode_one = msgspec.json.Decoder(ForecastMade).decode


def _row(event: ForecastMade) -> ForecastRow:
    made = event.data
    fan, risks = made.fan, made.risks
    return ForecastRow(
        forecast=made.forecast,
        organization=made.organization,
        scope=made.scope,
        window=made.window,
        as_of=made.as_of,
        begins=made.begins,
        ends=made.ends,
        spent_nanousd=made.spent_nanousd,
        total_nanousd=made.total_nanousd,
        low_nanousd=made.low_nanousd,
        high_nanousd=made.high_nanousd,
        fan_days=[point.day for point in fan],
        fan_low=[point.low_nanousd for point in fan],
        fan_mid=[point.mid_nanousd for point in fan],
        fan_high=[point.high_nanousd for point in fan],
        risk_budgets=[risk.budget for risk in risks],
        risk_limits=[risk.limit_nanousd for risk in risks],
        risk_chances=[risk.probability for risk in risks],
        risk_days=[risk.exhausted_on for risk in risks],
        models=made.models,
        made_at_ms=made.made_at_ms,
    )


FORECASTS: Final[Feed[ForecastRow]] = Feed(
    topic="forecasts",
    table="forecasts",
    columns=COLUMNS,
    time="made_at",
    many=lambda value: [_row(event) for event in _decode_many(value)],
    one=lambda element: _row(_decode_one(element)),
)
