"""All that live pages show, kept up to date from the topics. Pure: it is given records, and the time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

import msgspec

from services.console.books import Book, Books
from services.console.feed import Answer, Feed
from services.console.pulse import Pulse
from services.core.decision import DecisionMade
from services.core.foresight_events import AnomalyFound, ForecastMade
from services.core.outcomes import AlertRaised, ChargePosted

DAY_MS: Final = 86_400_000
UNREADABLE: Final = (msgspec.MsgspecError, ValueError, KeyError, RecursionError)
"""What a record that cannot be read raises: it is passed over, told of, and ends nothing."""

ACKNOWLEDGED: Final = "alert.acknowledged"


class _Entry(msgspec.Struct, gc=False):
    """An audit entry, of whichever action: a newer aggregator may know more of them."""

    action: str
    subject: str
    by: str
    at_ms: int
    organization: str | None = None
    reason: str = ""


class _Recorded(msgspec.Struct, gc=False):
    data: _Entry


_decode_audit = msgspec.json.Decoder(list[_Recorded]).decode
_decode_charges = msgspec.json.Decoder(list[ChargePosted]).decode
_decode_alerts = msgspec.json.Decoder(list[AlertRaised]).decode
_decode_anomalies = msgspec.json.Decoder(list[AnomalyFound]).decode
_decode_forecasts = msgspec.json.Decoder(list[ForecastMade]).decode
_decode_decisions = msgspec.json.Decoder(list[DecisionMade]).decode


class TopicRecord(Protocol):
    """What is needed of a Kafka record."""

    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def offset(self) -> int: ...


class Board:
    """The state behind every live page. `version` grows with all that changes it."""

    def __init__(self) -> None:
        self.books = Books()
        self.pulse = Pulse()
        self.feed = Feed()
        self.version = 0
        self.unreadable: dict[str, int] = {}
        """Records that could not be read, by topic."""
        self._takers: Mapping[str, Callable[[int, TopicRecord, int], None]] = {
            "balances": self._take_balance,
            "policies": self._take_policy,
            "charges": self._take_charges,
            "alerts": self._take_alerts,
            "audit": self._take_audit,
            "anomalies": self._take_anomalies,
            "forecasts": self._take_forecasts,
            "decisions": self._take_decisions,
        }

    @property
    def organizations(self) -> list[str]:
        """Every organization that has spent anything lately or has a policy."""
        return sorted(self.books.by_organization)

    def book(self, organization: str) -> Book:
        """The balances and the policy of one organization."""
        return self.books.book(organization)

    def take(self, topic: str, partition: int, records: Sequence[TopicRecord], now_ms: int) -> list[str]:
        """Apply records of one partition of a topic. What is wrong with those that cannot be read, in words."""
        take, problems = self._takers[topic], []
        for record in records:
            try:
                take(partition, record, now_ms)
            except UNREADABLE as error:
                self.unreadable[topic] = self.unreadable.get(topic, 0) + 1
                problems.append(f"{topic} {partition}:{record.offset}: {type(error).__name__}: {error}")
        if records:
            self.version += 1
        self.pulse.forget(now_ms)
        self.books.forget(now_ms)
        return problems

    def _take_balance(self, partition: int, record: TopicRecord, now_ms: int) -> None:
        if record.key is not None:
            self.books.take_balance(partition, record.key, record.value, now_ms)

    def _take_policy(self, _partition: int, record: TopicRecord, _now_ms: int) -> None:
        if record.value is not None:
            self.books.take_policy(record.value)

    def _take_charges(self, _partition: int, record: TopicRecord, _now_ms: int) -> None:
        for event in _decode_charges(record.value or b"[]"):
            self.pulse.take(event.data)

    def _take_alerts(self, _partition: int, record: TopicRecord, _now_ms: int) -> None:
        for event in _decode_alerts(record.value or b"[]"):
            self.feed.take_alert(event.data)

    def _take_audit(self, _partition: int, record: TopicRecord, _now_ms: int) -> None:
        for event in _decode_audit(record.value or b"[]"):
            entry = event.data
            if entry.action == ACKNOWLEDGED and entry.organization is not None:
                answer = Answer(by=entry.by, note=entry.reason, at_ms=entry.at_ms)
                self.feed.take_answer(entry.organization, entry.subject, answer)

    def _take_anomalies(self, _partition: int, record: TopicRecord, _now_ms: int) -> None:
        for event in _decode_anomalies(record.value or b"[]"):
            self.feed.take_anomaly(event.data)

    def _take_forecasts(self, _partition: int, record: TopicRecord, _now_ms: int) -> None:
        for event in _decode_forecasts(record.value or b"[]"):
            self.feed.take_forecast(event.data)

    def _take_decisions(self, _partition: int, record: TopicRecord, _now_ms: int) -> None:
        for event in _decode_decisions(record.value or b"[]"):
            self.feed.take_decision(event.data)
