"""The OpenAPI document of the forecaster: it only has the routes that every service has."""

from __future__ import annotations

from services.adapters.openapi import document

OPENAPI = document(
    title="Spendgate forecaster",
    description=(
        "Forecasts what scopes will spend and notices spending that is not like its past. Both are events in Kafka and "
        "rows in ClickHouse; the console answers questions about them."
    ),
    paths={},
)
