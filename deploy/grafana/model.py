"""A dashboard in our own words: rows of panels, what each asks and how it is shown."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Kind = Literal["stat", "gauge", "timeseries", "table"]
Unit = Literal["currencyUSD", "percentunit", "short", "none", "s", "reqps", "ops", "bytes", "dateTimeAsIso"]
Shape = Literal["timeseries", "table"]

GRID_WIDTH = 24
"""Grafana's columns."""


@dataclass(frozen=True, slots=True)
class Sql:
    """A question to ClickHouse: the text as Grafana gets it, with the macros of its plugin.

    `timeseries` has a column `time`, ascending, perhaps names, and figures; `table` is shown as it comes.
    """

    text: str
    shape: Shape = "table"


@dataclass(frozen=True, slots=True)
class Prom:
    """A question to Prometheus, and what its series are called."""

    expr: str
    legend: str = ""


Target = Sql | Prom


@dataclass(frozen=True, slots=True)
class Step:
    """From this value on, figures have this colour."""

    value: float
    color: str


UTILIZATION = (Step(0.8, "yellow"), Step(0.9, "orange"), Step(1.0, "red"))
"""The tiers of a budget: warn, pace, block."""
ANY_IS_BAD = (Step(1e-9, "orange"),)
"""Zero is what it should be."""


@dataclass(frozen=True, slots=True)
class Column:
    """How a column or series is shown that is unlike the rest of its panel."""

    name: str
    unit: Unit | None = None
    color: str | None = None
    dashed: bool = False
    gauge: bool = False
    steps: tuple[Step, ...] = ()
    decimals: int | None = None
    fill_below_to: str | None = None


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture. `says` is what a reader finds behind the (i): what is counted, and what is not."""

    title: str
    says: str
    kind: Kind
    targets: tuple[Target, ...]
    width: int
    height: int = 8
    unit: Unit = "short"
    decimals: int | None = None
    steps: tuple[Step, ...] = ()
    columns: tuple[Column, ...] = ()
    stacked: bool = False
    least_interval: str | None = None
    """The finest that the data is: hourly roll-ups make no points of a minute."""
    link: str | None = None
    """A path of the console where the reader goes on."""


@dataclass(frozen=True, slots=True)
class Row:
    """Panels under one heading, laid from left to right, wrapped at the grid's width."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True)
class Variable:
    """A choice at the top of a dashboard. Its query gives values, or values and what people read instead.

    `everything`: all may be chosen at once, which is then the default. Without a query people type the value.
    """

    name: str
    label: str
    query: str = ""
    multi: bool = False
    everything: bool = False
    default: str = ""


@dataclass(frozen=True, slots=True)
class Dashboard:
    """A page of Grafana. The `uid` is in people's bookmarks: it never changes."""

    uid: str
    title: str
    says: str
    rows: tuple[Row, ...]
    variables: tuple[Variable, ...] = ()
    since: str = "now-7d"
    refresh: str = "1m"

    def panels(self) -> Iterator[Panel]:
        """All panels, in reading order."""
        for row in self.rows:
            yield from row.panels
