"""A budget that is expected to be exceeded is told once a crossing, whatever restarts and wavers."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.foresight_events import BudgetRisk, Forecast
from services.core.outcomes import Alert
from services.forecaster.crossings import Crossings

USD = 1_000_000_000
LIMIT = 20 * USD


def forecast(probability: float, *, window: str = "month:2026-11", scope: str = "org:acme") -> Forecast:
    return Forecast(
        forecast=f"{scope}@{window}/2026-11-24",
        organization="acme",
        scope=scope,
        window=window,
        as_of=date(2026, 11, 24),
        begins=date(2026, 11, 1),
        ends=date(2026, 12, 1),
        spent_nanousd=10 * USD,
        total_nanousd=25 * USD,
        low_nanousd=24 * USD,
        high_nanousd=26 * USD,
        risks=[
            BudgetRisk(budget="company", limit_nanousd=LIMIT, probability=probability, exhausted_on=date(2026, 11, 28))
        ],
        made_at_ms=7,
    )


@dataclass(slots=True)
class Topic:
    """The topic of alerts, and forecasters that come and go."""

    alerts: list[Alert] = field(default_factory=list)
    crossings: Crossings = field(default_factory=lambda: Crossings(above=0.8, below=0.6))

    def look(self, probability: float, spent: int = 10 * USD, **what: str) -> list[Alert]:
        made = forecast(probability, **what)
        due = self.crossings.look([made], {made.forecast: spent}, partition=1, offset=9)
        self.alerts += due
        self.crossings.told(due)
        return due

    def restart(self) -> None:
        self.crossings = Crossings(above=0.8, below=0.6)
        for alert in self.alerts:
            self.crossings.restore(alert)

    @property
    def names(self) -> list[str]:
        return [alert.alert for alert in self.alerts]


FIRST = "company/org:acme@month:2026-11/projection"


def test_the_alert_says_how_likely_how_much_and_when() -> None:
    (alert,) = Topic().look(0.9, 12 * USD)
    assert (alert.alert, alert.kind, alert.severity, alert.threshold) == (FIRST, "projection", "warning", "1.0")
    assert (alert.settled_usd, alert.limit_usd, alert.projected_usd) == ("12.00", "20.00", "25.00")
    assert (alert.probability, alert.expected_on) == (0.9, date(2026, 11, 28))
    assert (alert.ledger_partition, alert.ledger_offset, alert.raised_at_ms) == (1, 9, 7)
    assert Topic().look(0.95)[0].severity == "critical"


@pytest.mark.parametrize(
    ("probabilities", "told"),
    [
        ([0.79, 0.8, 0.9, 0.99], 1),
        ([0.8, 0.7, 0.9], 1),  # it wavered above the lower threshold
        ([0.8, 0.6, 0.9], 1),
        ([0.8, 0.59, 0.7, 0.9], 2),
        ([0.8, 0.1, 0.9, 0.1, 0.9], 3),
        ([0.79, 0.6, 0.0], 0),
    ],
)
def test_it_is_told_again_only_after_it_had_passed(probabilities: list[float], told: int) -> None:
    topic = Topic()
    for probability in probabilities:
        topic.look(probability)
    assert topic.names == [FIRST, f"{FIRST}/2", f"{FIRST}/3"][:told]


def test_a_limit_that_is_reached_needs_no_prophecy() -> None:
    topic = Topic()
    assert topic.look(1.0, spent=LIMIT) == []
    assert topic.look(1.0, spent=LIMIT - 1) != []


def test_each_window_and_scope_is_a_matter_of_its_own() -> None:
    topic = Topic()
    topic.look(0.9)
    topic.look(0.9, window="month:2026-12")
    topic.look(0.9, window="month:2026-12", scope="org:acme/project:search")
    topic.look(0.9, window="month:2026-12")
    assert len(topic.names) == len(set(topic.names)) == 3


def test_what_was_not_delivered_is_told_again_under_the_same_name() -> None:
    crossings, made = Crossings(above=0.8, below=0.6), forecast(0.9)
    first = crossings.look([made], {made.forecast: 0}, partition=0, offset=0)
    second = crossings.look([made], {made.forecast: 0}, partition=0, offset=0)
    assert first == second != []


def test_long_names_make_short_ids_that_differ() -> None:
    topic = Topic()
    for letter in "ab":
        topic.look(0.9, scope="org:" + letter * 300)
    assert len(set(topic.names)) == 2
    assert all(len(name) <= 256 for name in topic.names)


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), max_size=30))
def test_no_name_is_told_twice_however_often_it_restarts(story: list[tuple[float, bool]]) -> None:
    topic, steady = Topic(), Topic()
    for probability, restarts in story:
        if restarts:
            topic.restart()
        topic.look(probability)
        steady.look(probability)
    assert len(topic.names) == len(set(topic.names))
    assert topic.names == steady.names[: len(topic.names)]
