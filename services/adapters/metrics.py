"""Every metric that Spendgate exports, defined once, and the registry that a process renders them from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeVar, cast

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

Family = TypeVar("Family", Counter, Gauge, Histogram)
CONTENT_TYPE = "text/plain; version=1.0.0; charset=utf-8"
LATENCY_BUCKETS_S = (0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)

CounterName = Literal[
    "spendgate_http_requests_total",
    "spendgate_http_failures_total",
    "spendgate_grpc_requests_total",
    "spendgate_rpc_requests_total",
    "spendgate_rpc_failures_total",
    "spendgate_rpc_refused_connections_total",
    "spendgate_ingest_events_total",
    "spendgate_ledger_appends_total",
    "spendgate_spool_drained_events_total",
    "spendgate_aggregator_events_total",
    "spendgate_sink_rows_total",
    "spendgate_sink_failed_inserts_total",
    "spendgate_sink_rejected_total",
    "spendgate_forecaster_forecasts_total",
    "spendgate_forecaster_alerts_total",
    "spendgate_forecaster_anomalies_total",
    "spendgate_forecaster_failures_total",
    "spendgate_forecaster_unreadable_total",
    "spendgate_notifier_notices_total",
    "spendgate_notifier_deliveries_total",
    "spendgate_notifier_unreadable_total",
    "spendgate_notifications_total",
    "spendgate_steward_moves_total",
    "spendgate_steward_failures_total",
    "spendgate_steward_unreadable_total",
    "spendgate_denials_total",
    "spendgate_throttles_total",
    "spendgate_decisions_published_total",
    "spendgate_decisions_dropped_total",
    "spendgate_reservations_closed_total",
    "spendgate_overspend_unreserved_nanousd_total",
    "spendgate_overspend_overdrawn_nanousd_total",
    "spendgate_overspend_reclaimed_nanousd_total",
    "spendgate_overspend_shrunk_nanousd_total",
    "spendgate_overspend_overrun_nanousd_total",
    "spendgate_overruns_total",
    "spendgate_claims_total",
    "spendgate_claims_unanswered_total",
]
GaugeName = Literal[
    "spendgate_ready",
    "spendgate_rpc_connections",
    "spendgate_spool_bytes",
    "spendgate_clock_ahead_seconds",
    "spendgate_spool_events",
    "spendgate_spool_aside_records",
    "spendgate_aggregator_position",
    "spendgate_aggregator_balances",
    "spendgate_sink_lag_offsets",
    "spendgate_forecaster_scopes",
    "spendgate_reservations",
    "spendgate_standings",
    "spendgate_shares",
    "spendgate_shares_nanousd",
    "spendgate_lease_age_seconds",
    "spendgate_enforcers_alive",
]
HistogramName = Literal[
    "spendgate_http_request_seconds",
    "spendgate_rpc_request_seconds",
    "spendgate_ledger_append_seconds",
    "spendgate_claim_wait_seconds",
    "spendgate_aggregator_batch_seconds",
    "spendgate_aggregator_delay_seconds",
    "spendgate_sink_insert_seconds",
    "spendgate_forecaster_seconds",
    "spendgate_notifier_attempt_seconds",
]
MetricName = CounterName | GaugeName | HistogramName


@dataclass(frozen=True, slots=True)
class Definition:
    """What a metric says, and the labels that split it. Labels never carry an organization, user or other open set."""

    says: str
    labels: tuple[str, ...] = ()


DEFINITIONS: Mapping[MetricName, Definition] = {
    "spendgate_http_requests_total": Definition("HTTP requests answered.", ("route", "status")),
    "spendgate_http_failures_total": Definition("HTTP requests that failed by a defect of ours.", ("route",)),
    "spendgate_http_request_seconds": Definition("Time to answer an HTTP request.", ("route",)),
    "spendgate_grpc_requests_total": Definition("Envoy's checks over gRPC answered, by HTTP status.", ("status",)),
    "spendgate_rpc_requests_total": Definition("RPC calls answered.", ("method", "status")),
    "spendgate_rpc_failures_total": Definition("RPC calls that failed by a defect of ours."),
    "spendgate_rpc_request_seconds": Definition("Time to answer an RPC call.", ("method",)),
    "spendgate_rpc_refused_connections_total": Definition("RPC connections closed by the enforcer, by why.", ("code",)),
    "spendgate_rpc_connections": Definition("RPC connections open."),
    "spendgate_ingest_events_total": Definition("Events received by ingest, by fate.", ("fate",)),
    "spendgate_ledger_appends_total": Definition("Events made durable, by where.", ("durability",)),
    "spendgate_ledger_append_seconds": Definition("Time until events were durable."),
    "spendgate_clock_ahead_seconds": Definition("What this machine's clock is ahead of the ledger's by."),
    "spendgate_spool_bytes": Definition("Bytes of events that wait on disk for Kafka."),
    "spendgate_spool_events": Definition("Events that wait on disk for Kafka."),
    "spendgate_spool_aside_records": Definition("Records that Kafka never takes, kept in the spool's table `aside`."),
    "spendgate_spool_drained_events_total": Definition("Events moved from the spool to Kafka."),
    "spendgate_aggregator_events_total": Definition("Events of the ledger applied, by outcome.", ("outcome",)),
    "spendgate_aggregator_position": Definition("Last ledger offset applied and committed.", ("partition",)),
    "spendgate_aggregator_balances": Definition("Live balances held in memory, by level.", ("level",)),
    "spendgate_aggregator_batch_seconds": Definition("Time to fold a batch and commit its transaction."),
    "spendgate_aggregator_delay_seconds": Definition("Time from an event's append to the commit of what follows."),
    "spendgate_sink_rows_total": Definition("Rows stored in ClickHouse.", ("topic",)),
    "spendgate_sink_failed_inserts_total": Definition("Inserts that ClickHouse did not acknowledge.", ("topic",)),
    "spendgate_sink_rejected_total": Definition("Elements of the topics that are no rows.", ("topic",)),
    "spendgate_sink_lag_offsets": Definition("Offsets that wait in Kafka.", ("topic", "partition")),
    "spendgate_sink_insert_seconds": Definition("Time until ClickHouse acknowledged an insert.", ("topic",)),
    "spendgate_forecaster_forecasts_total": Definition("Forecasts told: new ones, and those that have changed."),
    "spendgate_forecaster_alerts_total": Definition("Alerts of budgets that are expected to be exceeded."),
    "spendgate_forecaster_anomalies_total": Definition(
        "Anomalies told, those that have become worse again among them."
    ),
    "spendgate_forecaster_failures_total": Definition("Organizations not looked at by a defect of ours.", ("stage",)),
    "spendgate_forecaster_unreadable_total": Definition("Policies and alerts that the forecaster could not read."),
    "spendgate_forecaster_scopes": Definition("Scopes that are looked at.", ("stage",)),
    "spendgate_forecaster_seconds": Definition("Time to look at one organization.", ("stage",)),
    "spendgate_notifier_notices_total": Definition("Alerts and anomalies that were new to the notifier."),
    "spendgate_notifier_deliveries_total": Definition("What these led to: one for each channel that is to be told."),
    "spendgate_notifier_unreadable_total": Definition("Policies and events that the notifier could not read."),
    "spendgate_notifications_total": Definition("Deliveries that have ended: sent, or given up.", ("state",)),
    "spendgate_notifier_attempt_seconds": Definition("Time until a receiver answered, or did not.", ("taken",)),
    "spendgate_steward_moves_total": Definition("Moves of money asked for; the ledger decides whether they happen."),
    "spendgate_steward_failures_total": Definition("Policies that could not be looked at by a defect of ours."),
    "spendgate_steward_unreadable_total": Definition("Policies, balances and forecasts that could not be read."),
    "spendgate_denials_total": Definition("Requests denied, dry runs among them, by reason.", ("reason",)),
    "spendgate_throttles_total": Definition("Requests told to come again later, dry runs among them."),
    "spendgate_decisions_published_total": Definition("Decisions delivered to Kafka."),
    "spendgate_decisions_dropped_total": Definition("Decisions not published, because too many were waiting."),
    "spendgate_reservations_closed_total": Definition("Reservations ended, by how.", ("fate",)),
    "spendgate_overruns_total": Definition("Settlements that cost more than was reserved."),
    "spendgate_overspend_unreserved_nanousd_total": Definition(
        "Nano-dollars charged to budgets that block, through no share of them: reported afterwards, or never asked for."
    ),
    "spendgate_overspend_overdrawn_nanousd_total": Definition("Nano-dollars spent beyond a share that covered less."),
    "spendgate_overspend_reclaimed_nanousd_total": Definition(
        "Nano-dollars of shares taken back from enforcers that fell silent, which those may have spent all the same."
    ),
    "spendgate_overspend_shrunk_nanousd_total": Definition(
        "Nano-dollars of shares that were beyond a limit when it was made smaller."
    ),
    "spendgate_overspend_overrun_nanousd_total": Definition(
        "Nano-dollars that settlements cost beyond what was reserved: the gateway broke its own cap."
    ),
    "spendgate_claims_total": Definition("Balances of which a share was claimed or given back, repetitions included."),
    "spendgate_claims_unanswered_total": Definition("Checks that were decided without the ledger's answer."),
    "spendgate_claim_wait_seconds": Definition("Time that checks waited for a share."),
    "spendgate_shares": Definition("Balances of which this enforcer has a share, or wants one."),
    "spendgate_shares_nanousd": Definition("What may still be reserved of the shares, over all balances."),
    "spendgate_lease_age_seconds": Definition("How old what the enforcer knows of a partition can be.", ("partition",)),
    "spendgate_enforcers_alive": Definition("Enforcers heard of lately in a partition.", ("partition",)),
    "spendgate_reservations": Definition("Reservations in flight."),
    "spendgate_standings": Definition("Balances held in memory."),
    "spendgate_ready": Definition("1 when the service is ready for traffic."),
}


class Metrics:
    """The metrics of one process. Names outside the literals above do not type-check.

    Each method returns the child for the given labels: bind it once, outside the hot path.
    """

    def __init__(self, *, process: bool = True) -> None:
        self.registry = CollectorRegistry()
        self._families: dict[MetricName, Counter | Gauge | Histogram] = {}
        if process:
            ProcessCollector(registry=self.registry)
            PlatformCollector(registry=self.registry)
            GCCollector(registry=self.registry)

    def counter(self, name: CounterName, **labels: str) -> Counter:
        """A counter, bound to these label values."""
        if name not in self._families:
            self._families[name] = Counter(name, *_described(name), registry=self.registry)
        return _child(cast(Counter, self._families[name]), labels)

    def gauge(self, name: GaugeName, **labels: str) -> Gauge:
        """A gauge, bound to these label values."""
        if name not in self._families:
            self._families[name] = Gauge(name, *_described(name), registry=self.registry)
        return _child(cast(Gauge, self._families[name]), labels)

    def histogram(self, name: HistogramName, **labels: str) -> Histogram:
        """A histogram of seconds, bound to these label values."""
        if name not in self._families:
            family = Histogram(
                name,
                *_described(name),
                registry=self.registry,
                buckets=LATENCY_BUCKETS_S,
            )
            self._families[name] = family
        return _child(cast(Histogram, self._families[name]), labels)

    def render(self) -> bytes:
        """The Prometheus text format."""
        return generate_latest(self.registry)


def _described(name: MetricName) -> tuple[str, tuple[str, ...]]:
    definition = DEFINITIONS[name]
    return definition.says, definition.labels


def _child(family: Family, labels: Mapping[str, str]) -> Family:
    return family.labels(**labels) if labels else family
