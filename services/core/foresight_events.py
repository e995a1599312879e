"""Forecasts and anomalies on the wire: structs to write and read, the twins of `schemas.foresight`."""

from __future__ import annotations

from datetime import date
from typing import Literal

from msgspec import Struct

from services.core.events import Event


class FanPoint(Struct, frozen=True, kw_only=True, gc=False):
    """Spending from the start of the window to the end of a day: the middle, and the 80% interval."""

    day: date
    low_nanousd: int
    mid_nanousd: int
    high_nanousd: int


class BudgetRisk(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """How likely a budget is to be exceeded, and when; no date: it is not expected to be."""

    budget: str
    limit_nanousd: int
    probability: float
    exhausted_on: date | None = None


class Forecast(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The total that a scope is expected to spend in a window, with its 80% interval, as of the start of a day."""

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
    fan: list[FanPoint] = []
    risks: list[BudgetRisk] = []
    models: list[str] = []
    made_at_ms: int


class Contributor(Struct, frozen=True, kw_only=True, gc=False):
    """What moved: a value of a dimension, what it spent in the hour and what was expected of it."""

    dimension: str
    value: str
    observed_nanousd: int
    expected_nanousd: int


class Anomaly(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Spending of a scope that is not like its past; `anomaly` names the episode, so a replay finds the same one."""

    anomaly: str
    organization: str
    scope: str
    kind: Literal["spike", "shift", "ramp"]
    severity: Literal["info", "warning", "critical"]
    begins_ms: int
    hour_ms: int
    observed_nanousd: int
    expected_nanousd: int
    score: float
    contributors: list[Contributor] = []
    found_at_ms: int
    ledger_partition: int


class ForecastMade(Event, frozen=True, kw_only=True, tag="spendgate.forecast.made.v1"):
    data: Forecast


class AnomalyFound(Event, frozen=True, kw_only=True, tag="spendgate.anomaly.found.v1"):
    data: Anomaly
