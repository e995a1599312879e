"""The catalog of event types: which model says what each means, where it travels, and who may write it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from schemas import events
from schemas.envelope import CloudEvent
from schemas.topics import Service, TopicName

TYPE = re.compile(r"(?P<family>spendgate(\.[a-z]+)+)\.v(?P<version>[1-9][0-9]*)")


@dataclass(frozen=True, slots=True)
class EventType:
    """One version of one kind of event. `producers` are services; edges and people reach the ledger through them."""

    name: str
    model: type[CloudEvent]
    topic: TopicName
    producers: tuple[Service, ...]

    @property
    def family(self) -> str:
        """The name without its version: `spendgate.usage.recorded`."""
        return self._match["family"]

    @property
    def version(self) -> int:
        """1 for `.v1`."""
        return int(self._match["version"])

    @property
    def _match(self) -> re.Match[str]:
        match = TYPE.fullmatch(self.name)
        assert match, f"{self.name} is not spendgate.<thing>.<past tense>.v<number>"
        return match


def _type(model: type[CloudEvent], topic: TopicName, *producers: Service) -> EventType:
    return EventType(model.type_name(), model, topic, producers)


_TYPES = (
    _type(events.UsageRecorded, "ledger", "ingest", "enforcer"),
    _type(events.ReservationExpired, "ledger", "enforcer"),
    _type(events.UsageCorrected, "ledger", "ingest"),
    _type(events.PolicyChanged, "ledger", "ingest"),
    _type(events.BoostGranted, "ledger", "ingest"),
    _type(events.BudgetMoved, "ledger", "ingest", "steward"),
    _type(events.BudgetCarried, "ledger", "steward"),
    _type(events.PolicyProposed, "ledger", "ingest"),
    _type(events.BoostRequested, "ledger", "ingest"),
    _type(events.ProposalReviewed, "ledger", "ingest"),
    _type(events.AlertAcknowledged, "ledger", "ingest", "notifier", "console"),
    _type(events.AllowanceClaimed, "ledger", "enforcer"),
    _type(events.EnforcerAlive, "ledger", "enforcer"),
    _type(events.EnforcerForgotten, "ledger", "ingest"),
    _type(events.ChargePosted, "charges", "aggregator"),
    _type(events.DecisionMade, "decisions", "enforcer"),
    _type(events.AlertRaised, "alerts", "aggregator", "forecaster"),
    _type(events.ForecastMade, "forecasts", "forecaster"),
    _type(events.AnomalyFound, "anomalies", "forecaster"),
    _type(events.AuditRecorded, "audit", "aggregator"),
    _type(events.NotificationSent, "notifications", "notifier"),
    _type(events.UsageRejected, "rejected", "ingest", "aggregator"),
)

CATALOG: Mapping[str, EventType] = MappingProxyType({event_type.name: event_type for event_type in _TYPES})
"""Every event type by its name."""

EDGE_TYPES = frozenset({events.UsageRecorded.type_name()})
"""What a gateway may send as an event; all else goes through a route that knows who may do it."""
