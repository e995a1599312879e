"""What Spendgate expects and what surprised it: forecasts of a window's spending, and anomalies of an hour's."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from schemas.envelope import Data
from schemas.fields import Count, Day, Identifier, InstantMs, Name, Nanousd
from schemas.outcomes import ScopeText, WindowLabel

Probability = Annotated[float, Field(ge=0, le=1)]
Text = Annotated[str, Field(max_length=256)]


class FanPoint(Data):
    """Spending from the start of the window to the end of a day: the middle, and the 80% interval."""

    day: Day
    low_nanousd: Nanousd
    mid_nanousd: Nanousd
    high_nanousd: Nanousd


class BudgetRisk(Data):
    """How likely a budget on this scope and window is to be exceeded, and when; no date: it is not expected to be."""

    budget: Identifier
    limit_nanousd: Nanousd
    probability: Probability
    exhausted_on: Day | None = None


class Forecast(Data):
    """The total that a scope is expected to spend in a window, with its 80% interval, as of the start of a day."""

    forecast: Name
    organization: Name
    scope: ScopeText
    window: WindowLabel
    as_of: Day
    begins: Day
    ends: Day
    spent_nanousd: Nanousd
    total_nanousd: Nanousd
    low_nanousd: Nanousd
    high_nanousd: Nanousd
    fan: Annotated[list[FanPoint], Field(max_length=400, default_factory=list)]
    risks: Annotated[list[BudgetRisk], Field(max_length=256, default_factory=list)]
    models: Annotated[list[Text], Field(max_length=32, default_factory=list)]
    made_at_ms: InstantMs


class Contributor(Data):
    """What moved: a value of a dimension, what it spent in the hour and what was expected of it."""

    dimension: Text
    value: Text
    observed_nanousd: Nanousd
    expected_nanousd: Nanousd


class Anomaly(Data):
    """Spending of a scope that is not like its past: since when, how much more, and who made it so."""

    anomaly: Name
    organization: Name
    scope: ScopeText
    kind: Literal["spike", "shift", "ramp"]
    severity: Literal["info", "warning", "critical"]
    begins_ms: InstantMs
    hour_ms: InstantMs
    observed_nanousd: Nanousd
    expected_nanousd: Nanousd
    score: Annotated[float, Field(ge=0, le=1e9)]
    contributors: Annotated[list[Contributor], Field(max_length=64, default_factory=list)]
    found_at_ms: InstantMs
    ledger_partition: Count
