"""What the aggregator counts and times for /metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import get_args

from services.adapters.metrics import CounterName, Metrics
from services.core.effects import Count, Effects, Exposure
from services.core.record import Record

EXPOSURES: Mapping[Exposure, CounterName] = {
    "unreserved": "spendgate_overspend_unreserved_nanousd_total",
    "overdrawn": "spendgate_overspend_overdrawn_nanousd_total",
    "reclaimed": "spendgate_overspend_reclaimed_nanousd_total",
    "shrunk": "spendgate_overspend_shrunk_nanousd_total",
}
"""The bound on what was ever spent above hard limits: with all of these at zero, nothing was."""


class Meter:
    """The bound metrics of one worker.

    Counters begin at zero: one that is born with its first count hides that from Prometheus' `increase`.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._transaction = metrics.histogram("spendgate_aggregator_batch_seconds")
        self._delay = metrics.histogram("spendgate_aggregator_delay_seconds")
        self._counts = {
            outcome: metrics.counter("spendgate_aggregator_events_total", outcome=outcome)
            for outcome in get_args(Count)
        }
        self._exposed = {why: metrics.counter(name) for why, name in EXPOSURES.items()}

    def applied(
        self, partition: int, effects: Effects, records: Sequence[Record], *, started_ms: int, ended_ms: int
    ) -> None:
        """A batch was committed. The delay runs from the broker's append of its oldest record."""
        for outcome, count in effects.counts.items():
            self._counts[outcome].inc(count)
        for why, amount in effects.exposed.items():
            self._exposed[why].inc(amount)
        if effects.position is not None:
            position = self._metrics.gauge("spendgate_aggregator_position", partition=str(partition))
            position.set(effects.position.offset)
        self._transaction.observe((ended_ms - started_ms) / 1000)
        self._delay.observe(max(0, ended_ms - records[0].appended_at_ms) / 1000)
