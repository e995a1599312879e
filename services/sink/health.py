"""What the sink knows of its own health: the facts behind `/readyz` and the metrics of each feed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from services.adapters import logs
from services.adapters.metrics import Metrics
from services.adapters.topics import TopicName
from services.adapters.web import Readiness

log = logs.logger(__name__)


@dataclass(slots=True)
class Health:
    """Troubles by where they are (`clickhouse`, `kafka`, a partition): each stays until the place reports it over."""

    metrics: Metrics
    partitions: int | None = None
    _troubles: dict[str, str] = field(default_factory=dict)

    def trouble(self, where: str, reason: str) -> None:
        """Something does not work; it is tried again, and rows wait meanwhile. Logged when it is news."""
        if self._troubles.get(where) != reason:
            log.warning("waiting", where=where, reason=reason)
        self._troubles[where] = reason

    def over(self, where: str) -> None:
        """It works (again)."""
        if self._troubles.pop(where, None) is not None:
            log.info("going on", where=where)

    def assigned(self, partitions: int) -> None:
        """The group has given out its partitions; troubles with the earlier ones are no longer this worker's."""
        self.partitions = partitions
        self._troubles.clear()

    def readiness(self) -> Readiness:
        """Ready means: a member of the group, and rows arrive. A worker with no partitions is a ready stand-by."""
        detail: Mapping[str, Any] = {"partitions": self.partitions, "waiting_for": dict(self._troubles)}
        return Readiness(self.partitions is not None and not self._troubles, detail)

    def stored(self, topic: TopicName, rows: int, seconds: float) -> None:
        """An insert was acknowledged."""
        self.metrics.counter("spendgate_sink_rows_total", topic=topic).inc(rows)
        self.metrics.histogram("spendgate_sink_insert_seconds", topic=topic).observe(seconds)

    def failed(self, topic: TopicName) -> None:
        """An insert was not acknowledged."""
        self.metrics.counter("spendgate_sink_failed_inserts_total", topic=topic).inc()

    def rejected(self, topic: TopicName, elements: int) -> None:
        """Elements that are no rows were put aside."""
        self.metrics.counter("spendgate_sink_rejected_total", topic=topic).inc(elements)

    def lag(self, topic: TopicName, partition: int, offsets: int) -> None:
        """How many offsets wait in Kafka."""
        self.metrics.gauge("spendgate_sink_lag_offsets", topic=topic, partition=str(partition)).set(offsets)
