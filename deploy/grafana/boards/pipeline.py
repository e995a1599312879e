"""Pipeline health: is everything up, is anything behind, is anything lost or refused."""

from __future__ import annotations

from deploy.grafana.model import ANY_IS_BAD, Dashboard, Panel, Prom, Row, Step, Unit


def _stat(title: str, says: str, expr: str, *, steps: tuple[Step, ...] = ANY_IS_BAD, unit: Unit = "short") -> Panel:
    return Panel(title, says, "stat", (Prom(expr),), 4, height=4, unit=unit, steps=steps)


def _lines(title: str, says: str, *targets: Prom, unit: Unit = "short", steps: tuple[Step, ...] = ()) -> Panel:
    return Panel(title, says, "timeseries", targets, 8, unit=unit, steps=steps)


def _rate(metric: str, by: str) -> str:
    return f"sum by ({by}) (rate({metric}[$__rate_interval]))"


def _quantile(quantile: str, metric: str, *by: str) -> str:
    among = ", ".join(("le", *by))
    return f"histogram_quantile({quantile}, sum by ({among}) (rate({metric}_bucket[$__rate_interval])))"


def _p99(metric: str, by: str) -> str:
    return _quantile("0.99", metric, by)


SUMMARY = Row(
    "Now",
    (
        _stat(
            "Processes down",
            "Processes that did not answer the last scrape.",
            'count(up{job=~"spendgate-.*"} == 0) or vector(0)',
        ),
        _stat(
            "Not ready",
            "Processes that answer and say that they cannot serve.",
            "count(spendgate_ready == 0) or vector(0)",
        ),
        _stat(
            "Rows waiting", "Offsets in Kafka that the sinks have not stored yet.", "sum(spendgate_sink_lag_offsets)"
        ),
        _stat("Events on disk", "Events that wait in spools for Kafka.", "sum(spendgate_spool_events)"),
        _stat(
            "Failed inserts",
            "Inserts that ClickHouse did not acknowledge in the chosen time; they are repeated.",
            "sum(increase(spendgate_sink_failed_inserts_total[$__range])) or vector(0)",
        ),
        _stat(
            "Defects",
            "Answers that failed by a defect of ours in the chosen time.",
            "sum(increase(spendgate_http_failures_total[$__range])) "
            "+ sum(increase(spendgate_rpc_failures_total[$__range]))",
        ),
    ),
)
PROCESSES = Row(
    "Processes",
    (
        _lines("Ready", "1 when a process is ready for traffic.", Prom("spendgate_ready", "{{job}} {{instance}}")),
        _lines(
            "Restarts",
            "How often each process began anew within the hour before.",
            Prom('changes(process_start_time_seconds{job=~"spendgate-.*"}[1h])', "{{job}} {{instance}}"),
            steps=ANY_IS_BAD,
        ),
        _lines(
            "Memory",
            "Resident memory by process.",
            Prom('process_resident_memory_bytes{job=~"spendgate-.*"}', "{{job}} {{instance}}"),
            unit="bytes",
        ),
        _lines(
            "Processor time",
            "Cores in use by process.",
            Prom('rate(process_cpu_seconds_total{job=~"spendgate-.*"}[$__rate_interval])', "{{job}} {{instance}}"),
        ),
        _lines(
            "Clock",
            "How far a machine's clock is ahead of the ledger's: leases and expiries go by the ledger's.",
            Prom("spendgate_clock_ahead_seconds", "{{job}} {{instance}}"),
            unit="s",
        ),
        _lines(
            "Answers by status",
            "HTTP answers of all services.",
            Prom(_rate("spendgate_http_requests_total", "status"), "{{status}}"),
            unit="reqps",
        ),
    ),
)
INTO_THE_LEDGER = Row(
    "Into the ledger",
    (
        _lines(
            "Events received",
            "By fate: accepted or rejected.",
            Prom(_rate("spendgate_ingest_events_total", "fate"), "{{fate}}"),
            unit="ops",
        ),
        _lines(
            "Made durable",
            "Events per second, by where: Kafka, or the spool when Kafka is away; and drained from there.",
            Prom(_rate("spendgate_ledger_appends_total", "durability"), "{{durability}}"),
            Prom("sum(rate(spendgate_spool_drained_events_total[$__rate_interval]))", "drained"),
            unit="ops",
        ),
        _lines(
            "Time until durable",
            "The 99th percentile, by service.",
            Prom(_p99("spendgate_ledger_append_seconds", "job"), "{{job}}"),
            unit="s",
        ),
        _lines(
            "Spool",
            "Bytes of events that wait on disk for Kafka, by process.",
            Prom("spendgate_spool_bytes", "{{job}} {{instance}}"),
            unit="bytes",
        ),
        _lines(
            "Set aside",
            "Records that Kafka never takes: look at the table `aside` of that spool.",
            Prom("spendgate_spool_aside_records", "{{job}} {{instance}}"),
            steps=ANY_IS_BAD,
        ),
        _lines(
            "Lease age",
            "How old what each enforcer knows of a partition can be; beyond `lease_ttl` it stops spending shares.",
            Prom("max by (instance, partition) (spendgate_lease_age_seconds)", "{{instance}} {{partition}}"),
            unit="s",
        ),
    ),
)
FOLD = Row(
    "The fold",
    (
        _lines(
            "Events applied",
            "Per second, by outcome; duplicates are dropped and counted here.",
            Prom(_rate("spendgate_aggregator_events_total", "outcome"), "{{outcome}}"),
            unit="ops",
        ),
        _lines(
            "Delay",
            "From an event's append to the commit of all that follows from it.",
            Prom(_quantile("0.5", "spendgate_aggregator_delay_seconds"), "p50"),
            Prom(_quantile("0.99", "spendgate_aggregator_delay_seconds"), "p99"),
            unit="s",
        ),
        _lines(
            "Batches",
            "Time to fold a batch and commit its transaction, the 99th percentile by process.",
            Prom(_p99("spendgate_aggregator_batch_seconds", "instance"), "{{instance}}"),
            unit="s",
        ),
        _lines(
            "Position",
            "Ledger offsets applied per second, by partition: a flat line while others move is a stalled partition.",
            Prom("max by (partition) (deriv(spendgate_aggregator_position[5m]))", "{{partition}}"),
        ),
        _lines(
            "Balances",
            "Live balances in memory, by level.",
            Prom("sum by (level) (spendgate_aggregator_balances)", "{{level}}"),
        ),
        _lines(
            "Enforcers alive",
            "Heard of lately, by partition.",
            Prom("max by (partition) (spendgate_enforcers_alive)", "{{partition}}"),
        ),
    ),
)
INTO_CLICKHOUSE = Row(
    "Into ClickHouse",
    (
        _lines(
            "Rows stored",
            "Per second, by topic.",
            Prom(_rate("spendgate_sink_rows_total", "topic"), "{{topic}}"),
            unit="ops",
        ),
        _lines(
            "Waiting in Kafka",
            "Offsets not stored yet, by topic.",
            Prom("sum by (topic) (spendgate_sink_lag_offsets)", "{{topic}}"),
        ),
        _lines(
            "Inserts",
            "Time until ClickHouse acknowledged, the 99th percentile; inserts that failed; elements that are no rows.",
            Prom(_p99("spendgate_sink_insert_seconds", "topic"), "p99 {{topic}}"),
            Prom(_rate("spendgate_sink_failed_inserts_total", "topic"), "failed per second {{topic}}"),
            Prom(_rate("spendgate_sink_rejected_total", "topic"), "rejected per second {{topic}}"),
        ),
    ),
)
FORECASTER = Row(
    "The forecaster",
    (
        _lines(
            "Told",
            "Forecasts, projections above a limit and anomalies told per hour.",
            Prom("sum(rate(spendgate_forecaster_forecasts_total[$__rate_interval])) * 3600", "forecasts"),
            Prom("sum(rate(spendgate_forecaster_alerts_total[$__rate_interval])) * 3600", "projections"),
            Prom("sum(rate(spendgate_forecaster_anomalies_total[$__rate_interval])) * 3600", "anomalies"),
        ),
        _lines(
            "Scopes looked at",
            "By stage: forecast for their windows, or watched hour by hour.",
            Prom("sum by (stage) (spendgate_forecaster_scopes)", "{{stage}}"),
        ),
        _lines(
            "Time for an organization",
            "The 99th percentile by stage, and organizations that a defect of ours left out.",
            Prom(_p99("spendgate_forecaster_seconds", "stage"), "p99 {{stage}}"),
            Prom(_rate("spendgate_forecaster_failures_total", "stage"), "failures per second {{stage}}"),
            unit="s",
        ),
    ),
)

BOARD = Dashboard(
    "spendgate-pipeline",
    "Spendgate / Pipeline health",
    "Readiness, restarts, lag, fold rates, spools and inserts of every service, from Prometheus.",
    (SUMMARY, PROCESSES, INTO_THE_LEDGER, FOLD, INTO_CLICKHOUSE, FORECASTER),
    since="now-6h",
    refresh="30s",
)
